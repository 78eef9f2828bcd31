"""Where a view comes from: a store that collectors write, or a collector of our own that stores nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from depth import catalog, gaps, relay, rowkey, snapshot, tables
from depth.catalog import DepthTable
from depth.errors import DepthError, MalformedRow, TransientError
from depth.exchange.base import Sockets
from depth.losses import Incident
from depth.plan import Plan
from depth.presence import Presence
from depth.snapshot import Snapshot
from depth.storage.base import Store
from depth.storage.open import StoreOptions, open_store
from depth.storage.spool_state import read_state
from depth.stored import StoredEpochs
from depth.watch.view import HOUR, Hour, Spool, View

if TYPE_CHECKING:
    from depth.outcome import Outcome

_AGAIN_SECONDS = 30.0
_SLOW_SECONDS = 5.0
_LATE_SECONDS = 120
_ROWS_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Place:
    """What is read.

    Attributes:
        store: where rows are.
        spool_path: the spool file of this machine; there may be none.
        metrics_host: where collectors of this machine serve metrics.
        metrics_port: the first of ten ports, None where they serve none.
    """

    store: StoreOptions
    spool_path: Path
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None

    @property
    def name(self) -> str:
        """Name the store for a person."""
        options = self.store
        where = options.sqlite_path.name if options.backend == "sqlite" else f"{options.project}/{options.instance}"
        return f"{options.backend} {where}"


class Feed(Protocol):
    """Gives views."""

    async def look(self) -> View:
        """Give what is there now.

        Raises:
            TerminalError: a person must act; what may pass by itself stands in the view.
        """
        ...


class StoreFeed:
    """Reads one table as collectors write it, and the spool file of this machine where it has one."""

    def __init__(
        self, store: Store, place: Place, symbol: str, suffix: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            store: holds the table.
            place: what else is read, and the store's name.
            symbol: ``BASE/QUOTE``.
            suffix: of ``--table-suffix``.
            clock: UTC seconds.

        Raises:
            UsageError: no table can have the symbol's name.
        """
        self._store = store
        self._place = place
        self._symbol = symbol
        self._suffix = suffix
        self._table_name = tables.depth_table(symbol, suffix)
        self._clock = clock
        self._table: DepthTable | None = None
        self._hour = Hour(1)
        self._whole = False
        self._read_whole_at = self._asked_at = float("-inf")
        self._view = View(symbol, place.name)

    async def look(self) -> View:
        """See `Feed.look`: only the first look raises; a store that goes away later may come back."""
        try:
            self._view = await self._look()
        except DepthError as error:
            if self._table is None and not isinstance(error, TransientError):
                raise
            self._read_whole_at = float("-inf")
            self._view = replace(self._view, rows=(), trouble=str(error))
        return self._view

    async def _look(self) -> View:
        if self._table is None:
            [self._table] = await catalog.collected(self._store, [self._symbol], self._suffix)
            self._hour = Hour(self._table.grid.interval)
        now, table = self._clock(), self._table
        rows = await self._rows(table, now)
        await self._read_keys(table, now)
        view = replace(
            self._view,
            row=rows[-1] if rows else self._view.row,
            rows=tuple(rows),
            coverage=self._hour.coverage(now, whole=self._whole),
            trouble=None,
        )
        if now - self._asked_at < _SLOW_SECONDS:
            return view
        self._asked_at = now
        companion = tables.collectors_table(table.name)
        runs = tuple(await relay.read(self._store, companion)) if companion in await self._store.tables() else ()
        view = replace(view, runs=runs, spool=await asyncio.to_thread(self._spool))
        return replace(view, sockets=await asyncio.to_thread(self._sockets, view.live(now)))

    async def _rows(self, table: DepthTable, now: float) -> list[Snapshot]:
        """Read the rows that are new; the newest one alone at first."""
        seen = self._view.row
        if seen is None:
            recent = await self._scan(table, int(now) - HOUR, int(now) + HOUR, 1)
            # Without bounds Bigtable takes a hundred times as long.
            return recent or await self._scan(table, 0, int(now), 1)
        return await self._scan(table, seen.epoch + 1, max(int(now), seen.epoch) + HOUR, _ROWS_SHOWN)

    async def _scan(self, table: DepthTable, start: int, end: int, limit: int) -> list[Snapshot]:
        """Read rows, oldest first; what another program wrote, or what is torn, is no row."""
        found = []
        async for record in self._store.scan(table.name, *rowkey.bounds(start, end), limit=limit):
            try:
                found.append(snapshot.decode(record.key, record.columns, self._symbol))
            except MalformedRow:
                continue
        return found[::-1]

    async def _read_keys(self, table: DepthTable, now: float) -> None:
        """Read which epochs are stored: of the last two minutes each time, of the hour now and then."""
        stored, end = StoredEpochs(self._store, table), int(now) + HOUR
        start = int(now) - _LATE_SECONDS
        if now - self._read_whole_at >= _AGAIN_SECONDS:
            self._read_whole_at, start = now, int(now) - HOUR
            self._whole = self._whole or await stored.newest(0, start) is not None
        self._hour.saw(gaps.Interval(start, end), [epoch async for epoch in stored.present(start, end)])

    def _spool(self) -> Spool | None:
        """Read the spool file; one that cannot be read is one that says nothing."""
        try:
            states = [state for state in read_state(self._place.spool_path) if state.table == self._table_name]
        except DepthError:
            return None
        captured = [state.captured_epoch for state in states if state.captured_epoch is not None]
        acknowledged = [state.acknowledged_epoch for state in states if state.acknowledged_epoch is not None]
        return Spool(max(captured, default=None), max(acknowledged, default=None)) if states else None

    def _sockets(self, live: Sequence[Presence]) -> Sockets | None:
        if self._place.metrics_port is None:
            return None
        from depth.watch import asking  # noqa: PLC0415  # only where there is somebody to ask

        return asking.sockets(self._place.metrics_host, self._place.metrics_port, {run.collector for run in live})


