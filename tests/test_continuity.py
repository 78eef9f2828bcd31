"""Continuity: what a check finds, what it leaves in the ledger, on both stores."""

import asyncio
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from depth import continuity, incidents, rowkey, tables
from depth.catalog import DepthTable
from depth.continuity import Check
from depth.epochs import Grid
from depth.errors import StoreRefused
from depth.incidents import Report
from depth.ledger import Entry
from depth.record import Record
from depth.storage.base import Store
from depth.storage.sqlite import SqliteStore
from tests.checks import BTC, END, HOLES, HOUR, NOW, SYMBOL, begin, check, entries, keys, put, spans, told

Opener = Callable[[], Awaitable[Store]]


async def test_a_whole_hour_has_no_gap(store: Store) -> None:
    """3,600 of 3,600, and an empty ledger."""
    await begin(store, (HOUR, END))
    found = await continuity.verify(store, BTC, check())
    assert found.summary() == {
        "symbol": SYMBOL,
        "start": HOUR,
        "end": END,
        "interval": 1,
        "expected": 3600,
        "present": 3600,
        "missing": 0,
        "coverage": 1.0,
        "gaps": [],
    }
    assert await entries(store) == []


async def test_a_hundred_epochs_in_three_holes_are_found_exactly_and_resolved_once(store: Store) -> None:
    """Removed from a stored hour, then put back; checked again and again meanwhile."""
    await begin(store, (HOUR, END))
    await store.delete(BTC.name, keys(*HOLES))
    found = await continuity.verify(store, BTC, check())
    assert found.summary()["missing"] == 100
    assert found.summary()["gaps"] == [
        {"start": start, "end": end, "missing": end - start, "cause": "unknown"} for start, end in HOLES
    ]
    ledger = [Entry(*hole, hole.end - hole.start, "unknown", NOW) for hole in HOLES]
    assert await entries(store) == ledger
    assert found.opened == found.open == ledger
    again = await continuity.verify(store, BTC, check(now=NOW + 300))
    assert again.opened == again.resolved == []
    assert await entries(store) == ledger
    await put(store, *HOLES)
    filled = await continuity.verify(store, BTC, check(now=NOW + 600))
    assert spans(filled.resolved, is_open=False) == HOLES
    assert (filled.gaps, filled.open) == ([], [])
    after = await continuity.verify(store, BTC, check(now=NOW + 900))
    assert after.resolved == []
    assert {entry.resolved_at for entry in await entries(store)} == {NOW + 600}


async def test_messages_are_due_until_they_are_marked(store: Store) -> None:
    """Opened with the second check, resolved when the rows have come; marked in the ledger, once."""
    await begin(store, (HOUR, HOUR + 10), (HOUR + 20, END))
    assert (await continuity.verify(store, BTC, check())).due == []
    for now in (NOW + 100, NOW + 200):
        [opened] = (await continuity.verify(store, BTC, check(now=now))).due
        assert (opened.event, opened.start, opened.end) == ("opened", HOUR + 10, HOUR + 20)
    await put(store, (HOUR + 10, HOUR + 15))
    await continuity.verify(store, BTC, check(now=NOW + 300))
    for later in (301, 350):
        await continuity.mark(store, BTC, opened, NOW + later)
    assert [each.opened_alert_at for each in await entries(store)] == [NOW + 301] * 2
    assert (await continuity.verify(store, BTC, check(now=NOW + 400))).due == []
    await put(store, (HOUR + 15, HOUR + 20))
    [resolved] = (await continuity.verify(store, BTC, check(now=NOW + 500))).due
    assert (resolved.event, resolved.missing) == ("resolved", 10)
    assert resolved.key(BTC.name).rpartition("/")[0] == opened.key(BTC.name).rpartition("/")[0]
    await continuity.mark(store, BTC, resolved, NOW + 501)
    assert (await continuity.verify(store, BTC, check(now=NOW + 550))).due == []


