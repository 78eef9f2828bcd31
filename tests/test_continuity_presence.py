"""Continuity and the collectors: what is pending, why it is missing, and when it is lost; on both stores."""

from typing import Any

import msgspec

from depth import continuity, presence, tables
from depth.incidents import Report
from depth.presence import Presence
from depth.storage.base import Store
from tests.checks import ALWAYS, BTC, END, HOUR, NOW, begin, check, entries, put, seen, spans, told


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
