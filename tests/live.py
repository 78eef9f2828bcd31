"""One collector on one simulated exchange, in real time, and what the exchange itself knows to be true."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from depth.anchoring import Schedule
from depth.collector import Collector
from depth.epochs import Grid, closed
from depth.events import Anchor, Event
from depth.exchange.base import Feed, Market
from depth.exchange.binance import Binance
from depth.exchange.simulated import Diff, Options, SimulatedExchange, Source, SyntheticSource
from depth.exchange.sockets import SocketPool
from depth.losses import Incident
from depth.outcome import Outcome, SymbolOutcome
from depth.snapshot import Snapshot
from tests import oracle, virtual
from tests.replay import SHAPE, Rows

SYMBOL = "BTC/USDT"
MARKET = "BTCUSDT"
_POLL_SECONDS = 0.02
_START = 1000.0
_APART_SECONDS = 0.2
_LATE_SECONDS = 0.1
_STALL_SECONDS = 1.0
_NEAR = 1.001  # beyond the window of 0.08 %


async def until(condition: Callable[[], object], seconds: float = 40.0) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for is the state of another program
            await asyncio.sleep(_POLL_SECONDS)


class Exchange(SimulatedExchange):
    """The simulated exchange; the test also keeps every event as told, and who was there at each subscription.

    Attributes:
        told: every event, whoever heard it.
        by_name: clients find it by its host name, not by its address.
    """

    def __init__(self, source: Source, options: Options | None) -> None:
        super().__init__(source, options)
        self.told: list[Diff] = []
        self.by_name = False
        self.open_at_subscriptions: list[set[int]] = []

    def _count_subscribers(self) -> None:
        self.open_at_subscriptions.append({connection.number for connection in self._connections if connection.alive})
        super()._count_subscribers()

    def _tell(self, diff: Diff) -> None:
        self.told.append(diff)
        super()._tell(diff)


class Client(Binance):
    """The real client; the test also sees when it asks for snapshots, and may let its sockets grow old sooner."""

    def __init__(self, exchange: Exchange, connections: int, age_seconds: float | None) -> None:
        urls = (exchange.rest_url, exchange.ws_url)
        if exchange.by_name:
            urls = (urls[0].replace("127.0.0.1", "localhost"), urls[1].replace("127.0.0.1", "localhost"))
        super().__init__(*urls, connections)
        self.connections = connections
        self.asked: list[float] = []
        self._age_seconds = age_seconds

    async def anchor(self, symbol: str) -> Anchor:
        self.asked.append(time.monotonic())
        return await super().anchor(symbol)

    async def stream(self, markets: Sequence[Market], feed: Feed) -> None:
        if self._age_seconds is None:
            await super().stream(markets, feed)
        else:
            await SocketPool(self._transport, markets, feed, self._connections, self._age_seconds).run()


@dataclass
class Run:
    """A collector that runs, and what was seen of it during the scene: from its first rows until it was stopped.

    Attributes:
        open_sockets: the exchange's open connections, whenever they changed.
        feed: what sockets told the collector: opened, delivered (the first event), closed.
        connections: how many the exchange has accepted by the end.
        lag: how long the loop was held up, in seconds, by this busy machine or by the scene.
        stalls: how often for so long that all waiting times begin anew.
        waited: seconds until something that the scene waited for, by name.
        result: once the run has ended.
    """

    exchange: Exchange
    client: Client
    sink: Rows = field(default_factory=Rows)
    open_sockets: list[set[int]] = field(default_factory=list)
    feed: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    lag: float = 0.0
    stalls: int = 0
    waited: dict[str, float] = field(default_factory=dict)
    result: Outcome | None = None
    over: bool = False

    @cached_property
    def errors(self) -> list[str]:
        """What is false in its rows; see `errors_in`."""
        return errors_in(self.sink.rows, self.exchange)

    @property
    def outcome(self) -> SymbolOutcome:
        assert self.result is not None
        return self.result.symbols[0]

    @property
    def epochs(self) -> list[int]:
        return [row.epoch for row in self.sink.rows]

    @property
    def missing(self) -> set[int]:
        """Epochs between the first row and the last that have no row."""
        return set(range(min(self.epochs), max(self.epochs) + 1)) - set(self.epochs)

    @property
    def lost(self) -> list[Incident]:
        """Incidents other than the end of the run."""
        return [incident for incident in self.sink.incidents.values() if incident.cause != "stopped"]

    @property
    def fewest_open(self) -> int:
        return min(len(numbers) for numbers in self.open_sockets)

    @property
    def fewest_delivering(self) -> int:
        """Sockets that had delivered and still did, right after one of them was dropped."""
        delivering: set[str] = set()
        fewest = self.client.connections
        for what, socket in self.feed:
            if what == "delivered":
                delivering.add(socket)
            elif what == "closed":
                delivering.discard(socket)
                fewest = min(fewest, len(delivering))
        return fewest

    def overlapped(self, old: int, new: int) -> bool:
        """Whether the exchange ever had both connections open when one of them subscribed."""
        return any({old, new} <= numbers for numbers in self.exchange.open_at_subscriptions)

    async def more_rows(self, count: int) -> None:
        wanted = len(self.sink.rows) + count
        await until(lambda: len(self.sink.rows) >= wanted)

    async def replaced(self, number: int) -> None:
        """Wait until the exchange has its n-th connection and no more than before, and for two rows more."""
        began, before = time.monotonic(), len(self.exchange.state.open)
        await until(lambda: number in self.exchange.state.open)
        self.waited[f"socket {number}"] = time.monotonic() - began
        await until(lambda: len(self.exchange.state.open) <= before)
        await self.more_rows(2)

    def note(self, what: str, socket: str) -> None:
        if not self.over and (what, socket) not in self.feed:
            self.feed.append((what, socket))

    async def watch(self, look_seconds: float) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(look_seconds)
            now = time.monotonic()
            late, before = now - before - look_seconds, now
            self.lag += late if late > _LATE_SECONDS else 0.0
            self.stalls += late > _STALL_SECONDS
            numbers = set(self.exchange.state.open)
            if not self.open_sockets or numbers != self.open_sockets[-1]:
                self.open_sockets.append(numbers)


class Watched(Collector):
    """The real collector; the test also sees what its sockets tell it, until it is stopped."""

    def __init__(self, run: Run, schedule: Callable[[], Schedule]) -> None:
        super().__init__(run.client, Grid(), "test", run.sink, schedule)
        self._run = run

    def opened(self, socket: str) -> None:
        self._run.note("opened", socket)
        super().opened(socket)

    def closed(self, socket: str) -> None:
        self._run.note("closed", socket)
        super().closed(socket)

    def delivered(self, socket: str, event: Event, received: float, now: float) -> None:
        self._run.note("delivered", socket)
        super().delivered(socket, event, received, now)


@asynccontextmanager
async def collecting(  # noqa: PLR0913  # what a scene is made of
    options: Options | None = None,
    *,
    source: Source | None = None,
    before: Callable[[Exchange], object] = lambda _: None,
    schedule: Callable[[], Schedule] = Schedule,
    connections: int = 2,
    age_seconds: float | None = None,
    look_seconds: float = _POLL_SECONDS,
) -> AsyncIterator[Run]:
    """Run a collector; the block begins after its first three rows, and when it ends so does the run."""
    async with Exchange(source or SyntheticSource(), options) as exchange:
        before(exchange)
        client, stop = Client(exchange, connections, age_seconds), asyncio.Event()
        run = Run(exchange, client)
        running = asyncio.create_task(Watched(run, schedule).run([SYMBOL], stop))
        try:
            await run.more_rows(3)
            async with _task(run.watch(look_seconds)):
                yield run
            run.over, run.connections = True, exchange.state.connections
            stop.set()
            run.result = await asyncio.wait_for(running, 20)
        finally:
            await _end(running)
            await client.close()


class Scenes:
    """Scenes of one module, all played at the same time, in virtual time: most of each is waiting."""

    def __init__(self, *scenes: Callable[[], Awaitable[Run]]) -> None:
        self._scenes = {scene.__name__: scene for scene in scenes}
        self._results: dict[str, Run | BaseException] = {}

    def __getitem__(self, name: str) -> Run:
        result = self._results[name]
        if isinstance(result, BaseException):
            raise result
        return result

    def play(self) -> None:
        """Play them all."""
        loop = virtual.VirtualLoop(_START, virtual.STEP_SECONDS)
        with virtual.clocks(loop):
            virtual.run(loop, self._play_all())

    async def _play_all(self) -> None:
        playing = map(self._play, self._scenes.values(), itertools.count())
        results = await asyncio.gather(*playing, return_exceptions=True)
        self._results = dict(zip(self._scenes, results, strict=True))

    async def _play(self, scene: Callable[[], Awaitable[Run]], place: int) -> Run:
        await asyncio.sleep(place * _APART_SECONDS)  # a start is the one thing that takes the processor
        return await scene()


def errors_in(rows: Sequence[Snapshot], exchange: Exchange, market: str = MARKET) -> list[str]:
    """Tell the exchange's story again and list everything in the rows that it contradicts; null says nothing."""
    source = exchange.plays[market]._source
    told = [diff for diff in exchange.told if diff.market == market]
    book = source.opening(market)
    for untold in itertools.takewhile(lambda diff: diff.last_id < told[0].first_id, source.diffs(market)):
        book.apply(untold)
    bids, asks = _Side(book.bids), _Side(book.asks)
    wanted = {row.epoch: row for row in rows}
    found: list[str] = []
    for diff, following in itertools.pairwise(told):
        bids.apply(diff.bids)
        asks.apply(diff.asks)
        for epoch in closed(diff.time, following.time, 1):
            row = wanted.pop(epoch, None)
            if row is not None:
                found += _contradictions(row, diff, bids, asks)
    return found + [f"{epoch}: no such second" for epoch in wanted]


