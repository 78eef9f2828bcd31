"""Continuity: what a check finds, what it leaves in the ledger, on both stores."""

import asyncio
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import continuity, gaps, incidents, presence, rowkey, tables
from depth.catalog import DepthTable
from depth.continuity import Check
from depth.epochs import Grid
from depth.errors import StoreRefused
from depth.gaps import Interval
from depth.incidents import Report
from depth.ledger import Entry
from depth.presence import Presence
from depth.record import Record
from depth.storage.base import Store
from depth.storage.sqlite import SqliteStore
from tests.memory import MemoryStore

Opener = Callable[[], Awaitable[Store]]

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


async def test_a_gap_that_nobody_can_fill_is_lost_once(store: Store) -> None:
    """Ten minutes after it was found, if a row follows it; what comes after all resolves it without a message."""
    await begin(store, (HOUR, HOUR + 10), (HOUR + 20, END - 100))
    for now in (NOW, NOW + 300):
        [gap, _] = (await continuity.verify(store, BTC, check(now=now))).open
        assert gap.lost_at is None
    for message in (await continuity.verify(store, BTC, check(now=NOW + 300))).due:
        await continuity.mark(store, BTC, message, NOW + 300)
    found = await continuity.verify(store, BTC, check(now=NOW + 600))
    assert [each.lost_at for each in found.open] == [NOW + 600, None]  # nothing follows the last one
    [lost] = found.due
    assert (lost.event, lost.start, lost.end) == ("lost", HOUR + 10, HOUR + 20)
    await continuity.mark(store, BTC, lost, NOW + 601)
    assert found.coverage.missing == 110
    assert (await continuity.verify(store, BTC, check(now=NOW + 605))).due == []
    await put(store, (HOUR + 10, HOUR + 20))
    late = await continuity.verify(store, BTC, check(now=NOW + 900))
    assert (spans(late.resolved, is_open=False), late.due) == ([(HOUR + 10, HOUR + 20)], [])


async def test_a_gap_whose_rows_a_spool_may_hold_is_not_lost_for_a_week(store: Store) -> None:
    """A run that was seen last with older rows in its spool may come back."""
    await begin(store, (HOUR, HOUR + 10), (HOUR + 20, END))
    gone = Presence("gone", "a", HOUR, "chained", HOUR + 30, HOUR, HOUR + 9, HOUR + 25, HOUR + 19, 7, spool="disk")
    await seen(store, gone)
    for later, lost_at in ((0, None), (3600, None), (7 * 86_400, NOW + 7 * 86_400)):
        [gap] = (await continuity.verify(store, BTC, check(now=NOW + later))).open[:1]
        assert gap.lost_at == lost_at
    [gap] = (await continuity.verify(store, BTC, check(now=NOW + 8 * 86_400))).open[:1]
    assert gap.lost_at == NOW + 7 * 86_400


async def test_a_gap_is_lost_once_what_its_spool_held_was_shipped(store: Store) -> None:
    """Another run has used the file since, and holds nothing that old."""
    await begin(store, (HOUR, HOUR + 10), (HOUR + 20, END))
    gone = Presence("gone", "a", HOUR, "chained", HOUR + 30, HOUR, HOUR + 9, HOUR + 25, HOUR + 19, 7, spool="disk")
    await seen(store, gone, Presence("heir", "a", HOUR + 40, "unchained", HOUR + 90, spool="disk"))
    await continuity.verify(store, BTC, check())
    [gap] = (await continuity.verify(store, BTC, check(now=NOW + 600))).open[:1]
    assert gap.lost_at == NOW + 600


def collecting(captured: int, oldest: int | None, **changes: Any) -> Presence:
    """A run that is live at NOW and has captured since HOUR."""
    run = Presence("me", "a", HOUR - 5, "chained", NOW - 3.5, HOUR, (oldest or captured + 1) - 1, captured, oldest)
    return msgspec.structs.replace(run, **changes)


async def alone(store: Store, *stored: tuple[int, int]) -> None:
    """Store rows; nobody's presence."""
    await begin(store, *stored)
    await store.delete(tables.collectors_table(BTC.name), [presence.encode(ALWAYS).key])