async def test_twice_at_the_same_time_is_once(open_store: Opener) -> None:
    """Two processes that find the same gaps, then the same fillings."""
    stores = [await open_store() for _ in range(2)]
    await begin(stores[0], (HOUR, HOUR + 100), (HOUR + 120, HOUR + 300))
    both = check(HOUR, HOUR + 300)
    await asyncio.gather(*(continuity.verify(each, BTC, both) for each in stores))
    assert await entries(stores[0]) == [Entry(HOUR + 100, HOUR + 120, 20, "unknown", NOW)]
    await put(stores[0], (HOUR + 100, HOUR + 110))
    await asyncio.gather(*(continuity.verify(each, BTC, both) for each in stores))
    assert [(entry.end, entry.resolved_at) for entry in await entries(stores[0])] == [
        (HOUR + 110, NOW),
        (HOUR + 120, None),
    ]


async def test_a_gap_is_followed_to_its_true_start(store: Store) -> None:
    """Before the window that met it; the report speaks of the window alone."""
    await begin(store, (HOUR, HOUR + 100), (HOUR + 3000, END))
    found = await continuity.verify(store, BTC, check(HOUR + 1000, HOUR + 1010))
    assert found.gaps == [(HOUR + 1000, HOUR + 1010, "unknown")]
    assert spans(await entries(store)) == [(HOUR + 100, HOUR + 1010)]


async def test_a_gap_beside_the_window_is_not_its_business(store: Store) -> None:
    """Nor one between the window and an open gap near it, however they are read."""
    await begin(store, (HOUR, HOUR + 10), (HOUR + 20, HOUR + 30), (HOUR + 40, HOUR + 50), (HOUR + 60, HOUR + 70))
    await continuity.verify(store, BTC, check(HOUR + 5, HOUR + 25))
    found = await continuity.verify(store, BTC, check(HOUR + 60, HOUR + 70))
    assert found.opened == []
    assert spans(await entries(store)) == [(HOUR + 10, HOUR + 20)]


async def test_a_gap_that_goes_on_grows_in_one_entry(store: Store) -> None:
    """The collector is gone; each check sees more of it, the first was at NOW."""
    await begin(store, (HOUR, HOUR + 3000))
    for later in (0, 300, 4000, 4300):
        await continuity.verify(store, BTC, check(NOW + later - 930, NOW + later, NOW + later))
    [entry] = await entries(store)
    assert entry == Entry(HOUR + 3000, NOW + 4270, NOW + 4270 - HOUR - 3000, "unknown", NOW)


async def test_an_old_gap_is_checked_again_whatever_the_window(store: Store) -> None:
    """Rows that come a month late close it."""
    await begin(store, (HOUR, HOUR + 10), (HOUR + 20, END))
    await continuity.verify(store, BTC, check())
    await put(store, (HOUR + 10, HOUR + 20))
    month = NOW + 30 * 86_400
    found = await continuity.verify(store, BTC, check(month - 900, month, month))
    assert spans(found.resolved, is_open=False) == [(HOUR + 10, HOUR + 20)]
    assert spans(found.open) == [(END, month - 30)]


async def test_what_is_younger_than_the_grace_is_not_missing(store: Store) -> None:
    """A row may take 30 s to be stored."""
    await begin(store, (HOUR, END - 10))
    assert (await continuity.verify(store, BTC, check(end=END + 900, now=END + 20))).gaps == []
    late = await continuity.verify(store, BTC, check(end=END + 900, now=END + 25))
    assert late.gaps == [(END - 10, END - 5, "unknown")]
    assert late.window.end == END - 5


async def test_a_schedule_expects_nothing_before_the_first_epoch_ever_stored(store: Store) -> None:
    """By hand it is expected from the start that was named; what was before the first row is told, not kept."""
    await begin(store, (HOUR + 600, END))
    found = await continuity.verify(store, BTC, check())
    assert (found.window, found.gaps) == ((HOUR + 600, END), [])
    by_hand = await continuity.verify(store, BTC, check(by_hand=True))
    assert by_hand.gaps == [(HOUR, HOUR + 600, "unknown")]
    assert await entries(store) == []
    assert (await continuity.verify(store, BTC, check())).window == (HOUR + 600, END)


async def test_an_empty_table_owes_nothing_to_a_schedule(store: Store) -> None:
    """Nothing was due, so coverage is null, not one and not zero; by hand all is missing."""
    await begin(store)
    found = await continuity.verify(store, BTC, check())
    assert (found.coverage.expected, found.summary()["coverage"]) == (0, None)
    by_hand = await continuity.verify(store, BTC, check(by_hand=True))
    assert by_hand.summary()["gaps"] == [{"start": HOUR, "end": END, "missing": 3600, "cause": "unknown"}]


