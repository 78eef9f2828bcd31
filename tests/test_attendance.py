"""What presence rows tell of missing epochs, held against a model epoch by epoch."""

from collections.abc import Iterable
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import ledger
from depth.attendance import Attendance
from depth.gaps import Interval
from depth.incidents import Report
from depth.ledger import Entry
from depth.presence import BEACON_SECONDS, Presence

NOW = 1000
FIRST = NOW - 620

QUICKLY = settings(max_examples=300, deadline=None)

epochs = st.integers(FIRST, NOW)
runs = st.builds(
    Presence,
    st.sampled_from("abc"),
    st.just("zone"),
    scheduled=epochs,
    state=st.sampled_from(["unchained", "chained", "stopped"]),
    seen_at=st.floats(NOW - 60, NOW + 5) | st.floats(FIRST, NOW),
    first_epoch=st.none() | epochs,
    last_epoch=st.none() | epochs,
    captured_epoch=st.none() | epochs,
    oldest_spooled=st.none() | epochs,
    began=st.none() | epochs,
    spool=st.sampled_from(["", "disk", "other"]),
)
reports = st.lists(
    st.builds(Report, epochs, epochs, st.sampled_from(["silent", "suspect"]), st.sampled_from("abc")), max_size=3
)
intervals = st.sampled_from([1, 5, 7])


def members(spans: Iterable[tuple[int, int]], interval: int) -> set[int]:
    return {epoch for start, end in spans for epoch in range(start, end) if epoch % interval == 0}


def waits(run: Presence, epoch: int) -> bool:
    """It captured the epoch, and its spool, or what the store has, does not begin after it."""
    if run.first_epoch is None or run.captured_epoch is None or epoch > run.captured_epoch:
        return False
    if run.oldest_spooled is not None:
        return epoch >= run.oldest_spooled
    return epoch >= run.first_epoch if run.last_epoch is None else epoch > run.last_epoch


@QUICKLY
@given(st.lists(runs, max_size=4), reports, intervals)
def test_an_epoch_is_pending_while_a_live_collector_may_bring_it(
    presences: list[Presence], told: list[Report], interval: int
) -> None:
    """Seen within 30 s; captured and waiting, or later than its last with a whole chain; not reported; ten minutes."""

    def may_bring(run: Presence, epoch: int) -> bool:
        quiet = run.state == "chained" and run.captured_epoch is not None and epoch > run.captured_epoch
        lost = any(
            each.collector == run.collector and each.cause != "suspect" and each.start <= epoch < each.end
            for each in told
        )
        return run.seen_at >= NOW - 30 and run.state != "stopped" and (waits(run, epoch) or quiet) and not lost

    found = Attendance(presences, interval, NOW, 0).pending(told)
    due = range(-(-FIRST // interval) * interval, NOW, interval)
    assert members(found, interval) == {
        epoch for epoch in due if epoch > NOW - 600 and any(may_bring(run, epoch) for run in presences)
    }
    assert all(one.end < other.start for one, other in pairwise(found))


@QUICKLY
@given(st.lists(runs.map(lambda run: msgspec.structs.replace(run, spool="")), max_size=4), intervals, epochs)
def test_every_epoch_that_no_report_explains_has_the_first_cause_that_fits(
    presences: list[Presence], interval: int, since: int
) -> None:
    """In a spool; somebody captured then; somebody was there; nobody was. Long ago what the ledger says counts.

    Five seconds between two runs are no absence: each says only every five seconds that it is there.
    """
    known = [Entry(385, 420, 35, "silent", NOW), Entry(455, 1050, 595, "no collector", NOW)]  # on every grid
    due = range(-(-FIRST // interval) * interval, NOW, interval)

    def there(run: Presence, epoch: int, since_when: int | None) -> bool:
        seen = NOW if run.seen_at >= NOW - 30 else run.seen_at
        if run.state == "stopped":
            seen = run.seen_at if run.captured_epoch is None else run.captured_epoch + 1
        return since_when is not None and since_when <= epoch < seen

    def cause(epoch: int) -> str:
        if epoch < since:
            return next((entry.cause for entry in known if entry.start <= epoch < entry.end), "unknown")
        if any(waits(run, epoch) for run in presences):
            return "store late"
        if epoch in capturing or epoch in bridged:
            return "unknown"
        began = ((run, run.scheduled if run.began is None else run.began) for run in presences)
        return "starting" if any(there(run, epoch, start) for run, start in began) else "no collector"

    capturing = [each for each in due if any(there(run, each, run.first_epoch) for run in presences)]
    bridged = {
        epoch
        for one, other in pairwise(capturing)
        if other - one - interval <= BEACON_SECONDS
        for epoch in range(one, other, interval)
    }
    missing = Interval(due[0], due[-1] + interval)
    found = ledger.explain([missing], [], Attendance(presences, interval, NOW, since).causes(known))
    assert {epoch: gap.cause for gap in found for epoch in range(gap.start, gap.end, interval)} == {
        epoch: cause(epoch) for epoch in due
    }


def run(name: str, seen_at: float, oldest: int | None, spool: str = "disk") -> Presence:
    return Presence(name, "zone", 0, "chained", seen_at, oldest_spooled=oldest, spool=spool)


def lost_before(*presences: Presence, now: int = NOW) -> int:
    return Attendance(presences, 1, now, 0).lost_before


def test_a_gap_is_lost_after_ten_minutes() -> None:
    """Where nothing waits, or nothing that old."""
    assert lost_before() == lost_before(run("a", NOW, None)) == lost_before(run("a", NOW, NOW - 600)) == NOW - 600


def test_what_waits_in_a_spool_may_fill_a_gap_for_seven_days() -> None:
    """Of a live run or of one that was last seen with it; the oldest counts."""
    assert lost_before(run("a", 20.0, 15), run("b", NOW, 700, spool="other")) == 15
    week = 7 * 86_400
    assert lost_before(run("a", 20.0, 15), now=week + 15) == 15
    assert lost_before(run("a", 20.0, 15), now=week + 16) == 16


def test_what_a_run_left_in_a_spool_is_its_heir_s_to_tell() -> None:
    """A minute later whoever uses the file has adopted it; on another file, or where none is named, nobody has."""
    left = run("a", 20.0, 15)
    assert lost_before(left, run("b", 79.9, None)) == 15
    assert lost_before(left, run("b", 80.0, None)) == NOW - 600
    assert lost_before(left, run("b", 80.0, 17)) == 17
    assert lost_before(left, run("b", 80.0, None, spool="other")) == 15
    assert lost_before(run("a", 20.0, 15, spool=""), run("b", 80.0, None, spool="")) == 15
