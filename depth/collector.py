"""The capture loop: sockets and snapshots in, proven seconds out. Plain asyncio; nothing here waits for a store."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from depth.anchoring import Schedule
from depth.buckets import places
from depth.capture import Capture
from depth.epochs import QUIET_LIMIT_MS, Grid
from depth.errors import ExchangeUnavailable, MalformedFrame, TerminalError
from depth.events import Event
from depth.exchange.base import FRAMES_FIRST_SECONDS, Exchange, Market
from depth.exchange.retry import keep_trying
from depth.incidents import SUSPECT
from depth.losses import Incident
from depth.outcome import Latency, Outcome, summarise
from depth.snapshot import Snapshot

logger = logging.getLogger(__name__)

_BEAT_SECONDS = 0.25
_STALL_SECONDS = 1.0
_STATUS_SECONDS = 60.0
_FIRST_EVENT_SECONDS = 10.0
_SILENT_SECONDS = 5.0

T = TypeVar("T")


async def _nothing() -> None:
    pass


class Sink(Protocol):
    """Where proven seconds go."""

    async def put(self, rows: Sequence[Snapshot], incidents: Sequence[tuple[str, Incident]]) -> None:
        """Make rows and incidents (symbol, incident) durable; never raises for a store that fails."""
        ...

    async def close(self) -> None:
        """Flush what is held."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one symbol is.

    Attributes:
        chained: the next event can prove a row.
        first_epoch: first second captured, None before.
        captured_epoch: last second captured, None before.
        audits_agreed: snapshots that the book agreed with.
        suspect: the newest rows that an audit did not confirm, None without any.
        lag_seconds: from the exchange's time of the last event to its receipt, by the local clock; None before.
    """

    chained: bool = False
    first_epoch: int | None = None
    captured_epoch: int | None = None
    audits_agreed: int = 0
    suspect: Incident | None = None
    lag_seconds: float | None = None


class Collector:
    """Runs the captures of some symbols over one exchange. It is the `Feed` of the exchange's sockets."""

    def __init__(
        self,
        exchange: Exchange,
        grid: Grid,
        collector: str,
        sink: Sink,
        schedule: Callable[[], Schedule] = Schedule,
    ) -> None:
        """Prepare.

        Args:
            exchange: where the book comes from.
            grid: what is sampled.
            collector: id of this run.
            sink: where rows go.
            schedule: makes each symbol's anchor schedule.
        """
        self._exchange = exchange
        self._grid = grid
        self._collector = collector
        self._sink = sink
        self._schedule = schedule
        self._captures: dict[str, Capture] = {}  # by market id
        self._incidents: dict[str, dict[tuple[int, str], Incident]] = {}  # by symbol, then start and cause
        self._epochs: dict[str, tuple[int, int]] = {}  # by symbol: first and last captured
        self._wanted: dict[str, asyncio.Event] = {}
        self._captured = asyncio.Event()
        self._latency = Latency()
        self._heard: dict[str, float] = {}
        self._awake_at = float("inf")
        self._lags: dict[str, float] = {}  # by symbol
        self._asked_to_wait_until = 0.0

    async def run(
        self, symbols: Sequence[str], stop: asyncio.Event, begin: Callable[[], Awaitable[None]] = _nothing
    ) -> Outcome:
        """Collect until told to stop.

        Args:
            symbols: ``BASE/QUOTE``.
            stop: set by whoever ends the run; rows captured until then are handed to the sink.
            begin: called before the first row, once the exchange is known to have the markets.

        Returns:
            What the run did.

        Raises:
            TerminalError: an unknown symbol, or the exchange refuses this machine.
        """
        loading = asyncio.create_task(self._keep_trying(lambda: self._exchange.load(symbols), "exchange"))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                markets = loading.result()
                await begin()
                self._prepare(markets)
                await self._work(markets, stopping)
        finally:
            for task in (loading, stopping):
                task.cancel()
            await asyncio.gather(loading, stopping, return_exceptions=True)
        return self.outcome()

    def progress(self, symbol: str) -> Progress:
        """Say how far a symbol is; nothing before its market is loaded."""
        capture = next((capture for capture in self._captures.values() if capture.symbol == symbol), None)
        if capture is None:
            return Progress()
        first, last = self._epochs.get(symbol, (None, None))
        suspects = (each for each in self._incidents[symbol].values() if each.cause == SUSPECT)
        newest = max(suspects, key=lambda each: each.end, default=None)
        return Progress(capture.chained, first, last, capture.counts.audits_agreed, newest, self._lags.get(symbol))

    @property
    def captured(self) -> int:
        """Seconds captured so far, those of all symbols together."""
        return sum(capture.counts.rows for capture in self._captures.values())

    def rests(self, now: float) -> bool:
        """Say whether it is in order that nothing is captured.

        So it is while the market is silent, and while the exchange has asked for patience. A silence of over 300 s is
        in order only where the exchange says that the market is halted.

        Args:
            now: monotonic seconds.
        """
        if now < self._asked_to_wait_until:
            return True
        if not self._captures or not self._exchange.sockets().answering:
            return False
        if all(capture.halted for capture in self._captures.values()):
            return True
        return _SILENT_SECONDS < now - max(self._heard.values()) <= QUIET_LIMIT_MS / 1000

    def opened(self, socket: str) -> None:
        """See `Feed.opened`."""
        for capture in self._captures.values():
            capture.opened(socket)

    def closed(self, socket: str) -> None:
        """See `Feed.closed`."""
        now = time.monotonic()
        self._notice_stall(now)
        for capture in self._captures.values():
            capture.closed(socket, now)

    def delivered(self, socket: str, event: Event, received: float, now: float) -> None:
        """See `Feed.delivered`."""
        self._notice_stall(now)
        capture = self._captures[event.market]
        self._heard[event.market] = now
        self._lags[capture.symbol] = received - event.time / 1000
        capture.delivered(socket, event, received, now)
        self._after(capture, now)

    def _prepare(self, markets: Sequence[Market]) -> None:
        now = time.monotonic()
        for market in markets:
            self._captures[market.id] = Capture(
                market.symbol, self._grid, places(market.quote), self._collector, self._schedule()
            )
            self._incidents[market.symbol] = {}
            self._wanted[market.symbol] = asyncio.Event()
            self._heard[market.id] = now

    async def _work(self, markets: Sequence[Market], stopping: "asyncio.Task[bool]") -> None:
        tasks = [
            asyncio.create_task(self._exchange.stream(markets, self)),
            asyncio.create_task(self._beat()),
            asyncio.create_task(self._hand_over()),
            *(asyncio.create_task(self._anchor(capture)) for capture in self._captures.values()),
            *(asyncio.create_task(self._ask_status(market)) for market in markets),
        ]
        try:
            done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()  # none of them ends by itself: this raises
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for capture in self._captures.values():
                capture.finish(time.monotonic())
            await self._drain()
            await self._sink.close()

    def _notice_stall(self, now: float) -> None:
        """Let waiting begin anew after the process itself stood still: what would end it may wait in a socket."""
        if now - self._awake_at > _STALL_SECONDS:
            for capture in self._captures.values():
                capture.sequence.restart_timers(now)
        self._awake_at = now

    def _after(self, capture: Capture, now: float) -> None:
        """Wake whoever waits for what the capture has made or wants."""
        if capture.rows or capture.losses.incidents:
            self._captured.set()
        if capture.wants_anchor(now) is not None:
            self._wanted[capture.symbol].set()

    async def _beat(self) -> None:
        """Let time pass for the captures where no event comes."""
        while True:
            now = time.monotonic()
            self._notice_stall(now)
            for capture in self._captures.values():
                capture.tick(now)
                self._after(capture, now)
            await asyncio.sleep(_BEAT_SECONDS)

    async def _anchor(self, capture: Capture) -> None:
        """Fetch snapshots for one symbol whenever its schedule wants one."""
        wanted = self._wanted[capture.symbol]
        while True:
            await wanted.wait()
            wanted.clear()
            reason = capture.wants_anchor(time.monotonic())
            if reason is None:
                continue
            logger.debug("%s: snapshot wanted (%s)", capture.symbol, reason)
            try:
                anchor = await self._keep_trying(
                    lambda: self._exchange.anchor(capture.symbol), f"snapshot of {capture.symbol}"
                )
            except (MalformedFrame, TerminalError) as error:
                # Mid-run, the stream may go on without REST for an hour: say it and keep what there is.
                logger.error("%s: %s", capture.symbol, error)  # noqa: TRY400  # its one line says all
                capture.schedule.failed(time.monotonic(), reason)
                continue
            await asyncio.sleep(FRAMES_FIRST_SECONDS)  # the body was read just now, and to build the book takes as long
            capture.anchored(anchor, reason, time.monotonic())
            del anchor  # 1 MB that would otherwise wait here for the next one, in an hour
            self._after(capture, time.monotonic())

    async def _keep_trying(self, attempt: Callable[[], Awaitable[T]], what: str) -> T:
        """Ask the exchange until it answers, and note until when it wants to be left alone."""

        async def noting() -> T:
            try:
                return await attempt()
            except ExchangeUnavailable as error:
                self._asked_to_wait_until = time.monotonic() + (error.retry_after or 0.0)
                raise

        return await keep_trying(noting, what)

    async def _ask_status(self, market: Market) -> None:
        """Find out whether a long silence, or one from the start on, is a halt of the market."""
        capture = self._captures[market.id]
        await asyncio.sleep(_FIRST_EVENT_SECONDS)
        if not capture.counts.events:
            await self._is_halted(market)
            why = "the exchange says that it does not trade" if capture.halted else "see BINANCE_WS_URL if this lasts"
            logger.warning("%s: no event within %.0f s: %s", market.symbol, _FIRST_EVENT_SECONDS, why)
        while True:
            await asyncio.sleep(_STATUS_SECONDS)
            if time.monotonic() - self._heard[market.id] > QUIET_LIMIT_MS / 1000:
                await self._is_halted(market)

    async def _is_halted(self, market: Market) -> None:
        try:
            self._captures[market.id].halted |= not await self._exchange.trading(market.symbol)
        except (ExchangeUnavailable, TerminalError) as error:
            logger.warning("%s: silent, and its status cannot be read: %s", market.symbol, error)

    async def _hand_over(self) -> None:
        while True:
            await self._captured.wait()
            await self._drain()

    async def _drain(self) -> None:
        """Hand what was captured to the sink, until nothing new has come meanwhile."""
        self._captured.clear()
        rows: list[Snapshot] = []
        incidents: list[tuple[str, Incident]] = []
        for capture in self._captures.values():
            rows += capture.rows
            incidents += ((capture.symbol, incident) for incident in capture.losses.incidents)
            self._incidents[capture.symbol] |= {
                (incident.start, incident.cause): incident for incident in capture.losses.incidents
            }
            capture.rows, capture.losses.incidents = [], []
        if rows or incidents:
            await self._sink.put(rows, incidents)
            durable = time.time()
            for row in rows:
                first, _ = self._epochs.get(row.symbol, (row.epoch, row.epoch))
                self._epochs[row.symbol] = first, row.epoch
            for row in rows:
                self._latency.add(durable - row.epoch)

    def outcome(self) -> Outcome:
        """Sum up what the run has done so far; of its rows, those that were handed to the sink."""
        parts = [summarise(capture, self._incidents[capture.symbol].values()) for capture in self._captures.values()]
        return Outcome(self._collector, parts, self._latency, self._exchange.malformed)
