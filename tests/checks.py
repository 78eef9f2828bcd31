"""A table to check: its rows, what collectors say of it, and its ledger."""

from collections.abc import Iterable

from depth import presence, rowkey, tables
from depth.catalog import DepthTable
from depth.continuity import Check
from depth.epochs import Grid
from depth.gaps import Interval
from depth.incidents import Report
from depth.ledger import Entry
from depth.presence import Presence
from depth.record import Record
from depth.storage.base import Store

SYMBOL = "BTC/USDT"
BTC = DepthTable("binance_btc_depth", SYMBOL, Grid())
HOUR = 1_768_053_600
END = HOUR + 3600
NOW = END + 30
ALWAYS = Presence("always", "zone", scheduled=0, state="unchained", seen_at=1e10, first_epoch=0)
HOLES = [Interval(HOUR + 7, HOUR + 57), Interval(HOUR + 1000, HOUR + 1001), Interval(HOUR + 3500, HOUR + 3549)]


def check(start: int = HOUR, end: int = END, now: int = NOW, **options: int | None) -> Check:
    return Check(start, end, now, **options)  # type: ignore[arg-type]


def keys(*spans: tuple[int, int], interval: int = 1) -> list[str]:
    return [rowkey.encode(epoch, SYMBOL) for start, end in spans for epoch in range(start, end, interval)]


async def begin(store: Store, *spans: tuple[int, int], table: DepthTable = BTC) -> None:
    """Store rows, and the presence of a run that was there all the time and explains nothing."""
    await store.ensure_table(table.name, tables.DEPTH_COLUMNS)
    await put(store, *spans, table=table)
    await seen(store, ALWAYS, table=table)


async def seen(store: Store, *runs: Presence, table: DepthTable = BTC) -> None:
    companion = tables.collectors_table(table.name)
    await store.ensure_table(companion, tables.COLLECTOR_COLUMNS)
    await store.write(companion, [presence.encode(run) for run in runs])


async def put(store: Store, *spans: tuple[int, int], table: DepthTable = BTC) -> None:
    rows = [Record(key, {"price": "1"}) for key in keys(*spans, interval=table.grid.interval)]
    await store.write(table.name, rows)


async def told(store: Store, *reports: Report) -> None:
    await store.ensure_table(tables.collectors_table(BTC.name), tables.COLLECTOR_COLUMNS)
    await store.write(tables.collectors_table(BTC.name), [report.record(SYMBOL) for report in reports])


async def entries(store: Store) -> list[Entry]:
    """Read the ledger, oldest first."""
    found = store.scan(tables.gaps_table(BTC.name), *rowkey.bounds(0, 9_999_999_999))
    return [Entry.parse(record) async for record in found][::-1]


def spans(found: Iterable[Entry], *, is_open: bool = True) -> list[tuple[int, int]]:
    return [entry.span for entry in found if entry.open is is_open]