class _Side:
    """One side of the book, and of its thousands of levels those at hand that lie around the last best price."""

    def __init__(self, levels: dict[int, int]) -> None:
        self.levels = levels
        self._around: dict[int, int] = {}
        self._bounds = (0.0, 0.0)

    def apply(self, changes: Iterable[tuple[int, int]]) -> None:
        lowest, highest = self._bounds
        for price, amount in changes:
            for levels in (self.levels, self._around) if lowest <= price <= highest else (self.levels,):
                if amount:
                    levels[price] = amount
                else:
                    levels.pop(price, None)

    def near(self, best: int) -> dict[int, int]:
        """Give the levels that may lie in the window below or above the best price."""
        lowest, highest = best / _NEAR, best * _NEAR
        if not (self._bounds[0] <= lowest and highest <= self._bounds[1]):
            self._bounds = (lowest / _NEAR**4, highest * _NEAR**4)
            lower, upper = self._bounds
            self._around = {price: amount for price, amount in self.levels.items() if lower <= price <= upper}
        return {price: amount for price, amount in self._around.items() if lowest <= price <= highest}


def _contradictions(row: Snapshot, last: Diff, bids: _Side, asks: _Side) -> list[str]:
    best_bid, best_ask = max(bids.levels), min(asks.levels)
    true: dict[str, object] = {
        "event_time": last.time,
        "update_id": last.last_id,
        "best_bid": best_bid / 1e8,
        "best_ask": best_ask / 1e8,
    }
    found = [
        f"{row.epoch}: {name} {getattr(row, name)}, really {value}"
        for name, value in true.items()
        if getattr(row, name) != value
    ]
    for name, side, best in (("bid_buckets", bids, best_bid), ("ask_buckets", asks, best_ask)):
        near = {_decimal(price): _decimal(amount) for price, amount in side.near(best).items()}
        pairs = zip(getattr(row, name), oracle.buckets(near, _decimal(best), None, SHAPE), strict=True)
        found += [f"{row.epoch}: {name} {mine}, really {its}" for mine, its in pairs if mine not in {None, its}]
    return found


def _decimal(scaled: int) -> Decimal:
    return Decimal(scaled).scaleb(-8)


@asynccontextmanager
async def _task(coroutine: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(coroutine)
    try:
        yield
    finally:
        await _end(task)


async def _end(task: "asyncio.Future[object] | asyncio.Future[None] | asyncio.Future[Outcome]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
