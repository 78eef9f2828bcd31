"""Hours summed up from a store into a store; every test with one runs on SQLite and on the Bigtable emulator."""

import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth import rowkey, snapshot, tables
from depth.epochs import Grid
from depth.errors import StoreRefused, StoreUnavailable
from depth.incidents import Report
from depth.record import Record
from depth.rollup import RolledHour, Rollup, Span, hours
from depth.storage.base import Store, Written
from depth.storage.sqlite import SqliteStore
from depth.summary import summarise
from tests.stored_rows import SYMBOL, TABLE, rows, shallow, store_rows

HOUR = 1_768_053_600
NEXT = HOUR + 3600
HOURLY = tables.hourly_table(TABLE.name)


async def roll_up(
    store: Store, start: int = HOUR, end: int = NEXT, *, by_hand: bool = True, horizon: int = 0
) -> list[RolledHour]:
    """Bring the hours of ``[start, end)`` up to date."""
    rolled: list[RolledHour] = []
    span = Span(hours(start, end, 2e9), by_hand, horizon)
    made = await Rollup(store, TABLE, span, rolled.append).run()
    assert made == sum(hour.made for hour in rolled)
    return rolled


async def stored(store: Store, hour: int = HOUR) -> dict[str, str]:
    """Read the stored columns of an hour."""
    record = await store.get(HOURLY, rowkey.encode(hour, SYMBOL))
    assert record is not None
    return dict(record.columns)


class Watched:
    """A store that notes whose rows are read, and that fails its first writes of summaries where told to."""

    def __init__(self, store: Store, failures: int = 0) -> None:
        self._store = store
        self._failures = failures
        self.scanned: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def scan(self, table: str, *bounds: Any, **limits: Any) -> AsyncIterator[Record]:
        self.scanned.append(table)
        return self._store.scan(table, *bounds, **limits)

    async def write(self, table: str, records: Sequence[Record]) -> Written:
        if table == HOURLY and self._failures:
            self._failures -= 1
            return Written((), {0: "UNAVAILABLE: try later"})
        return await self._store.write(table, records)


def test_hours_are_whole_utc_hours_that_the_range_touches() -> None:
    """Rounded outwards, but for the hour that is not over."""
    assert list(hours(HOUR + 1, NEXT + 1, HOUR + 7200)) == [HOUR, NEXT]
    assert list(hours(HOUR, NEXT, HOUR + 7200)) == [HOUR]
    assert list(hours(HOUR, NEXT + 1800, NEXT + 3599.9)) == [HOUR]
    assert len(hours(HOUR + 120, HOUR + 86_520, HOUR + 86_520)) == 24


@given(st.integers(0, 10**7), st.integers(1, 10**6), st.integers(0, 10**7))
def test_hours_are_over_and_touch_the_range(start: int, length: int, now: int) -> None:
    """Each of them, and no hour that does so is left out."""
    wanted = [hour for hour in range(0, now - 3599, 3600) if max(hour, start) < min(hour + 3600, start + length)]
    assert list(hours(start, start + length, now)) == wanted


async def test_an_hour_is_stored_under_its_first_epoch(store: Store) -> None:
    """The summary is that of the rows, as JSON; the other columns say how much is behind it."""
    made = [shallow(row, 30) if row.epoch % 2 else row for row in rows(HOUR + 10, HOUR + 110)]
    await store_rows(store, made)
    [hour] = await roll_up(store)
    assert hour.made
    assert hour.summary == summarise(SYMBOL, HOUR, Grid(), made)
    columns = await stored(store)
    assert columns == {
        "summary": json.dumps(hour.summary, separators=(",", ":")),
        "count": "100",
        "covered": "50,100",
        "coverage": repr(100 / 3600),
    }
    assert [record async for record in store.scan(HOURLY, "0", "9")] == [Record(rowkey.encode(HOUR, SYMBOL), columns)]


async def test_rows_of_other_hours_do_not_count(store: Store) -> None:
    """The second before the hour and the first of the next one."""
    await store_rows(store, rows(HOUR - 5, NEXT + 5))
    [hour] = await roll_up(store)
    assert (hour.summary["count"], hour.summary["coverage"]) == (3600, 1.0)


async def test_an_unchanged_hour_is_not_read(store: Store) -> None:
    """Its keys are counted, and what is stored is given back."""
    await store_rows(store, rows(HOUR, HOUR + 50))
    [first] = await roll_up(store)
    watched = Watched(store)
    [second] = await roll_up(cast("Store", watched))
    assert (second.made, second.summary) == (False, first.summary)
    assert TABLE.name not in watched.scanned


