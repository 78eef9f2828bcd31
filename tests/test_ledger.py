"""The gap ledger, case by case; that windows do not matter is shown in test_continuity."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth import gaps, ledger
from depth.errors import MalformedRow
from depth.gaps import Interval
from depth.incidents import Report
from depth.ledger import UNKNOWN, Changes, Entry, Gap, Look
from depth.record import Record
from depth.tables import GAP_COLUMNS

DAY = [Interval(0, 1000)]
THEN, NOW = 5_000, 6_000

reports = st.lists(
    st.builds(
        Report,
        st.integers(0, 30),
        st.integers(0, 40),
        st.sampled_from(["silent", "disconnect", "suspect"]),
        st.just("c"),
    ),
    max_size=6,
)
spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6).map(gaps.merge)


def entry(start: int, end: int, cause: str = UNKNOWN, detected_at: int = THEN, **times: int) -> Entry:
    return Entry(start, end, end - start, cause, detected_at, **times)


def gap(start: int, end: int, cause: str = UNKNOWN) -> Gap:
    return Gap(start, end, cause)


def reconcile(
    entries: list[Entry], *found: Gap, checked: list[Interval] = DAY, interval: int = 1, lost_before: int = 0
) -> Changes:
    """Every gap is followed by a row, but for one that ends where the look does."""
    ends = {gap.end for gap in found} - {span.end for span in checked}
    return ledger.reconcile(entries, Look(checked, interval, NOW, lost_before, ends), list(found))


def test_nothing_missing_and_nothing_known_changes_nothing() -> None:
    """The usual case writes nothing."""
    assert reconcile([]) == Changes([], [], [], [], [])


def test_a_new_gap_is_written_and_told() -> None:
    """With the epochs of the grid counted."""
    changes = reconcile([], gap(10, 25), interval=5)
    assert changes.entries == changes.opened == [Entry(10, 25, 3, UNKNOWN, NOW)]
    assert changes.written == [(Entry(10, 25, 3, UNKNOWN, NOW), None)]


def test_a_known_gap_is_neither_written_nor_told_again() -> None:
    """However often it is seen."""
    known = entry(10, 20, opened_alert_at=THEN)
    assert reconcile([known], gap(10, 20)) == Changes([known], [], [], [], [])


@pytest.mark.parametrize(("start", "end"), [(10, 30), (5, 20), (5, 30)])
def test_a_grown_gap_keeps_its_detection_and_its_alerts(start: int, end: int) -> None:
    """At either end; a gap that begins earlier moves to another key, and its old row goes."""
    known = entry(10, 20, opened_alert_at=THEN + 5)
    changes = reconcile([known], gap(start, end))
    assert changes.entries == [
        replace(entry(start, end, opened_alert_at=THEN + 5), first_start=10 if start < 10 else None)
    ]
    assert changes.deleted == ([known] if start < 10 else [])
    assert changes.opened == changes.resolved == []


def test_a_filled_gap_is_resolved_once() -> None:
    """It keeps what is known of it; a later check leaves it alone."""
    known = entry(10, 20, "silent", opened_alert_at=THEN)
    changes = reconcile([known])
    assert changes.entries == changes.resolved == [replace(known, resolved_at=NOW)]
    assert changes.written == [(replace(known, resolved_at=NOW), known)]
    assert reconcile(changes.entries) == Changes(changes.entries, [], [], [], [])


def test_a_gap_that_fills_from_the_front_is_two_entries_of_one_name() -> None:
    """The spool ships oldest first: the filled part is resolved, the rest stays open with its alerts."""
    changes = reconcile([entry(10, 20, opened_alert_at=THEN)], gap(15, 20))
    late = entry(10, 15, opened_alert_at=THEN, resolved_at=NOW)
    left = entry(15, 20, opened_alert_at=THEN, first_start=10)
    assert changes.entries == [late, left]
    assert changes.resolved == [late]
    assert changes.opened == changes.deleted == []


def test_a_gap_that_fills_in_the_middle_is_three() -> None:
    """Shrunk on both sides of what came."""
    changes = reconcile([entry(10, 20)], gap(10, 13), gap(17, 20))
    assert changes.entries == [
        entry(10, 13),
        entry(13, 17, resolved_at=NOW, first_start=10),
        entry(17, 20, first_start=10),
    ]
    assert {each.gap for each in changes.entries} == {(THEN, 10)}


def test_gaps_that_grow_together_are_merged_into_the_oldest() -> None:
    """Its name, oldest detection, first alerts; the younger row goes."""
    one = entry(10, 20, detected_at=THEN + 9, growing_alert_at=THEN + 90)
    other = entry(30, 40, detected_at=THEN, opened_alert_at=THEN + 1)
    changes = reconcile([one, other], gap(10, 40))
    whole = entry(10, 40, opened_alert_at=THEN + 1, growing_alert_at=THEN + 90, first_start=30)
    assert changes.entries == [whole]
    assert changes.deleted == [other]
    assert changes.opened == []


def test_a_gap_of_two_causes_is_two_entries_of_one_name() -> None:
    """Cut where the cause changes; what was told of the whole is told of both."""
    changes = reconcile([entry(10, 30, opened_alert_at=THEN)], gap(10, 20, "disconnect"), gap(20, 30, "silent"))
    assert changes.entries == [
        entry(10, 20, "disconnect", opened_alert_at=THEN),
        entry(20, 30, "silent", opened_alert_at=THEN, first_start=10),
    ]
    assert changes.opened == []


def test_rows_that_vanish_again_are_a_new_gap() -> None:
    """A resolved gap whose rows were removed: found anew, and told anew; only the part that is missing."""
    known = entry(10, 20, opened_alert_at=THEN, resolved_at=THEN, resolved_alert_at=THEN)
    changes = reconcile([known], gap(10, 12), gap(15, 20))
    again = [entry(10, 12, detected_at=NOW), entry(15, 20, detected_at=NOW)]
    assert changes.entries == [again[0], replace(known, start=12, end=15, missing=3, first_start=10), again[1]]
    assert changes.opened == again
    assert changes.deleted == [known]  # a column cannot be emptied
    assert (again[0], None) in changes.written


def test_a_gap_that_nobody_can_fill_is_closed_once() -> None:
    """It had ended, and was known, when the check says that nothing older can come; it stays missing."""
    known = [entry(10, 20, opened_alert_at=THEN), entry(30, 40, detected_at=THEN + 1), entry(50, 60, detected_at=40)]
    found = [gap(*each.span) for each in known]
    changes = reconcile(known, *found, lost_before=THEN)
    lost = [replace(known[0], lost_at=NOW), replace(known[2], lost_at=NOW)]
    assert changes.entries == [lost[0], known[1], lost[1]]
    assert lost[0].open
    assert changes.opened == changes.resolved == []
    again = reconcile(changes.entries, *found, lost_before=0)
    assert again == Changes(changes.entries, [], [], [], [])
    assert reconcile(known[2:], found[2], lost_before=59).entries == known[2:]


def test_a_gap_whose_end_was_not_seen_is_not_lost() -> None:
    """It may go on behind what was looked at."""
    known = [entry(980, 990), entry(995, 1000)]
    changes = reconcile(known, gap(980, 990), gap(995, 1000), lost_before=THEN)
    assert [each.lost_at for each in changes.entries] == [NOW, None]


def test_rows_of_a_lost_gap_that_come_after_all_resolve_it() -> None:
    """It keeps the time at which it was closed, and what was told of it."""
    known = entry(10, 20, opened_alert_at=THEN, resolved_alert_at=THEN, lost_at=THEN)
    assert reconcile([known]).entries == [replace(known, resolved_at=NOW)]
    assert reconcile([known], gap(15, 20)).entries == [
        replace(known, end=15, missing=5, resolved_at=NOW),
        replace(known, start=15, missing=5, first_start=10),
    ]


def test_a_lost_gap_that_goes_on_is_lost_no_more() -> None:
    """Its row goes first, since a column cannot be emptied; what was told of it was told."""
    known = entry(10, 20, opened_alert_at=THEN, resolved_alert_at=THEN, lost_at=THEN)
    changes = reconcile([known], gap(10, 30))
    assert changes.entries == [entry(10, 30, opened_alert_at=THEN, resolved_alert_at=THEN)]
    assert changes.deleted == [known]
    later = reconcile([known], gap(10, 30), lost_before=THEN)
    assert later.entries == [replace(known, end=30, missing=20)]


def test_what_was_not_looked_at_stays_as_it_was() -> None:
    """Open or resolved, whole or in part."""
    entries = [entry(10, 20), entry(30, 40), entry(50, 60, resolved_at=THEN)]
    changes = reconcile(entries, checked=[Interval(35, 45)])
    assert changes.entries == [entries[0], entry(30, 35), entry(35, 40, resolved_at=NOW, first_start=30), entries[2]]


def test_overlapping_entries_of_two_checks_at_the_same_time_are_put_right() -> None:
    """The one that begins first keeps the seconds."""
    changes = reconcile([entry(10, 25), entry(20, 40)], gap(10, 40))
    assert changes.entries == [entry(10, 40)]
    assert changes.deleted == [entry(20, 40)]
    filled = reconcile([entry(10, 25), entry(20, 40)])
    assert filled.entries == [entry(10, 25, resolved_at=NOW), entry(25, 40, resolved_at=NOW, first_start=20)]


@given(spans, reports, st.lists(st.tuples(st.sampled_from(["late", "starting", UNKNOWN]), spans), max_size=4))
def test_every_missing_epoch_has_the_cause_that_its_reports_give(
    missing: list[Interval], told: list[Report], otherwise: list[tuple[str, list[Interval]]]
) -> None:
    """Epoch by epoch: the report that begins first, then the longest; else the first that is known otherwise."""

    def cause(epoch: int) -> str:
        about = [report for report in told if report.start <= epoch < report.end and report.cause != "suspect"]
        if about:
            return min(about, key=lambda report: (report.start, -report.end, report.cause)).cause
        known = (cause for cause, spans in otherwise if any(start <= epoch < end for start, end in spans))
        return next(known, UNKNOWN)

    found = ledger.explain(missing, told, otherwise)
    given_causes = {epoch: gap.cause for gap in found for epoch in range(gap.start, gap.end)}
    assert given_causes == {epoch: cause(epoch) for start, end in missing for epoch in range(start, end)}
    assert found == sorted(found)
    for one, other in pairwise(found):
        assert one.end < other.start or (one.end == other.start and one.cause != other.cause)


def test_suspicions_are_entries_of_their_own_with_nothing_missing() -> None:
    """Once each, beside a gap that begins at the same second."""
    told = [Report(10, 20, "suspect", "a"), Report(10, 25, "suspect", "b"), Report(10, 12, "silent", "a")]
    [found] = ledger.suspicions([entry(10, 12, "silent")], told, NOW)
    assert found == Entry(10, 25, 0, "suspect", NOW)
    assert not found.open
    assert found.key("BTC/USDT") == "9999999989#BTCUSDT#suspect"
    assert ledger.suspicions([found], told, NOW) == []


@given(
    st.builds(Entry, *[st.integers(0, 9_999_999_999)] * 3, st.text(), st.integers(0), *[st.none() | st.integers(0)] * 6)
)
def test_an_entry_comes_back_from_its_columns(stored: Entry) -> None:
    """Whatever it holds; what is None has no column."""
    columns = stored.columns()
    assert Entry.parse(Record(stored.key("BTC/USDT"), columns)) == stored
    assert list(columns) == [name for name in GAP_COLUMNS if getattr(stored, name) is not None]


def test_an_alert_time_that_did_not_change_is_not_written() -> None:
    """Another process may have claimed the alert between our reading and our writing."""
    known = entry(10, 20, opened_alert_at=THEN)
    assert set(replace(known, end=30).columns(known)) == {"start", "end", "missing", "cause", "detected_at"}
    assert "resolved_at" in replace(known, resolved_at=NOW).columns(known)


@pytest.mark.parametrize("columns", [{}, {"start": "1"}, {"start": "x", "cause": "y"}, {"cause": "unknown"}])
def test_a_row_that_is_no_entry_is_malformed(columns: dict[str, str]) -> None:
    """And says which."""
    with pytest.raises(MalformedRow, match="8231945634#BTCUSDT is no gap"):
        Entry.parse(Record("8231945634#BTCUSDT", columns))
