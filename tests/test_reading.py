"""One table in time order; every test runs on SQLite and on the Bigtable emulator."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from depth import reading, rowkey, snapshot, tables
from depth.arrow.rows import NAMES, epochs_of
from depth.errors import StoreRefused, UsageError
from depth.gaps import Interval
from depth.ledger import UNKNOWN, Gap
from depth.reading import BATCH_ROWS, TableReader
from depth.record import Record
from depth.storage.base import Store
from tests import archive
from tests.archive import DAY, DOUBTED, LATE, LOST, some
from tests.stored_rows import SYMBOL, TABLE, rows, store_rows


async def reader_of(store: Store) -> TableReader:
    """Find the one table."""
    [reader] = await reading.find(store, [SYMBOL])
    return reader


async def together(batches: AsyncIterator[pa.RecordBatch]) -> pa.Table:
    """Unite batches, none of which is empty or too long."""
    found = [batch async for batch in batches]
    assert all(0 < batch.num_rows <= BATCH_ROWS for batch in found)
    return pa.Table.from_batches(found)


async def test_rows_come_back_as_they_were_captured(store: Store) -> None:
    """Oldest first, every column, null where a bucket is not known."""
    made = list(some(DAY, DAY + 40))
    await archive.fill(store, made)
    table = await together((await reader_of(store)).batches(DAY, DAY + 40))
    assert tuple(table.schema.names) == NAMES
    assert json.loads(table.schema.metadata[b"depth"]) == {
        "symbol": "BTC/USDT",
        "step": 0.00002,
        "steps": 40,
        "interval": 1,
    }
    assert table.to_pylist() == [
        {
            "time": datetime.fromtimestamp(row.epoch, UTC),
            "price": row.mid,
            "best_bid": row.best_bid,
            "best_ask": row.best_ask,
            "bid_buckets": list(row.bid_buckets),
            "ask_buckets": list(row.ask_buckets),
            "event_time": datetime.fromtimestamp(row.event_time / 1000, UTC),
            "update_id": row.update_id,
            "received_at": datetime.fromtimestamp(row.timestamp, UTC),
            "covered_bid": row.covered[0],
            "covered_ask": row.covered[1],
            "collector": "mine",
        }
        for row in made
    ]


@pytest.mark.parametrize("start", [DAY - BATCH_ROWS, DAY - 17, DAY, DAY + 1, DAY + 25])
async def test_a_range_is_half_open_wherever_batches_are_cut(store: Store, start: int) -> None:
    """Neither the row before nor the row at the end; a gap and the seam of two batches change nothing."""
    made = [*range(DAY, DAY + 20), *range(DAY + 30, DAY + 60)]
    await archive.fill(store, [row for row in rows(DAY, DAY + 60) if row.epoch in made])
    table = await together((await reader_of(store)).batches(start, DAY + 59, ["price"]))
    assert list(epochs_of(table["time"])) == [epoch for epoch in made if start <= epoch < DAY + 59]


async def test_only_what_is_asked_for_is_read(store: Store) -> None:
    """Columns come in the table's order, after `time`; rows without an order book have a price all the same."""
    await archive.fill(store, rows(DAY, DAY + 3))
    await store.write(TABLE.name, [Record(rowkey.encode(DAY + 3, SYMBOL), {"price": "2.5"})])
    reader = await reader_of(store)
    table = await together(reader.batches(DAY, DAY + 4, ["collector", "price"]))
    assert table.schema.names == ["time", "price", "collector"]
    assert table["price"].to_pylist()[3] == 2.5
    assert table["collector"].to_pylist() == ["mine", "mine", "mine", None]


async def test_a_wide_range_asks_only_where_rows_are(store: Store) -> None:
    """From 1970 to 2286 in some dozens of requests, not in millions."""
    await archive.fill(store, [*rows(DAY, DAY + 3), *rows(DAY + 90_000, DAY + 90_003)])
    table = await together((await reader_of(store)).batches(0, 9_999_999_999, ["price"]))
    assert list(epochs_of(table["time"])) == [*range(DAY, DAY + 3), *range(DAY + 90_000, DAY + 90_003)]