async def test_what_waits_in_a_live_spool_is_pending_and_no_gap(store: Store) -> None:
    """The window ends before it; nothing is written, however often it is checked."""
    await alone(store, (HOUR, END - 100))
    await seen(store, collecting(END + 20, END - 100))
    for _ in range(2):
        found = await continuity.verify(store, BTC, check())
        assert (found.window, found.gaps, found.pending) == ((HOUR, END - 100), [], 100)
        assert found.summary()["present"] == found.summary()["expected"] == 3500
        assert found.summary()["coverage"] == 1.0
        assert found.recent["24 h"].expected == 3500
        assert await entries(store) == []


async def test_a_pending_epoch_inside_the_window_is_not_expected(store: Store) -> None:
    """It is neither present nor missing; a gap beside it is a gap."""
    await alone(store, (HOUR, END - 100), (END - 50, END))
    await seen(store, collecting(END + 20, END - 80))
    found = await continuity.verify(store, BTC, check())
    assert found.gaps == [(END - 100, END - 80, "unknown")]
    assert (found.window.end, found.pending) == (END, 30)
    assert found.summary()["expected"] == 3570
    assert found.summary()["present"] == 3550
    assert found.recent["24 h"] == found.coverage
    assert spans(await entries(store)) == [(END - 100, END - 80)]


async def test_quiet_is_pending(store: Store) -> None:
    """No event has come since the last row, and the chain is whole; a broken chain brings nothing."""
    await alone(store, (HOUR, END - 100))
    await seen(store, collecting(END - 101, None))
    assert (await continuity.verify(store, BTC, check())).pending == 100
    await seen(store, collecting(END - 101, None, state="unchained"))
    assert (await continuity.verify(store, BTC, check())).gaps == [(END - 100, END, "unknown")]


async def test_after_ten_minutes_what_is_pending_is_a_gap_with_a_cause(store: Store) -> None:
    """`store late`; and it goes on as long as its end moves."""
    await alone(store, (HOUR, END - 1000))
    await seen(store, collecting(END + 20, END - 1000))
    found = await continuity.verify(store, BTC, check())
    assert found.gaps == [(END - 1000, NOW - 599, "store late")]
    assert (found.window.end, found.pending) == (NOW - 599, 569)
    await seen(store, collecting(NOW + 600, END - 1000, seen_at=NOW + 699.0))
    await continuity.verify(store, BTC, check(now=NOW + 300, end=NOW + 300))
    [message] = (await continuity.verify(store, BTC, check(now=NOW + 700, end=NOW + 700))).due
    assert (message.event, message.end, message.cause) == ("opened", NOW + 101, "store late")
    await continuity.mark(store, BTC, message, NOW + 700)
    await seen(store, collecting(NOW + 1300, END - 1000, seen_at=NOW + 1299.0))
    [message] = (await continuity.verify(store, BTC, check(now=NOW + 1300, end=NOW + 1300))).due
    assert (message.event, message.end) == ("growing", NOW + 701)


async def test_a_dead_collector_s_rows_are_not_waited_for(store: Store) -> None:
    """It was seen last over 30 s ago: a gap at once, and why."""
    await alone(store, (HOUR, END - 100))
    await seen(store, collecting(END - 40, END - 100, seen_at=NOW - 31.0))
    found = await continuity.verify(store, BTC, check())
    assert found.gaps == [
        (END - 100, END - 39, "store late"),
        (END - 39, END - 1, "unknown"),
        (END - 1, END, "no collector"),
    ]
    assert found.pending == 0


async def test_what_a_live_collector_reports_lost_is_not_waited_for(store: Store) -> None:
    """Its word about itself; another one's does not count."""
    await alone(store, (HOUR, END - 100))
    await told(store, Report(END - 100, END - 60, "crossed", "me"), Report(END - 60, END - 30, "stopped", "other"))
    await seen(store, collecting(END + 20, END - 100))
    found = await continuity.verify(store, BTC, check())
    assert found.gaps == [(END - 100, END - 60, "crossed")]
    assert found.pending == 60


