"""A store as collector, verify and rollup leave it, for tests that read."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from depth import tables
from depth.ledger import Entry
from depth.record import Record
from depth.rollup import RolledHour, Rollup, Span
from depth.snapshot import Snapshot
from depth.storage.base import Store
from depth.storage.sqlite import SqliteStore
from depth.tables import META_KEY, TableMeta
from tests.stored_rows import SYMBOL, TABLE, rows, store_rows

DAY = 1_768_003_200  # 2026-01-10
HOUR = 3600
# What the rows of `day` lack.
LOST = Entry(DAY + 7_000, DAY + 7_600, 600, "disconnect", DAY + 7_700)
LATE = Entry(DAY + 100, DAY + 130, 30, "store late", DAY + 400, resolved_at=DAY + 700)
DOUBTED = Entry(DAY + 50, DAY + 90, 0, "suspect", DAY + 400)


async def begin(store: Store) -> None:
    """Leave what a collector leaves at its start."""
    meta = TableMeta(SYMBOL, "binance", TABLE.grid)
    await store.create(tables.collectors_table(TABLE.name), Record(META_KEY, {"value": meta.text()}))


async def store_ledger(store: Store, entries: Sequence[Entry]) -> None:
    """Leave what checks leave."""
    name = tables.gaps_table(TABLE.name)
    await store.ensure_table(name, tables.GAP_COLUMNS)
    await store.write(name, [Record(entry.key(SYMBOL), entry.columns()) for entry in entries])


async def roll_up(store: Store, start: int, end: int) -> list[RolledHour]:
    """Leave what roll-ups leave."""
    rolled: list[RolledHour] = []
    await Rollup(store, TABLE, Span(range(start, end, HOUR)), rolled.append).run()
    return rolled


def some(start: int, end: int) -> Iterable[Snapshot]:
    """Make rows of which every tenth knows 25 bids and no ask; those that `LOST` names are missing."""
    for row in rows(start, end):
        if not LOST.start <= row.epoch < LOST.end:
            partly = replace(row, bid_buckets=row.bid_buckets[:25] + (None,) * 15, ask_buckets=(None,) * 40)
            yield row if row.epoch % 10 else partly


async def fill(store: Store, made: Iterable[Snapshot], entries: Sequence[Entry] = ()) -> None:
    """Leave rows, and the ledger where it has entries."""
    await store_rows(store, made)
    await begin(store)
    if entries:
        await store_ledger(store, entries)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    """Open a file."""
    store = SqliteStore(path)
    try:
        yield store
    finally:
        await store.close()


def make(path: Path, made: Iterable[Snapshot], entries: Sequence[Entry] = (), *, hours: int = 0) -> Path:
    """Make a file with rows, a ledger, and the summaries of the first hours of the day."""

    async def work() -> None:
        async with opened(path) as store:
            await fill(store, made, entries)
            if hours:
                await roll_up(store, DAY, DAY + hours * HOUR)

    asyncio.run(work())
    return path
