"""When it is in order that a collector captures nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from depth.collector import Collector
from depth.epochs import Grid
from depth.errors import ExchangeUnavailable
from depth.events import Anchor
from depth.exchange.base import Feed, Market, Sockets
from tests.replay import Rows


@dataclass
class Still:
    """An exchange on which nothing happens, or which asks to be left alone."""

    answering: int = 2
    patience: float | None = None
    trades: bool = True
    streaming: asyncio.Event = field(default_factory=asyncio.Event)
    source: str = "still"
    malformed: int = 0

    def sockets(self) -> Sockets:
        return Sockets(2, 2, self.answering)

    async def load(self, symbols: Sequence[str]) -> list[Market]:
        if self.patience is not None:
            self.streaming.set()
            raise ExchangeUnavailable("banned", self.patience)
        return [Market(symbol, symbol.replace("/", ""), "USDT") for symbol in symbols]

    async def anchor(self, symbol: str) -> Anchor:
        raise ExchangeUnavailable(symbol)

    async def trading(self, symbol: str) -> bool:
        return bool(symbol) and self.trades

    async def stream(self, markets: Sequence[Market], feed: Feed) -> None:
        del markets, feed
        self.streaming.set()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def collecting(exchange: Still) -> AsyncIterator[tuple[Collector, float]]:
    """Run a collector on it; give it and the monotonic second at which it last heard something."""
    collector, stop = Collector(exchange, Grid(), "test", Rows()), asyncio.Event()
    running = asyncio.create_task(collector.run(["BTC/USDT"], stop))
    await asyncio.wait_for(exchange.streaming.wait(), 5)
    yield collector, time.monotonic()
    stop.set()
    await running


@pytest.mark.parametrize(("silence", "rests"), [(1, False), (6, True), (299, True), (302, False)])
async def test_a_silent_market_is_rest_for_300_s(silence: float, *, rests: bool) -> None:
    """Sockets that answer and bring no event: nothing is amiss, until the silence is too long to be believed."""
    async with collecting(Still()) as (collector, heard):
        assert collector.rests(heard + silence) is rests
        assert collector.captured == 0


async def test_sockets_that_do_not_answer_are_no_rest() -> None:
    """A network that is gone looks like a silent market, but for the answers."""
    async with collecting(Still(answering=0)) as (collector, heard):
        assert not collector.rests(heard + 60)


async def test_a_halted_market_is_rest_for_as_long_as_it_takes() -> None:
    """The exchange says so itself; a new run would lose why the seconds are missing."""
    async with collecting(Still()) as (collector, heard):
        for capture in collector._captures.values():  # the collector asks for it once a minute
            capture.halted = True
        assert collector.rests(heard + 10_000)


async def test_a_ban_is_waited_for() -> None:
    """The exchange asked to be left alone for an hour: who begins anew would ask again at once."""
    async with collecting(Still(patience=3600)) as (collector, now):
        assert collector.rests(now + 3000)
        assert not collector.rests(now + 3700)
