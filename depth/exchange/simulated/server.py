"""The exchange as a server: the clock, the loop that plays, and the doors."""

import asyncio
import time
from collections import Counter
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

from depth.exchange.simulated.book import Book
from depth.exchange.simulated.connection import Connection
from depth.exchange.simulated.faults import Faults
from depth.exchange.simulated.options import Options
from depth.exchange.simulated.playing import Pace, Play
from depth.exchange.simulated.rest import Rest
from depth.exchange.simulated.source import SLOT_MS, Diff, Source
from depth.exchange.simulated.subscriptions import Subscriptions

_IDLE_SECONDS = 0.05
_CATCH_UP_EVENTS = 256


@dataclass(frozen=True, slots=True)
class State:
    """What the exchange has seen and done so far.

    Attributes:
        begun: it plays.
        finished: the source is at its end and every open socket has everything.
        market_ms: market time in ms.
        connections: stream connections accepted.
        refused: stream connections refused.
        open: numbers of the connections that are open.
        subscribed: number of open connections with at least one stream.
        sent: event frames sent, by number of the connection.
        requests: REST requests by path.
        snapshots: depth requests.
        last_ids: update id of the last event that was sent, by market; 0 before the first.
        halted: markets that do not trade.
        used_weight: request weight in this minute.
    """

    begun: bool
    finished: bool
    market_ms: int
    connections: int
    refused: int
    open: tuple[int, ...]
    subscribed: int
    sent: dict[int, int]
    requests: dict[str, int]
    snapshots: int
    last_ids: dict[str, int]
    halted: tuple[str, ...]
    used_weight: int