async def test_late_rows_make_their_hour_anew(store: Store) -> None:
    """Theirs alone."""
    await store_rows(store, [*rows(HOUR, HOUR + 50), *rows(NEXT, NEXT + 50)])
    await roll_up(store, end=NEXT + 3600)
    await store_rows(store, rows(HOUR + 60, HOUR + 70))
    first, second = await roll_up(store, end=NEXT + 3600)
    assert (first.made, first.summary["count"]) == (True, 60)
    assert first.summary["gaps"] == [[HOUR + 50, HOUR + 60], [HOUR + 70, NEXT]]
    assert not second.made
    assert (await stored(store))["count"] == "60"


async def test_rows_that_are_gone_make_their_hour_anew(store: Store) -> None:
    """100 epochs removed by somebody are a gap of the summary too."""
    await store_rows(store, rows(HOUR, HOUR + 200))
    await roll_up(store)
    await store.delete(TABLE.name, [rowkey.encode(epoch, SYMBOL) for epoch in range(HOUR + 50, HOUR + 150)])
    [hour] = await roll_up(store)
    assert (hour.made, hour.summary["count"]) == (True, 100)


async def test_a_damaged_summary_is_made_anew(store: Store) -> None:
    """Its count is right, its text is torn."""
    await store_rows(store, rows(HOUR, HOUR + 5))
    [good] = await roll_up(store)
    await store.write(HOURLY, [Record(rowkey.encode(HOUR, SYMBOL), {"summary": '{"count":5'})])
    [hour] = await roll_up(store)
    assert hour == good


async def test_an_hour_without_rows_is_summed_up(store: Store) -> None:
    """Inside the table's life and, by hand, before it: count 0, coverage 0."""
    await store_rows(store, rows(HOUR, HOUR + 5))
    before, _, after = await roll_up(store, HOUR - 3600, HOUR + 7200)
    assert (before.summary["count"], after.summary["count"]) == (0, 0)
    assert (await stored(store, HOUR - 3600))["coverage"] == "0.0"


async def test_nothing_is_expected_before_the_first_row(store: Store) -> None:
    """A schedule begins with the table: an hour of silence counts after it, not before."""
    await store_rows(store, rows(HOUR, HOUR + 5))
    rolled = await roll_up(store, HOUR - 7200, HOUR + 7200, by_hand=False)
    assert [hour.summary["hour"] for hour in rolled] == [HOUR, NEXT]
    later = await roll_up(store, NEXT + 3600, NEXT + 7200, by_hand=False)
    assert [hour.summary["count"] for hour in later] == [0]


async def test_expired_rows_leave_their_summary(store: Store) -> None:
    """What retention deletes was there: its summary stays, and none is made of the rest."""
    await store_rows(store, rows(HOUR, NEXT + 5))
    [whole] = await roll_up(store)
    await store.delete(TABLE.name, [rowkey.encode(epoch, SYMBOL) for epoch in range(HOUR, NEXT)])
    rolled = await roll_up(store, HOUR - 3600, NEXT + 3600, horizon=NEXT)
    assert [(hour.summary["count"], hour.made) for hour in rolled] == [(3600, False), (5, True)]
    assert rolled[0].summary == whole.summary


async def test_rows_in_doubt_are_counted_apart_also_later(store: Store) -> None:
    """The audit comes after the rows: the hour is made anew, once, for the rows of that collector."""
    await store_rows(store, [*rows(HOUR, HOUR + 50), *rows(HOUR + 50, HOUR + 60, collector="other")])
    await roll_up(store)
    reports = [
        Report(HOUR - 3000, HOUR + 20, "suspect", "mine"),
        Report(HOUR + 55, HOUR + 70, "suspect", "mine"),
        Report(HOUR + 20, HOUR + 30, "disconnect", "mine"),
    ]
    companion = tables.collectors_table(TABLE.name)
    await store.write(companion, [report.record(SYMBOL) for report in reports])
    [hour] = await roll_up(store)
    assert (hour.made, hour.summary["count"], hour.summary["suspect"]) == (True, 60, 20)
    [again] = await roll_up(store)
    assert (again.made, again.summary) == (False, hour.summary)