async def test_what_is_known_as_a_gap_stays_one_until_its_rows_come(store: Store) -> None:
    """Even if a spool turns out to hold them."""
    await alone(store, (HOUR, END - 100), (END - 50, END))
    await continuity.verify(store, BTC, check())
    await seen(store, collecting(END + 20, END - 100))
    found = await continuity.verify(store, BTC, check(now=NOW + 1))
    assert found.gaps == [(END - 100, END - 50, "store late")]
    assert (found.pending, found.resolved) == (0, [])
    assert [each.detected_at for each in await entries(store)] == [NOW]


async def test_without_a_collector_that_is_the_cause(store: Store) -> None:
    """Neither live nor known for the time; one that had no second yet was starting."""
    await alone(store, (HOUR, HOUR + 100), (HOUR + 200, END))
    before = Presence("a", "zone", HOUR - 9, "chained", HOUR + 99.2, HOUR, HOUR + 99, HOUR + 99)
    after = Presence("b", "zone", HOUR + 150, "chained", END + 20.0, HOUR + 200, END, END, began=HOUR + 190)
    await seen(store, before, after)
    found = await continuity.verify(store, BTC, check())
    assert found.gaps == [(HOUR + 100, HOUR + 190, "no collector"), (HOUR + 190, HOUR + 200, "starting")]


async def test_why_an_old_gap_was_is_not_forgotten_with_its_runs(store: Store) -> None:
    """After 35 days their presence is deleted; what the ledger says stays, and of an older gap nothing is known."""
    await alone(store, (HOUR, HOUR + 100), (HOUR + 200, END - 100), (END - 50, END))
    await seen(store, Presence("a", "zone", HOUR - 9, "chained", HOUR + 150.0, HOUR, HOUR + 99, HOUR + 99))
    await continuity.verify(store, BTC, check(end=HOUR + 1000))
    causes = ["unknown", "no collector"]
    assert [each.cause for each in await entries(store)] == causes
    later = check(now=NOW + 40 * 86_400)
    await continuity.expire(store, BTC, later)
    assert [key async for key in store.keys(tables.collectors_table(BTC.name), presence.PREFIX, presence.END)] == []
    found = await continuity.verify(store, BTC, later)
    assert [cause for _, _, cause in found.gaps] == [*causes, "unknown"]
    assert [each.cause for each in await entries(store)] == [*causes, "unknown"]


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
    """By hand it is expected from the start that was named."""
    await begin(store, (HOUR + 600, END))
    found = await continuity.verify(store, BTC, check())
    assert (found.window, found.gaps) == ((HOUR + 600, END), [])
    by_hand = await continuity.verify(store, BTC, check(by_hand=True))
    assert by_hand.gaps == [(HOUR, HOUR + 600, "unknown")]
    assert spans(await entries(store)) == [(HOUR, HOUR + 600)]


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


HORIZON = 60


@dataclass
class World:
    """A model of table and ledger, epoch by epoch; what `verify` must agree with."""

    stored: set[int] = field(default_factory=set)
    open: dict[int, int] = field(default_factory=dict)  # epoch to detected_at
    resolved: dict[int, tuple[int, int]] = field(default_factory=dict)  # epoch to detected_at, resolved_at
    lost: dict[int, int] = field(default_factory=dict)  # of those that are open: epoch to lost_at

    def check(self, start: int, end: int, now: int) -> None:
        """Look at a window and at what is open, and from there back."""
        began = min([*self.stored, *self.open, *self.resolved], default=HORIZON)
        touched = set(range(max(start, began), end)) | set(self.open)
        absent = gaps.subtract([Interval(began, HORIZON)], gaps.merge((epoch, epoch + 1) for epoch in self.stored))
        for epoch in self.stored & set(self.open):
            self.resolved[epoch] = (self.open.pop(epoch), now)
            self.lost.pop(epoch, None)
        for run in absent:
            if seen := touched & set(range(*run)):
                epochs = range(run.start, max(seen) + 1)
                known = [epoch for epoch in epochs if epoch in self.open]
                detected = min((self.open[epoch] for epoch in known), default=now)
                stays = bool(known) and known[-1] == epochs[-1] and set(known) <= set(self.lost)
                is_over = epochs.stop in self.stored and detected <= now - 600
                lost_at = min([now, *(self.lost[epoch] for epoch in known if epoch in self.lost)])
                for epoch in epochs:
                    self.open[epoch] = detected
                    self.resolved.pop(epoch, None)
                    self.lost.pop(epoch, None)
                    if is_over or stays:
                        self.lost[epoch] = lost_at