class SimulatedExchange:
    """A Binance-shaped spot exchange on a loopback port.

    Attributes:
        options: how it plays and answers.
        faults: what can be made to go wrong.
        plays: the markets, by the exchange's name.
        requests: REST requests by path.
        port: the port, once it is entered.
    """

    def __init__(self, source: Source, options: Options | None = None) -> None:
        """Prepare to play a source; enter the object to start."""
        self.options = options or Options()
        self.port = self.options.port
        self.requests: Counter[str] = Counter()
        self._source = source.placed(_now_ms(), self.options.speed)
        self.plays = {listing.id: Play(self._source, listing) for listing in self._source.listings}
        self.faults = Faults(self.plays.values(), self)
        self._rest = Rest(self)
        self._pace: Pace | None = None
        self._frontier_ms = self._source.begin_ms
        self._connections: list[Connection] = []
        self._refused = 0
        self._enough = asyncio.Event()
        self._finished = asyncio.Event()

    @property
    def rest_url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://{self.options.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """``ws://127.0.0.1:PORT``."""
        return f"ws://{self.options.host}:{self.port}"

    @property
    def state(self) -> State:
        """What has happened so far."""
        return State(
            begun=self._pace is not None,
            finished=self._finished.is_set(),
            market_ms=self.market_ms(),
            connections=len(self._connections),
            refused=self._refused,
            open=tuple(c.number for c in self._connections if c.alive),
            subscribed=self._subscribed_sockets(),
            sent={c.number: c.sent for c in self._connections},
            requests=dict(self.requests),
            snapshots=self.requests["/api/v3/depth"],
            last_ids={market: play.delivered_id for market, play in self.plays.items()},
            halted=tuple(market for market, play in self.plays.items() if play.halted),
            used_weight=self._rest.weights.used,
        )

    def describe(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return asdict(self.state)

    def market_ms(self) -> int:
        """Return the market time in ms: event times are compared with it."""
        if self._pace is None or not self.options.speed:
            return self._frontier_ms
        return self._pace.market_ms(self.loop_time())

    def loop_time(self) -> float:
        """Return the event loop's clock in s."""
        return asyncio.get_running_loop().time()

    def book_at(self, market: str, last_id: int) -> Book:
        """Return the true book right after the event whose u is `last_id`. Slow: the story is told again.

        Raises:
            LookupError: no event ends there.
        """
        return self.plays[market].book_at(last_id)

    async def finished(self) -> None:
        """Wait until the source is at its end and every open socket has been sent everything."""
        await self._finished.wait()

    async def __aenter__(self) -> Self:
        """Listen and, unless it waits for subscribers, play."""
        await self._catch_up(self._source.begin_ms)
        app = web.Application()
        app.add_routes([*self._rest.routes(), web.get("/ws{path:.*}", self._stream), web.get("/stream", self._stream)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.options.host, self.options.port)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        if not self.options.start_after:
            self._enough.set()
        self._pump = asyncio.create_task(self._play(), name="simulated exchange")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all connections and stop listening."""
        self._pump.cancel()
        await asyncio.wait([self._pump])
        for connection in self._connections:
            connection.stop()
        await self._runner.cleanup()
        if not self._pump.cancelled():
            self._pump.result()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.loop_time() < self.faults.refused_until and request.transport:
            self._refused += 1
            request.transport.abort()
            return web.Response(status=503)
        combined = request.path.startswith("/stream")
        named = request.query.get("streams", "") if combined else request.path.removeprefix("/ws").strip("/")
        number = len(self._connections) + 1
        faults = self.faults.of(number)
        faults.microseconds |= request.query.get("timeUnit", "").upper() == "MICROSECOND"
        subscriptions = Subscriptions(named.split("/"), combined=combined)
        connection = Connection(number, subscriptions, faults, self.options, self._count_subscribers)
        self._connections.append(connection)
        return await connection.serve(request)

    def _subscribed_sockets(self) -> int:
        return sum(1 for c in self._connections if c.alive and len(c.subscriptions))

    def _count_subscribers(self) -> None:
        if self._subscribed_sockets() >= max(1, self.options.start_after):
            self._enough.set()

    async def _play(self) -> None:
        await self._enough.wait()
        placed = self._source.placed(_now_ms(), self.options.speed)
        for play in self.plays.values():
            play.delay(placed.start_ms - self._source.start_ms)
        self._frontier_ms = placed.begin_ms
        await self._catch_up(placed.begin_ms)
        self._pace = Pace(placed.begin_ms, self.loop_time(), self.options.speed or 1.0)
        while not all(play.ended for play in self.plays.values()):
            await (self._step() if self.options.speed else self._leap())
        for connection in self._connections:
            connection.flush()
        for connection in self._connections:
            await connection.drained()
        self._finished.set()

    async def _catch_up(self, market_ms: int) -> None:
        """Live through what happened before playing began; nobody is told."""
        for play in self.plays.values():
            more = True
            while more:
                more = bool(play.due(market_ms, _CATCH_UP_EVENTS))
                await asyncio.sleep(0)

    async def _step(self) -> None:
        """Play what is due by the clock, then sleep until more is."""
        now = self.market_ms()
        for play in self.plays.values():
            for diff in play.due(now):
                self._tell(diff)
        times = [play.next_time for play in self.plays.values() if play.next_time is not None]
        for connection in self._connections:
            connection.flush(min([now, *times]))  # where it lags, more events of a merged span may be due
        until = min([*times, now + SLOT_MS])
        wait = self._pace.seconds_until(until, self.loop_time()) if self._pace else 0.0
        await asyncio.sleep(max(0.0, min(wait, _IDLE_SECONDS if not times else wait)))

    async def _leap(self) -> None:
        """Play the next event at once, as soon as every socket has room; time stands still while nobody listens."""
        waiting = [(play.next_time, market) for market, play in self.plays.items() if play.next_time is not None]
        if not waiting or not any(connection.listening for connection in self._connections):
            await asyncio.sleep(_IDLE_SECONDS)
            return
        time_ms, market = min(waiting)
        self._frontier_ms = max(self._frontier_ms, time_ms)
        for diff in self.plays[market].due(time_ms, 1):
            self._tell(diff)
        for connection in self._connections:
            connection.flush(self._frontier_ms)
            await connection.room()
        await asyncio.sleep(0)

    def _tell(self, diff: Diff) -> None:
        for connection in self._connections:
            connection.offer(diff)


def _now_ms() -> int:
    return int(time.time() * 1000)
