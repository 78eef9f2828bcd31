"""A client that knows no more than Binance's documentation, and the helpers around it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from depth.exchange.simulated import Book, SimulatedExchange
from depth.exchange.simulated.source import scaled
from tests import recordings

FAST = "btcusdt@depth@100ms"
START = 1_700_000_000_000


def recording(name: str) -> Path:
    """Return the folder of a recording, or skip loudly where it is not at hand."""
    recordings.require()
    return recordings.folder() / name


@dataclass
class NaiveBook:
    """A book joined and kept by the documented rule, within what its body told."""

    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    last_id: int = 0
    low: int = 0
    high: int = 0

    @classmethod
    def joined(cls, body: dict[str, Any], events: list[dict[str, Any]]) -> "NaiveBook":
        """Apply every event to the body; assert that they join and follow one another."""
        book = cls(last_id=body["lastUpdateId"])
        book._set(body["bids"], body["asks"])
        book.low, book.high = min(book.bids), max(book.asks)
        first = True
        for event in events:
            if event["u"] <= book.last_id:
                continue
            assert event["U"] <= book.last_id + 1, "a hole"
            assert first or event["U"] == book.last_id + 1, "an overlap after the join"
            first = False
            book._set(event["b"], event["a"])
            book.last_id = event["u"]
        return book

    def known(self) -> tuple[dict[int, int], dict[int, int]]:
        """Return the levels within the body's range."""
        return within(self.bids, self.asks, self.low, self.high)

    def _set(self, bids: list[list[str]], asks: list[list[str]]) -> None:
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, amount in levels:
                side[scaled(price)] = scaled(amount)
                if not scaled(amount):
                    del side[scaled(price)]


def within(bids: dict[int, int], asks: dict[int, int], low: int, high: int) -> tuple[dict[int, int], dict[int, int]]:
    """Cut both sides to a price range."""
    return {p: a for p, a in bids.items() if p >= low}, {p: a for p, a in asks.items() if p <= high}


def same(book: NaiveBook, truth: Book) -> bool:
    """Say whether the book equals the exchange's own, as far as its body reached."""
    return book.known() == within(truth.bids, truth.asks, book.low, book.high)


class Client:
    """One websocket and one HTTP session."""

    def __init__(self, exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.session = session
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def open(self, path: str = f"/ws/{FAST}", **options: Any) -> aiohttp.ClientWebSocketResponse:
        """Connect a stream."""
        socket: aiohttp.ClientWebSocketResponse = await self.session.ws_connect(
            self.exchange.ws_url + path, timeout=_close_soon(), **options
        )
        self._sockets.append(socket)
        return socket

    async def get(self, path: str, **query: object) -> tuple[int, Any, dict[str, str]]:
        """Return status, decoded body (text where it is no JSON) and headers."""
        url = self.exchange.rest_url + path
        async with self.session.get(url, params={key: str(value) for key, value in query.items()}) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json else text, dict(answer.headers)

    async def depth(self, **query: object) -> dict[str, Any]:
        """Return a depth body."""
        status, body, _ = await self.get("/api/v3/depth", **{"symbol": "BTCUSDT", "limit": 5000, **query})
        assert status == 200, body
        assert isinstance(body, dict)
        return body

    async def close(self) -> None:
        """Close all sockets."""
        for socket in self._sockets:
            await socket.close()


def _close_soon() -> Any:
    return aiohttp.ClientWSTimeout(ws_close=0.2)


@asynccontextmanager
async def client(exchange: SimulatedExchange) -> AsyncIterator[Client]:
    """Talk to an exchange until the block ends."""
    async with aiohttp.ClientSession() as session:
        talking = Client(exchange, session)
        try:
            yield talking
        finally:
            await talking.close()


async def events(
    socket: aiohttp.ClientWebSocketResponse, count: int, seconds: float | None = 5
) -> list[dict[str, Any]]:
    """Receive so many events; each must come within so many seconds."""
    received: list[dict[str, Any]] = []
    while len(received) < count:
        message = json.loads(await socket.receive_str(timeout=seconds))
        message = message.get("data", message)
        if message.get("e") == "depthUpdate":
            received.append(message)
    return received


async def all_events(
    socket: aiohttp.ClientWebSocketResponse, exchange: SimulatedExchange, early: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Receive everything that a finite source sends to the first socket; `early` has been received before."""
    received = list(early)
    async with asyncio.timeout(20):
        while not exchange.state.finished or len(received) < exchange.state.sent[1]:
            with suppress(TimeoutError):
                received += await events(socket, 1, 0.1)
    return received