async def test_filled_gaps_are_rows_of_nulls_with_a_cause(store: Store) -> None:
    """As the ledger has it, `unknown` where it says nothing; a resolved gap and a suspicion name no cause."""
    made = [row for row in some(DAY + 6_990, DAY + 7_610) if row.epoch != DAY + 7_605]
    await archive.fill(store, made, [LOST, LATE, replace(DOUBTED, start=DAY + 6_990, end=DAY + 7_000)])
    reader = await reader_of(store)
    table = await together(reader.batches(DAY + 6_990, DAY + 7_610, fill_gaps=True))
    assert list(epochs_of(table["time"])) == list(range(DAY + 6_990, DAY + 7_610))
    assert table["gap"].to_pylist() == [None] * 10 + ["disconnect"] * 600 + [None] * 5 + [UNKNOWN] + [None] * 4
    nothing = dict.fromkeys(NAMES[1:])
    for row in table.to_pylist():
        assert ({name: row[name] for name in NAMES[1:]} == nothing) == (row["gap"] is not None)
    stored = await together(reader.batches(DAY + 6_990, DAY + 7_610))
    assert table.filter(pa.compute.is_null(table["gap"])).drop_columns("gap").equals(stored)


async def test_an_empty_stretch_is_filled_in_batches(store: Store) -> None:
    """However long: every epoch has its row."""
    await archive.fill(store, rows(DAY + 9 * BATCH_ROWS, DAY + 9 * BATCH_ROWS + 2))
    table = await together((await reader_of(store)).batches(DAY, DAY + 9 * BATCH_ROWS + 5, ["price"], fill_gaps=True))
    assert table.num_rows == 9 * BATCH_ROWS + 5
    assert table["price"].null_count == 9 * BATCH_ROWS + 3