async def test_what_rows_are_kept_for_bounds_what_is_due(store: Store) -> None:
    """Rows older than RETENTION_DAYS may be deleted: they are no gap, and open gaps of that time are let be."""
    await begin(store, (HOUR, HOUR + 10), (HOUR + 20, HOUR + 3000))
    await continuity.verify(store, BTC, check(end=HOUR + 3000))
    await store.delete(BTC.name, keys((HOUR, HOUR + 2000)))
    kept = NOW - HOUR - 2500
    found = await continuity.verify(store, BTC, check(kept_seconds=kept))
    assert found.window.start == HOUR + 2500
    assert found.gaps == [(HOUR + 3000, END, "unknown")]
    assert spans(found.open) == [(HOUR + 3000, END)]
    assert spans(await entries(store)) == [(HOUR + 10, HOUR + 20), (HOUR + 3000, END)]


async def test_a_gap_longer_than_rows_are_kept_begins_where_they_end(store: Store) -> None:
    """All rows are gone, but the ledger knows that the table had begun; and the entry does not creep."""
    await begin(store, (HOUR, HOUR + 10))
    await continuity.verify(store, BTC, check(end=HOUR + 600, now=HOUR + 630))
    await store.delete(BTC.name, keys((HOUR, HOUR + 10)))
    for later in (0, 300, 600):
        now = NOW + later
        found = await continuity.verify(store, BTC, check(now - 900, now, now, kept_seconds=3100))
        assert found.coverage.missing == found.coverage.expected == 870
    assert spans(await entries(store)) == [(HOUR + 10, NOW + 570)]


async def test_causes_are_what_collectors_reported(store: Store) -> None:
    """A gap is cut where its cause changes; a report that comes late changes the cause, not the detection."""
    await begin(store, (HOUR, HOUR + 100), (HOUR + 200, END))
    await told(store, Report(HOUR + 90, HOUR + 120, "disconnect", "a"))
    await continuity.verify(store, BTC, check())
    await told(store, Report(HOUR + 130, HOUR + 200, "stopped", "a"), Report(HOUR + 300, HOUR + 310, "suspect", "a"))
    found = await continuity.verify(store, BTC, check(now=NOW + 300))
    assert found.gaps == [
        (HOUR + 100, HOUR + 120, "disconnect"),
        (HOUR + 120, HOUR + 130, "unknown"),
        (HOUR + 130, HOUR + 200, "stopped"),
    ]
    assert found.opened == []
    ledger = [(entry.start, entry.end, entry.missing, entry.cause, entry.detected_at) for entry in await entries(store)]
    assert ledger == [
        (HOUR + 100, HOUR + 120, 20, "disconnect", NOW),
        (HOUR + 120, HOUR + 130, 10, "unknown", NOW),
        (HOUR + 130, HOUR + 200, 70, "stopped", NOW),
        (HOUR + 300, HOUR + 310, 0, "suspect", NOW + 300),
    ]


async def test_keys_of_other_programs_are_no_rows(store: Store) -> None:
    """Another market, off the grid, not a key at all; also where only the newest key is asked for."""
    table = DepthTable("binance_btc_depth_5s", SYMBOL, Grid(interval=5))
    await begin(store, (HOUR, HOUR + 1000), (HOUR + 1100, END), table=table)
    foreign = [rowkey.encode(HOUR + 1050, "ETH/USDT"), rowkey.encode(HOUR + 1052, SYMBOL), f"{9_999_999_999 - HOUR}#"]
    await store.write(table.name, [Record(key, {"price": "1"}) for key in foreign])
    found = await continuity.verify(store, table, check(HOUR + 1053, END - 3))
    assert found.summary()["gaps"] == [{"start": HOUR + 1055, "end": HOUR + 1100, "missing": 9, "cause": "unknown"}]
    assert found.summary()["expected"] == 509
    ledger = store.scan(tables.gaps_table(table.name), *rowkey.bounds(0, END))
    assert [Entry.parse(record).span async for record in ledger] == [(HOUR + 1000, HOUR + 1100)]