@asynccontextmanager
async def stored(place: Place, symbol: str, suffix: str) -> AsyncIterator[Feed]:
    """Read a store while the block lasts.

    Args:
        place: what is read.
        symbol: ``BASE/QUOTE``.
        suffix: of ``--table-suffix``.
    """
    store = open_store(place.store)
    try:
        yield StoreFeed(store, place, symbol, suffix)
    finally:
        await store.close()


class DryFeed:
    """A collector in this process; it is its sink, and stores nothing."""

    def __init__(self, symbol: str, source: str, interval: int, clock: Callable[[], float] = time.time) -> None:
        """Prepare.

        Args:
            symbol: ``BASE/QUOTE``.
            source: names the exchange for a person.
            interval: seconds between epochs.
            clock: UTC seconds.
        """
        self.sockets: Callable[[], Sockets] = lambda: Sockets(0)
        self.running: asyncio.Task[Outcome] | None = None
        self._interval = interval
        self._clock = clock
        self._hour = Hour(interval)
        self._rows: list[Snapshot] = []
        self._view = View(symbol, source, stored=False)

    async def look(self) -> View:
        """See `Feed.look`."""
        if self.running is not None and self.running.done():
            self.running.result()
        rows, self._rows = self._rows, []
        self._view = replace(
            self._view,
            row=rows[-1] if rows else self._view.row,
            rows=tuple(rows),
            coverage=self._hour.coverage(self._clock(), whole=False),
            sockets=self.sockets(),
        )
        return self._view

    async def put(self, rows: Sequence[Snapshot], incidents: Sequence[tuple[str, Incident]]) -> None:
        """See `depth.collector.Sink.put`; what is lost shows in the coverage, and why in the view."""
        for row in rows:
            self._hour.saw(gaps.Interval(row.epoch, row.epoch + 1), [row.epoch])
        self._rows = [*self._rows, *rows][-_ROWS_SHOWN:]
        trouble = None if rows else self._view.trouble
        for _, incident in incidents:
            trouble = f"no row for [{incident.start}, {incident.end}): {incident.cause}"
        self._view = replace(self._view, trouble=trouble)

    async def close(self) -> None:
        """See `depth.collector.Sink.close`."""


@asynccontextmanager
async def dry_run(plan: Plan) -> AsyncIterator[Feed]:
    """Collect while the block lasts.

    Args:
        plan: of one symbol.
    """
    from depth.collector import Collector  # noqa: PLC0415  # who reads a store needs none of it
    from depth.exchange.binance import Binance  # noqa: PLC0415  # same: ccxt

    exchange, stop = Binance(plan.rest_url, plan.ws_url, plan.connections), asyncio.Event()
    [symbol] = plan.symbols
    feed = DryFeed(symbol, f"dry run, {exchange.source}", plan.grid.interval)
    collector = Collector(exchange, plan.grid, "watch", feed)
    feed.sockets = exchange.sockets
    feed.running = running = asyncio.create_task(collector.run(plan.symbols, stop))
    try:
        yield feed
    finally:
        stop.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # told by `look`, or of no interest any more
        await exchange.close()