async def test_what_another_program_wrote_is_passed_over(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Torn rows count as missing and are named; what is no report is passed over."""
    good = list(rows(HOUR, HOUR + 10))
    torn, wide = snapshot.encode(good[3]), replace(good[4], step=0.5)
    await store_rows(store, [row for row in good if row.epoch != HOUR + 4])
    foreign = [
        Record(torn.key, {"orderbook": '{"epoch":'}),
        snapshot.encode(wide),
    ]
    await store.write(TABLE.name, foreign)
    await store.write(tables.collectors_table(TABLE.name), [Record("incident#8231945634#BTCUSDT#x", {"value": "?"})])
    with caplog.at_level(logging.WARNING):
        [hour] = await roll_up(store)
    assert hour.summary["count"] == 8
    assert hour.summary["gaps"][0] == [HOUR + 3, HOUR + 5]
    assert "2 rows of binance_btc_depth count as missing; the first: row" in caplog.text
    assert not (await roll_up(store))[0].made


async def test_keys_of_others_do_not_count(store: Store) -> None:
    """Another symbol, another grid, a copy: they are no rows of this table, and they do not make an hour change."""
    table = replace(TABLE, grid=Grid(interval=5))
    mine = [row for row in rows(HOUR, HOUR + 100) if row.epoch % 5 == 0]
    await store_rows(store, mine)
    first: list[RolledHour] = []
    await Rollup(store, table, Span(hours(HOUR, NEXT, 2e9)), first.append).run()
    [stranger] = rows(HOUR + 200, HOUR + 201)
    columns = snapshot.encode(stranger).columns
    keys = [rowkey.encode(HOUR + 200, "ETH/USDT"), rowkey.encode(HOUR + 201, SYMBOL), f"{rowkey.encode(HOUR, SYMBOL)}x"]
    await store.write(TABLE.name, [Record(key, columns) for key in keys])
    watched, second = Watched(store), list[RolledHour]()
    await Rollup(cast("Store", watched), table, Span(hours(HOUR, NEXT, 2e9)), second.append).run()
    assert second == [RolledHour(first[0].summary, made=False)]
    assert TABLE.name not in watched.scanned
    await store.delete(HOURLY, [rowkey.encode(HOUR, SYMBOL)])
    await Rollup(store, table, Span(hours(HOUR, NEXT, 2e9)), second.append).run()
    assert second[-1] == first[0]


async def test_a_store_that_fails_is_asked_again_for_what_is_left(store: Store) -> None:
    """The second run goes on where the first stopped, and reports no hour twice."""
    await store_rows(store, [*rows(HOUR, HOUR + 5), *rows(NEXT, NEXT + 5)])
    rolled: list[RolledHour] = []
    rollup = Rollup(cast("Store", Watched(store, failures=1)), TABLE, Span(hours(HOUR, NEXT + 1, 2e9)), rolled.append)
    assert str(rollup) == "2 hours of binance_btc_depth"
    with pytest.raises(StoreUnavailable, match=r"8231946399#BTCUSDT was not taken \(UNAVAILABLE: try later\)"):
        await rollup.run()
    assert await rollup.run() == 2
    assert await rollup.run() == 0
    assert [hour.summary["hour"] for hour in rolled] == [HOUR, NEXT]


async def test_a_table_that_is_missing_is_not_made(store: Store) -> None:
    """The error names it, and no companion is left behind."""
    await store.ensure_table("another", ("value",))
    with pytest.raises(StoreRefused, match=TABLE.name):
        await roll_up(store)
    assert await store.tables() == ["another"]


async def test_a_database_that_is_missing_is_not_made(tmp_path: Path) -> None:
    """A wrong path must not look like an empty market."""
    store = SqliteStore(tmp_path / "depth.db")
    with pytest.raises(StoreRefused, match="no database"):
        await roll_up(store)
    assert not (tmp_path / "depth.db").exists()
    await store.close()


async def test_an_hour_takes_its_time_and_no_more(store: Store) -> None:
    """0.5 s on SQLite, 1.5 s on the emulator for 3,600 rows, on a machine of our own; best of three."""
    await store_rows(store, rows(HOUR, NEXT))
    taken = []
    for _ in range(3):
        await store.ensure_table(HOURLY, tables.HOURLY_COLUMNS)
        await store.delete(HOURLY, [rowkey.encode(HOUR, SYMBOL)])
        share, begin = _share(), time.perf_counter()
        [hour] = await roll_up(store)
        taken.append((time.perf_counter() - begin) * share)
        assert hour.made
    assert min(taken) <= {"sqlite": 0.5, "bigtable": 1.5}[store.backend], taken


def _share() -> float:
    """Measure which part of a processor this process is given just now, 0 to 1."""
    wall, processor = time.perf_counter(), time.process_time()
    while time.process_time() - processor < 0.05:
        sum(range(1000))
    return min(1.0, (time.process_time() - processor) / (time.perf_counter() - wall))
