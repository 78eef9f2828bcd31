"""One table read in time order: rows in batches, summaries, the gap ledger. Memory does not grow with the range."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from depth import catalog, gaps, ledger, rowkey, tables
from depth.accounts import Accounts
from depth.arrow.rows import Shape, missing
from depth.catalog import DepthTable
from depth.errors import StoreRefused
from depth.gaps import Interval
from depth.incidents import Report
from depth.ledger import UNKNOWN, Entry, Gap
from depth.record import Record
from depth.storage.base import Store
from depth.stored import StoredEpochs
from depth.summary import Summary

logger = logging.getLogger(__name__)

# Rows of a batch at most: over an hour. With more buckets than usual fewer, so that a batch holds 3 MB.
BATCH_ROWS = 4096
_BATCH_BUCKETS = 2 * 40 * BATCH_ROWS
_END = 10_000_000_000
_CLOCKS_APART_SECONDS = 3600

_T = TypeVar("_T")
_Found = tuple[int, Record]


async def find(store: Store, symbols: Collection[str] = (), suffix: str | None = None) -> list["TableReader"]:
    """Find the tables of some symbols, by name.

    Args:
        store: where to look.
        symbols: ``BASE/QUOTE``; none for every table that a collector has begun.
        suffix: of ``--table-suffix``, "" for the usual tables; None for all.

    Raises:
        StoreUnavailable: no answer.
        StoreRefused: a person must act, for example a missing database file.
        UsageError: a symbol has no such table; the text names those that are there.
    """
    there = set(await store.tables())
    return [TableReader(store, table, there) for table in await catalog.collected(store, symbols, suffix)]


async def _ahead(
    stretches: AsyncGenerator[tuple[Interval, list[_Found]], None], work: Callable[[list[_Found]], _T]
) -> AsyncGenerator[tuple[Interval, _T], None]:
    """Work on each stretch in a thread while the next one is read."""
    pending: tuple[Interval, asyncio.Future[_T]] | None = None
    try:
        async for span, found in stretches:
            before, pending = pending, (span, asyncio.ensure_future(asyncio.to_thread(work, found)))
            if before is not None:
                yield before[0], await before[1]
        if pending is not None:
            yield pending[0], await pending[1]
    finally:
        await stretches.aclose()
        if pending is not None:
            await asyncio.wait([pending[1]])


class TableReader:
    """Reads one table.

    Attributes:
        table: which.
    """

    def __init__(self, store: Store, table: DepthTable, there: Collection[str]) -> None:
        """Choose; nothing is read yet.

        Args:
            store: holds the table.
            table: which.
            there: names of the store's tables.
        """
        self.table = table
        self._store = store
        self._there = there
        self._stored = StoredEpochs(store, table)
        self._accounts = Accounts(store, table)
        self._batch_seconds = table.grid.interval * max(1, min(BATCH_ROWS, _BATCH_BUCKETS // (2 * table.grid.steps)))

    def shape(self, columns: Collection[str] | None = None, *, fill_gaps: bool = False) -> Shape:
        """Say what `batches` gives for the same arguments."""
        return Shape(self.table.symbol, self.table.grid, columns, fill_gaps=fill_gaps)

    async def batches(
        self, start: int, end: int, columns: Collection[str] | None = None, *, fill_gaps: bool = False
    ) -> AsyncGenerator[pa.RecordBatch, None]:
        """Stream the rows of ``[start, end)``, oldest first.

        Rows that another program wrote, or that are torn, are passed over and named in a warning.

        Args:
            start: UTC second.
            end: UTC second, exclusive.
            columns: those of `depth.arrow.rows.NAMES` that are wanted, None for all; `time` is always there.
            fill_gaps: give every epoch of the range a row, with nulls and the cause in `gap` where none is stored.

        Yields:
            Batches of `BATCH_ROWS` rows at most, none of them empty.

        Raises:
            StoreUnavailable: no answer in time.
            StoreRefused: a person must act.
        """
        shape = self.shape(columns, fill_gaps=fill_gaps)
        stored = None if {*tables.DEPTH_COLUMNS} <= {*shape.stored} else shape.stored
        known = await self._known(start, end) if fill_gaps else []
        stretches = self._stretches(gaps.on_grid(start, end, self.table.grid.interval), stored)
        async for span, (batch, unusable) in _ahead(stretches, shape.batch):
            if unusable:
                said = len(unusable), self.table.name, unusable[0]
                logger.warning("%d rows of %s count as missing; the first: %s", *said)
            if not fill_gaps:
                if batch.num_rows:
                    yield batch
                continue
            for begin in range(span.start, span.end, self._batch_seconds):  # a stretch longer than that is empty
                piece = Interval(begin, min(begin + self._batch_seconds, span.end))
                yield shape.fill(batch, piece, gaps.overlapping(known, *piece))

    async def latest(
        self, n: int, columns: Collection[str] | None = None, clock: Callable[[], float] = time.time
    ) -> pa.RecordBatch:
        """Read the newest rows.

        Args:
            n: rows at most.
            columns: as for `batches`.
            clock: UTC seconds.

        Returns:
            Oldest first.
        """
        shape = self.shape(columns)
        # A range without a start costs Bigtable a hundred times as much: look at the last n epochs before all others.
        now = int(clock()) + _CLOCKS_APART_SECONDS
        reach = n * self.table.grid.interval + 2 * _CLOCKS_APART_SECONDS
        found: list[_Found] = []
        for start in (max(0, now - reach), 0):
            found = await self._rows(start, _END, shape.stored, n)
            if len(found) == n:
                break
        batch, _ = shape.batch(found)
        return batch

    async def present(self, start: int, end: int) -> npt.NDArray[np.int64]:
        """Give the epochs of ``[start, end)`` that have a row, sorted, without reading the rows."""
        found = [epoch async for epoch in self._stored.present(start, end)]
        return np.array(found[::-1], dtype=np.int64)

    @property
    def is_checked(self) -> bool:
        """Whether a check has run: without one there is no ledger, and `gaps` fails."""
        return tables.gaps_table(self.table.name) in self._there

    @property
    def is_rolled_up(self) -> bool:
        """Whether a roll-up has run: without one there are no summaries, and `summaries` fails."""
        return tables.hourly_table(self.table.name) in self._there

    async def summaries(self, start: int, end: int) -> list[Summary]:
        """Read the summaries of the hours that begin in ``[start, end)``, oldest first.

        Raises:
            StoreRefused: no roll-up has run yet.
        """
        table = tables.hourly_table(self.table.name)
        if not self.is_rolled_up:
            raise StoreRefused(f"there is no table {table} yet: run flows/rollup.py once, it creates it")
        records = self._store.scan(table, *rowkey.bounds(start, end), ("summary",))
        found = []
        async for record in records:
            try:
                found.append(msgspec.json.decode(record.columns["summary"], type=Summary))
            except msgspec.DecodeError as error:
                logger.warning("summary %s of %s is passed over: %s", record.key, table, error)
        return found[::-1]

    async def gaps(self, start: int, end: int) -> list[Entry]:
        """Read what the ledger says of ``[start, end)``: gaps, open and resolved, and suspicions, sorted.

        Raises:
            StoreRefused: no check has run yet.
        """
        if not self.is_checked:
            table = tables.gaps_table(self.table.name)
            raise StoreRefused(f"there is no table {table} yet: run flows/verify.py once, it creates it")
        return await self._ledger(start, end)

    async def account(self, span: Interval, present: npt.NDArray[np.int64]) -> tuple[Interval, list[Gap]]:
        """Say where rows are due, and which of them are missing.

        Args:
            span: what is asked about.
            present: its epochs that have a row, sorted.

        Returns:
            `span` on the table's grid, from the table's first row on; the gaps in it with their causes as the ledger
            has them, `unknown` where it says nothing.
        """
        interval = self.table.grid.interval
        due = gaps.on_grid(*span, interval)
        if len(present) and await self._stored.newest(0, due.start) is None:
            due = Interval(int(present[0]), due.end)
        absent = missing(present, due, interval)
        known = await self._known(*due) if absent else []
        return due, ledger.explain(absent, [Report(*gap, collector="ledger") for gap in known])

    async def _known(self, start: int, end: int) -> list[Gap]:
        """Give the open gaps of the ledger that have a cause; two checks at the same time may have left some twice."""
        entries = [entry for entry in await self._ledger(start, end) if entry.open and entry.cause != UNKNOWN]
        reports = [Report(*entry.span, entry.cause, collector="ledger") for entry in entries]
        return [
            gap for gap in ledger.explain(gaps.merge(entry.span for entry in entries), reports) if gap.cause != UNKNOWN
        ]

    async def _ledger(self, start: int, end: int) -> list[Entry]:
        if not self.is_checked:
            return []
        found = [entry for entry in await self._accounts.entries() if start < entry.end and entry.start < end]
        return sorted(found, key=lambda entry: (*entry.span, entry.cause))

    async def _stretches(
        self, whole: Interval, stored: Collection[str] | None
    ) -> AsyncGenerator[tuple[Interval, list[_Found]], None]:
        """Cut the range into stretches of a batch, and longer ones where nothing is stored."""
        chunk = reach = self._batch_seconds
        start = whole.start
        while start < whole.end:
            span = Interval(start, min(start + reach, whole.end))
            found: list[_Found] = []
            if reach == chunk:
                found = await self._rows(*span, stored)
            elif await self._stored.newest(*span) is not None:
                reach //= 2
                continue
            yield span, found
            start = span.end
            reach = chunk if found else 2 * reach

    async def _rows(
        self, start: int, end: int, stored: Collection[str] | None, limit: int | None = None
    ) -> list[_Found]:
        """Read rows with their epochs, oldest first; what another program wrote between ours is no row."""
        names = None if stored is None else tuple(stored)
        found = []
        async for record in self._store.scan(self.table.name, *rowkey.bounds(start, end), names, limit):
            epoch = self._stored.epoch(record.key)
            if epoch is not None:
                found.append((epoch, record))
        return found[::-1]