actions = st.lists(
    st.one_of(
        st.tuples(st.just("check"), st.integers(0, HORIZON), st.integers(0, HORIZON)),
        st.tuples(st.just("store"), st.integers(0, HORIZON), st.integers(0, 25)),
        st.tuples(st.just("lose"), st.integers(0, HORIZON), st.integers(0, 25)),
    ),
    max_size=12,
)


async def play(script: list[tuple[str, int, int]]) -> None:
    store, world = MemoryStore(), World()
    await begin(store, (5, HORIZON))
    world.stored = set(range(5, HORIZON))
    for now, (action, one, other) in zip(count(1000, 400), script, strict=False):
        span = set(range(one, min(one + other, HORIZON)))
        if action == "store":
            await put(store, *((epoch, epoch + 1) for epoch in span))
            world.stored |= span
        elif action == "lose":
            await store.delete(BTC.name, keys(*((epoch, epoch + 1) for epoch in span)))
            world.stored -= span
        else:
            start, end = sorted((one, other))
            await continuity.verify(store, BTC, Check(start, end, now, grace=now - HORIZON))
            world.check(start, end, now)
            before = store.writes
            await continuity.verify(store, BTC, Check(start, end, now + 1, grace=now + 1 - HORIZON))
            assert store.writes == before
        await agrees(store, world)


async def agrees(store: MemoryStore, world: World) -> None:
    """The ledger is what the model says, in entries that share no epoch; open ones are as long as can be."""
    await store.ensure_table(tables.gaps_table(BTC.name), ())
    found = await entries(store)
    for one, other in pairwise(found):
        assert one.end <= other.start
        assert not (one.open and other.open and one.end == other.start)
    assert {epoch: entry.detected_at for entry in found if entry.open for epoch in range(*entry.span)} == world.open
    assert {
        epoch: entry.lost_at
        for entry in found
        if entry.open and entry.lost_at is not None
        for epoch in range(*entry.span)
    } == world.lost
    assert {
        epoch: (entry.detected_at, entry.resolved_at)
        for entry in found
        if not entry.open
        for epoch in range(*entry.span)
    } == world.resolved


@settings(max_examples=300, deadline=None)
@given(actions)
def test_the_ledger_says_of_every_epoch_what_happened_to_it(script: list[tuple[str, int, int]]) -> None:
    """Rows come, go and come again between checks of any windows; each check made twice changes nothing more."""
    asyncio.run(play(script))


windows = st.lists(st.tuples(st.integers(0, HORIZON), st.integers(0, HORIZON)).map(sorted), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.sets(st.integers(0, HORIZON - 1)), windows, st.randoms(use_true_random=False))
def test_any_overlap_and_order_of_windows_gives_the_same_ledger(
    stored: set[int], parts: list[list[int]], random: Random
) -> None:
    """One check of everything, or checks of parts that cover it, in any order."""
    reports = [Report(3, 20, "disconnect", "a"), Report(10, 40, "silent", "b")]

    async def ledger(*checks: list[int]) -> list[Entry]:
        store = MemoryStore()
        await begin(store, *((epoch, epoch + 1) for epoch in stored))
        await told(store, *reports)
        await store.ensure_table(tables.gaps_table(BTC.name), ())
        for now in (1000, 1600):  # the second time what is over is lost
            for start, end in checks:
                await continuity.verify(store, BTC, Check(start, end, now, grace=now - HORIZON))
        return await entries(store)

    halves = [*parts, [0, HORIZON // 2], [HORIZON // 2, HORIZON]]
    random.shuffle(halves)
    assert asyncio.run(ledger(*halves)) == asyncio.run(ledger([0, HORIZON]))


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