async def test_a_ledger_row_of_another_program_is_passed_over(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """And said."""
    await begin(store, (HOUR, HOUR + 10), (HOUR + 20, END))
    await continuity.verify(store, BTC, check())
    await store.write(tables.gaps_table(BTC.name), [Record(rowkey.encode(HOUR + 500, SYMBOL), {"cause": "x"})])
    assert (await continuity.verify(store, BTC, check())).opened == []
    assert "is no gap" in caplog.text


async def test_without_the_table_it_fails_and_opens_no_gap(store: Store) -> None:
    """Nor does it make a ledger."""
    await store.ensure_table("another", ["price"])
    with pytest.raises(StoreRefused, match=BTC.name):
        await continuity.verify(store, BTC, check(by_hand=True))
    assert await store.tables() == ["another"]


async def test_the_recent_coverage_comes_from_the_ledger(store: Store) -> None:
    """24 h, 7 d and 30 d back, but not to before the first row; resolved gaps do not count."""
    day = 86_400
    await begin(store, (HOUR - 2 * day, HOUR - 2 * day + 10), (HOUR - 10, HOUR), (HOUR + 10, HOUR + 20))
    found = await continuity.verify(store, BTC, check(HOUR, HOUR + 20, HOUR + 50))
    assert {name: (each.expected, each.missing) for name, each in found.recent.items()} == {
        "24 h": (day, 10),
        "7 d": (2 * day + 20, 10),
        "30 d": (2 * day + 20, 10),
    }


async def test_what_is_too_old_is_deleted_with_all_that_is_known_of_it(store: Store) -> None:
    """Rows, gaps and reports that ended before the horizon; what reaches beyond it stays."""
    await begin(store, (HOUR, HOUR + 10), (HOUR + 20, HOUR + 30), (HOUR + 60, END))
    across = Report(HOUR + 30, HOUR + 60, "disconnect", "a")
    await told(store, Report(HOUR + 10, HOUR + 20, "silent", "a"), across)
    await continuity.verify(store, BTC, check())
    assert await continuity.expire(store, BTC, check(kept_seconds=NOW - HOUR - 50)) == 20
    assert [key async for key in store.keys(BTC.name, *rowkey.bounds(0, HOUR + 60))] == []
    assert spans(await entries(store)) == [(HOUR + 30, HOUR + 60)]
    left = store.scan(tables.collectors_table(BTC.name), *incidents.bounds(0, END))
    assert [Report.parse(record) async for record in left] == [across]


async def hours(store: Store, amount: int) -> tuple[int, float, float, int]:
    """Check some hours with a hole in each eighth.

    Returns:
        Holes found, seconds of processor and of wall clock, peak bytes.
    """
    end = HOUR + amount * 3600
    await begin(store)
    for start in range(HOUR, end, 3600):
        await put(store, (start, start + 3600))
    await store.delete(BTC.name, keys(*((start, start + 100) for start in range(HOUR + 777, end, 8 * 3600))))
    work, wall = time.process_time(), time.perf_counter()
    found = await continuity.verify(store, BTC, Check(HOUR, end, end + 30))
    work, wall = time.process_time() - work, time.perf_counter() - wall
    tracemalloc.start()
    await continuity.verify(store, BTC, Check(HOUR, end, end + 30))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return len(found.gaps), work, wall, peak


async def test_a_day_on_sqlite_is_less_than_a_second_of_work(tmp_path_factory: pytest.TempPathFactory) -> None:
    """86,400 keys; and it needs no more memory than eight hours do."""
    figures = []
    for amount in (8, 24):
        store = SqliteStore(tmp_path_factory.mktemp("hours") / "depth.db")
        figures.append(await hours(store, amount))
        await store.close()
    (_, _, _, less), (holes, work, _, peak) = figures
    assert holes == 3
    assert work < 1
    assert peak < 1.1 * less


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_day_on_the_emulator_is_less_than_ten_seconds(bigtable_host: str) -> None:
    """It sends each row in a message of its own; to write the day takes longer than to check it."""
    from depth.storage.bigtable import BigtableStore  # noqa: PLC0415 - as callers do, for that backend alone

    store = BigtableStore("project", f"i{uuid4().hex}", None, bigtable_host)
    holes, _, wall, _ = await hours(store, 24)
    await store.close()
    assert holes == 3
    assert wall < 10
