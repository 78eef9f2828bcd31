"""Which messages about gaps are due: case by case, and along any history."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from depth import due, gaps, ledger
from depth.due import Due
from depth.gaps import Interval
from depth.ledger import UNKNOWN, Entry, Gap, Look

TABLE = "binance_btc_depth"
THEN, NOW = 5_000, 5_300


def entry(start: int, end: int, cause: str = UNKNOWN, detected_at: int = THEN, **times: int) -> Entry:
    return Entry(start, end, end - start, cause, detected_at, **times)


def events(*entries: Entry, now: int = NOW, settled: int | None = None) -> list[str]:
    return [message.event for message in due.due(entries, now, settled)]


def test_a_gap_is_told_of_when_a_second_check_confirms_it() -> None:
    """Not by the check that finds it; and no more once that is noted."""
    assert events(entry(10, 20), now=THEN) == []
    assert events(entry(10, 20)) == ["opened"]
    assert events(entry(10, 20, opened_alert_at=NOW)) == []


def test_a_gap_that_was_filled_before_it_was_confirmed_is_never_told_of() -> None:
    """Late rows are no news; a part that is still missing is."""
    filled = entry(10, 15, resolved_at=NOW)
    assert events(filled) == []
    [message] = due.due([filled, entry(15, 20, first_start=10)], NOW)
    assert (message.event, message.start, message.end, message.missing) == ("opened", 10, 20, 5)


def test_entries_of_one_gap_are_one_message_and_the_largest_cause_comes_first() -> None:
    """A gap is cut where its cause changes; of equal shares the alphabet decides."""
    parts = [
        entry(10, 12, "silent"),
        entry(12, 20, "disconnect", first_start=10),
        entry(20, 22, "crossed", first_start=10),
    ]
    other = entry(30, 40)
    found = due.due([other, *reversed(parts)], NOW)
    assert found == [
        Due("opened", 10, 22, 12, "disconnect, crossed, silent", tuple(parts)),
        Due("opened", 30, 40, 10, UNKNOWN, (other,)),
    ]


@pytest.mark.parametrize(
    ("end", "settled", "said"),
    [(THEN + 601, THEN + 601, ["growing"]), (THEN + 600, THEN + 600, []), (THEN + 700, THEN + 701, [])],
)
def test_a_gap_that_goes_on_for_ten_minutes_is_told_of_again(end: int, settled: int, said: list[str]) -> None:
    """Ten minutes after its detection, if it reaches what has been looked at; one that has ended does not grow."""
    known = entry(10, end, opened_alert_at=THEN + 300)
    assert events(known, now=end + 60, settled=settled) == said
    assert events(replace(known, growing_alert_at=end), now=end + 60, settled=settled) == []


def test_a_gap_reaches_the_present_within_a_minute_where_the_check_does_not_say() -> None:
    """30 s for rows to be stored, and as much again."""
    known = entry(10, THEN + 700, opened_alert_at=THEN)
    assert events(known, now=THEN + 760) == ["growing"]
    assert events(known, now=THEN + 761) == []


def test_a_filled_gap_is_resolved_once() -> None:
    """All of it, and only if it was told of."""
    known = entry(10, 20, opened_alert_at=THEN, resolved_at=NOW)
    assert events(known, entry(20, 30, first_start=10, opened_alert_at=THEN)) == []
    [message] = due.due([known, entry(20, 30, "silent", first_start=10, resolved_at=NOW)], NOW)
    assert (message.event, message.missing, message.cause) == ("resolved", 20, "silent, unknown")
    assert events(replace(known, resolved_alert_at=NOW)) == []


def test_a_lost_gap_is_told_of_once_and_instead_of_resolved() -> None:
    """When all that is still missing is lost; what comes after all makes no second message."""
    known = entry(10, 20, opened_alert_at=THEN, resolved_at=NOW)
    left = entry(20, 30, opened_alert_at=THEN, lost_at=NOW, first_start=10)
    [message] = due.due([known, left], NOW)
    assert (message.event, message.start, message.end, message.missing) == ("lost", 10, 30, 10)
    told = [new for new, _ in due.sent([known, left], message, NOW)]
    assert {each.resolved_alert_at for each in told} == {NOW}
    assert events(*told) == []
    assert events(*(replace(each, resolved_at=NOW) for each in told)) == []


def test_a_gap_that_is_old_when_it_is_found_is_told_of_before_it_is_lost() -> None:
    """One message at a time."""
    known = entry(10, 20, lost_at=THEN)
    assert events(known) == ["opened"]
    assert events(replace(known, opened_alert_at=NOW)) == ["lost"]


def test_suspicions_are_no_gaps() -> None:
    """Their rows are stored, and whoever found them has told."""
    assert events(entry(10, 20, "suspect")) == []


def test_what_was_sent_is_noted_in_the_gap_as_it_is_now() -> None:
    """Another check has cut it meanwhile; other gaps, suspicions, and what was noted before stay."""
    [message] = due.due([entry(10, 20)], NOW)
    others = [entry(30, 40), entry(10, 12, "suspect")]
    now = [entry(10, 15, opened_alert_at=THEN), entry(15, 20, first_start=10)]
    assert due.sent([*others, *now], message, NOW) == [(replace(now[1], opened_alert_at=NOW), now[1])]
    assert message.key(TABLE) == "binance_btc_depth/10/5000/opened"


steps = st.lists(
    st.tuples(
        st.sampled_from(["store", "lose", "wait"]),
        st.integers(0, 40),
        st.integers(0, 12),
        st.sampled_from([0, 1005, 1010, 1015]),  # what was known by then is lost
        st.booleans(),  # whether messages get through
    ),
    max_size=15,
)


@settings(max_examples=300, deadline=None)
@given(steps)
@example(
    [
        *[("store", 0, 0, 0, False)] * 3,
        ("lose", 2, 1, 0, False),
        ("lose", 0, 1, 0, False),
        ("store", 0, 0, 1005, True),
        ("lose", 2, 2, 0, True),
        ("lose", 0, 2, 0, False),
    ]
).via("a gap told of as lost is swallowed by an older one that is open")
def test_whatever_happens_each_message_is_sent_once_and_in_its_order(
    script: list[tuple[str, int, int, int, bool]],
) -> None:
    """Rows come and go, gaps grow together and are cut, messages are held up: none twice, and none without its first.

    At the end, when all rows are there, every gap that was told of is known to be over, but for those that another
    one has swallowed.
    """
    stored, entries, sent = set(range(40)), list[Entry](), Counter[str]()

    def check(now: int, lost_before: int, *, delivered: bool) -> None:
        nonlocal entries
        absent = gaps.subtract([Interval(0, 40)], gaps.merge((epoch, epoch + 1) for epoch in stored))
        found = [Gap(*span, UNKNOWN) for span in absent]
        look = Look([Interval(0, 40)], 1, now, lost_before, stored)
        entries = ledger.reconcile(entries, look, found).entries
        for message in due.due(entries, now):
            assert message.entries[0].detected_at < now
            assert message.missing > 0
            if delivered:
                sent[message.key(TABLE)] += 1
                for new, old in due.sent(entries, message, now):
                    entries[entries.index(old)] = new

    for now, (action, start, length, lost_before, delivered) in enumerate(script, 1000):
        span = set(range(start, min(start + length, 40)))
        stored = stored | span if action == "store" else stored - span if action == "lose" else stored
        check(now, lost_before, delivered=delivered)
    stored = set(range(40))
    for now in (2000, 2001, 2002):
        check(now, 0, delivered=True)
    assert set(sent.values()) <= {1}
    for key in sent:
        gap, _, event = key.rpartition("/")
        assert event == "opened" or f"{gap}/opened" in sent
    over = {each.gap for each in entries if each.opened_alert_at is not None}
    for detected_at, start in over:
        name = f"{TABLE}/{start}/{detected_at}"
        assert f"{name}/resolved" in sent or f"{name}/lost" in sent