async def test_what_is_no_row_of_ours_is_passed_over_and_named(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Torn, of another grid, of another market: one warning, and the rest is read."""
    await archive.fill(store, rows(DAY, DAY + 10))
    other = snapshot.encode(replace(next(iter(rows(DAY + 4, DAY + 5))), step=0.5))
    await store.write(
        TABLE.name,
        [
            Record(rowkey.encode(DAY + 2, SYMBOL), {"orderbook": '{"epoch":1768'}),
            Record(rowkey.encode(DAY + 3, SYMBOL), {"update_id": "many"}),
            Record(rowkey.encode(DAY + 5, SYMBOL), {"timestamp": "nan"}),
            Record(rowkey.encode(DAY + 6, SYMBOL), {"covered": "40"}),
            Record(other.key, other.columns),
            Record(rowkey.encode(DAY + 7, "ETHUSDT"), {"price": "1"}),
            Record("8231945634", {"price": "1"}),
        ],
    )
    with caplog.at_level(logging.WARNING):
        table = await together((await reader_of(store)).batches(DAY, DAY + 10))
    assert list(epochs_of(table["time"])) == [DAY, DAY + 1, DAY + 7, DAY + 8, DAY + 9]
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("5 rows of binance_btc_depth count as missing; the first: row 8231996797#BTCUSDT")
    assert "\n" not in said


async def test_the_columns_that_an_old_table_lacks_are_null(store: Store) -> None:
    """Rows of price, order book and timestamp alone can be read."""
    await archive.fill(store, [])
    [row] = rows(DAY, DAY + 1)
    record = snapshot.encode(row)
    old = {name: record.columns[name] for name in ("price", "orderbook", "timestamp")}
    await store.write(TABLE.name, [Record(record.key, old)])
    table = await together((await reader_of(store)).batches(DAY, DAY + 1))
    [found] = table.to_pylist()
    assert {name for name, value in found.items() if value is None} == {
        "event_time",
        "update_id",
        "covered_bid",
        "covered_ask",
        "collector",
    }


@pytest.mark.parametrize("away", [0, 10_000_000])
async def test_the_latest_rows_are_found_however_old_they_are(store: Store, away: int) -> None:
    """Of this minute or of last year, oldest first; more than there are gives all."""
    await archive.fill(store, rows(DAY, DAY + 50))
    reader = await reader_of(store)
    for n, expected in ((1, 1), (7, 7), (51, 50)):
        batch = await reader.latest(n, ["price"], lambda: DAY + 50.0 + away)
        assert list(epochs_of(batch.column("time"))) == list(range(DAY + 50 - expected, DAY + 50))


async def test_missing_seconds_get_the_causes_of_the_ledger(store: Store) -> None:
    """Cut where the cause changes."""
    await archive.fill(store, [], [LOST, replace(LOST, start=LOST.end, end=LOST.end + 5, cause=UNKNOWN)])
    reader = await reader_of(store)
    assert await reader.explain([]) == []
    assert await reader.explain([Interval(LOST.start - 5, LOST.start + 5), Interval(LOST.end, LOST.end + 9)]) == [
        Gap(LOST.start - 5, LOST.start, UNKNOWN),
        Gap(LOST.start, LOST.start + 5, "disconnect"),
        Gap(LOST.end, LOST.end + 9, UNKNOWN),
    ]


async def test_the_ledger_and_the_summaries_of_a_range(store: Store) -> None:
    """What overlaps the range, and the hours that begin in it; what cannot be read is passed over."""
    await archive.fill(store, rows(DAY, DAY + 20), [LOST, LATE, DOUBTED])
    rolled = await archive.roll_up(store, DAY, DAY + 3 * 3600)
    for name, column in ((tables.gaps_table(TABLE.name), "start"), (tables.hourly_table(TABLE.name), "summary")):
        await store.write(name, [Record(rowkey.encode(DAY + 60, SYMBOL), {column: "{"})])
    reader = await reader_of(store)
    assert await reader.gaps(DAY, DAY + 86_400) == [DOUBTED, LATE, LOST]
    assert await reader.gaps(DAY + 129, DAY + 7_000) == [LATE]
    assert await reader.gaps(DAY + 7_599, DAY + 7_600) == [LOST]
    assert await reader.summaries(DAY, DAY + 86_400) == [hour.summary for hour in rolled]
    assert await reader.summaries(DAY + 1, DAY + 3601) == [rolled[1].summary]


async def test_no_ledger_is_not_no_gap(store: Store) -> None:
    """Who has not looked cannot say that nothing is missing."""
    await archive.fill(store, rows(DAY, DAY + 2))
    reader = await reader_of(store)
    with pytest.raises(StoreRefused, match=r"no table binance_btc_depth_gaps yet: run flows/verify\.py once"):
        await reader.gaps(DAY, DAY + 1)
    with pytest.raises(StoreRefused, match=r"no table binance_btc_depth_hourly yet: run flows/rollup\.py once"):
        await reader.summaries(DAY, DAY + 1)


async def test_whether_a_table_began_before(store: Store) -> None:
    """Its first row is not before itself."""
    await archive.fill(store, rows(DAY, DAY + 2))
    reader = await reader_of(store)
    assert [await reader.begun_before(DAY + second) for second in (-1, 0, 1, 2)] == [False, False, True, True]


async def test_tables_are_chosen_by_symbol_and_suffix(store: Store) -> None:
    """All of a symbol, or the one of a suffix; what was never collected is said, with what there is."""
    await archive.fill(store, rows(DAY, DAY + 2))
    assert [each.table for each in await reading.find(store)] == [TABLE]
    assert [each.table for each in await reading.find(store, [SYMBOL], "")] == [TABLE]
    with pytest.raises(UsageError, match="DOGE/USDT was never collected, there is no table binance_doge_depth: there is binance_btc_depth"):  # fmt: skip  # noqa: E501
        await reading.find(store, ["BTC/USDT", "DOGE/USDT"])
    with pytest.raises(UsageError, match="no table binance_btc_depth_5s: there is binance_btc_depth"):
        await reading.find(store, [SYMBOL], "_5s")


async def test_a_store_without_tables_says_what_to_do(store: Store) -> None:
    """Nothing was collected into it."""
    await store.ensure_table("another", ("value",))
    with pytest.raises(UsageError, match=r"BTC/USDT was never collected, .*: start the collector once"):
        await reading.find(store)
    await store_rows(store, rows(DAY, DAY + 1))
    assert [each.table for each in await reading.find(store)] == [TABLE]
