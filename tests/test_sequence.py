"""One stream out of two sockets: nothing twice, nothing missing, or the chain says that it is broken."""

import pytest

from depth.events import Event
from depth.sequence import Broken
from tests.sequencing import Sockets, at, event


def test_what_it_had_is_dropped() -> None:
    """The other socket's copy, sooner or later, gives nothing."""
    sockets = Sockets()
    assert sockets.deliver("A", event(1, 5), event(6, 9)) == [5, 9]
    assert sockets.deliver("B", event(1, 5), event(6, 9)) == []


def test_a_straddling_event_is_applied() -> None:
    """U <= position+1 <= u: amounts are absolute, so the part that was had does no harm."""
    sockets = Sockets()
    assert sockets.deliver("A", event(1, 5), event(3, 8)) == [5, 8]


def test_an_events_time_never_goes_back() -> None:
    """It is the maximum of its own E and the time before; E going backwards is no reset."""
    sequence = Sockets().sequence
    given_out = [
        step
        for number, time in enumerate([5000, 4000, 4500, 5100], start=1)
        for step in sequence.deliver("A", event(number, time=time), 0.5, 0.0)
        if not isinstance(step, Broken)
    ]
    assert [ordered.time for _, ordered in given_out] == [5000, 5000, 5000, 5100]
    assert [ordered.event_time for _, ordered in given_out] == [5000, 4000, 4500, 5100]


def test_a_hole_filled_by_the_other_socket_breaks_nothing() -> None:
    """Up to 2 s after it appeared; the events come in order."""
    sockets = Sockets()
    sockets.deliver("A", event(1))
    assert sockets.deliver("A", event(3), event(4)) == []
    assert sockets.sequence.hole
    assert sockets.wait(1.99) == []
    assert sockets.deliver("B", event(2)) == [2, 3, 4]
    assert not sockets.sequence.hole


def test_a_hole_is_lost_after_two_seconds() -> None:
    """Even if a socket that might fill it is still silent; what came beyond is the new chain."""
    sockets = Sockets()
    sockets.deliver("A", event(1), event(3), event(4))
    assert sockets.wait(1.99) == []
    assert sockets.wait(0.01) == ["sequence break", 3, 4]
    assert sockets.deliver("B", event(2)) == []
    assert sockets.deliver("A", event(5)) == [5]


def test_a_hole_is_lost_once_every_socket_has_delivered_beyond_it() -> None:
    """TCP is ordered: nobody can bring it any more, so nobody is waited for."""
    sockets = Sockets()
    sockets.deliver("A", event(1), event(3))
    assert sockets.deliver("B", event(1)) == []
    assert sockets.deliver("B", event(3)) == ["sequence break", 3]


def test_a_hole_on_the_only_socket_is_lost_at_once() -> None:
    """With one connection every hole is final."""
    sockets = Sockets("A")
    assert sockets.deliver("A", event(1), event(3)) == [1, "sequence break", 3]


def test_a_hole_is_lost_when_the_socket_that_could_fill_it_closes() -> None:
    """The others have delivered beyond."""
    sockets = Sockets()
    sockets.deliver("A", event(1), event(3))
    assert sockets.close("B") == ["sequence break", 3]
    assert sockets.sequence.sockets == 1


def test_a_socket_that_closes_does_not_end_the_wait_for_another() -> None:
    """A, which delivered beyond, goes; B may still bring what is missing."""
    sockets = Sockets()
    sockets.deliver("A", event(1), event(3))
    assert sockets.close("A") == []
    assert sockets.deliver("B", event(2)) == [2, 3]


def test_a_socket_that_is_opened_is_waited_for() -> None:
    """It has not delivered beyond the hole."""
    sockets = Sockets("A")
    sockets.deliver("A", event(1))
    sockets.sequence.opened("B")
    assert sockets.deliver("A", event(3)) == []
    assert sockets.deliver("B", event(3)) == ["sequence break", 3]


def test_after_a_stall_the_wait_begins_anew() -> None:
    """The process stood still, not the other socket."""
    sockets = Sockets()
    sockets.deliver("A", event(1), event(3))
    sockets.now = 60.0
    sockets.sequence.restart_timers(sockets.now)
    assert sockets.wait(1.9) == []
    assert sockets.deliver("B", event(2)) == [2, 3]
    sockets.deliver("A", event(5))
    assert sockets.wait(1.99) == []
    assert sockets.wait(0.01) == ["sequence break", 5]


@pytest.mark.parametrize("filled", [False, True])
def test_a_hole_may_be_older_than_the_minute_that_is_kept(filled: bool) -> None:  # noqa: FBT001  (pytest's)
    """After a stall of two minutes in the midst of it: filled or lost as ever."""
    sockets = Sockets()
    sockets.deliver("A", event(1), event(3), event(4))
    sockets.now = 120.0
    sockets.sequence.restart_timers(sockets.now)
    steps = sockets.deliver("B", event(2)) if filled else sockets.wait(2.0)
    assert steps == [2 if filled else "sequence break", 3, 4]
    assert sockets.deliver("A", event(5)) == [5]


def test_a_stall_without_a_hole_is_nothing() -> None:
    """No timer runs, none begins."""
    sockets = Sockets()
    sockets.deliver("A", event(1))
    sockets.sequence.restart_timers(0.0)
    assert not sockets.sequence.hole
    assert sockets.wait(100.0) == []


def test_each_hole_has_its_own_two_seconds() -> None:
    """A second hole that opens while the first is waited for, and outlives it, is not given up early."""
    sockets = Sockets()
    sockets.deliver("A", event(1), event(3))
    assert sockets.wait(1.9) == []
    assert sockets.deliver("A", event(5)) == []
    assert sockets.deliver("B", event(2)) == [2, 3]
    assert sockets.wait(1.9) == []
    assert sockets.deliver("B", event(3), event(4)) == [4, 5]


def test_no_hole_is_waited_for_longer_than_two_seconds() -> None:
    """One that opened with the first and lay behind it is lost with it."""
    sockets = Sockets()
    sockets.deliver("A", event(1), event(3), event(5))
    assert sockets.wait(2.0) == ["sequence break", 3, "sequence break", 5]


def test_a_larger_batch_fills_a_hole_and_covers_what_waited() -> None:
    """What lies inside it is not applied again."""
    sockets = Sockets()
    sockets.deliver("A", event(1), event(4), event(5), event(8))
    assert sockets.deliver("B", event(2, 6)) == [6]
    assert sockets.deliver("B", event(7)) == [7, 8]


def test_of_two_batches_beyond_a_hole_the_larger_is_kept() -> None:
    """The same u from further back joins sooner."""
    sockets = Sockets("ABC")
    sockets.deliver("A", event(1), event(4, 6))
    assert sockets.deliver("B", event(3, 6)) == []
    assert sockets.deliver("C", event(2)) == [2, 6]


RESET = [event(7, time=at(100) + 2001), event(8, time=at(100) + 2101), event(9, time=at(100) + 2201)]


def test_three_old_ids_in_a_row_with_new_times_are_a_reset() -> None:
    """The chain is broken, and the third is the first of the new one."""
    sockets = Sockets()
    sockets.deliver("A", event(100))
    assert sockets.deliver("A", *RESET) == ["ids reset", 9]
    assert sockets.deliver("A", event(10, time=RESET[2].time + 100)) == [10]
    assert sockets.deliver("B", event(9, time=RESET[2].time), event(11, time=RESET[2].time + 200)) == [11]


def test_two_sockets_do_not_make_three_events() -> None:
    """In a row on one socket."""
    sockets = Sockets()
    sockets.deliver("A", event(100))
    assert sockets.deliver("A", *RESET[:2]) == []
    assert sockets.deliver("B", *RESET[:2]) == []
    assert sockets.deliver("B", RESET[2]) == ["ids reset", 9]


@pytest.mark.parametrize("between", [event(101), event(50)], ids=["new", "merely had"])
def test_an_event_in_between_starts_the_count_anew(between: Event) -> None:
    """Two, something normal, two: no reset."""
    sockets = Sockets()
    sockets.deliver("A", event(100))
    late = [event(5 + number, time=at(101) + 2001 + number) for number in range(5)]
    sockets.deliver("A", *late[:2])
    sockets.deliver("A", between)
    assert sockets.deliver("A", *late[2:4]) == []
    assert sockets.deliver("A", late[4]) == ["ids reset", 9]


def test_within_two_seconds_old_ids_are_only_old() -> None:
    """Exactly 2 s past the last applied is not more than 2 s."""
    sockets = Sockets()
    sockets.deliver("A", event(100))
    assert sockets.deliver("A", *(event(number, time=at(100) + 2000) for number in range(5, 15))) == []


def test_a_reset_ends_a_hole_too() -> None:
    """What waited beyond belongs to the old ids."""
    sockets = Sockets()
    sockets.deliver("A", event(100), event(102))
    assert sockets.sequence.hole
    assert sockets.deliver("B", *RESET) == ["ids reset", 9]
    assert not sockets.sequence.hole
    assert sockets.deliver("B", event(11, time=RESET[2].time + 200)) == []
    assert sockets.wait(1.99) == []
    assert sockets.deliver("A", event(10, time=RESET[2].time + 100)) == [10, 11]


def test_after_a_break_times_begin_anew() -> None:
    """A chain knows the times of its own events alone."""
    sockets = Sockets("A")
    sockets.deliver("A", event(1, time=9000))
    [*_, last] = sockets.sequence.deliver("A", event(3, time=8000), 0.5, 0.0)
    assert not isinstance(last, Broken)
    assert last[1].time == 8000


@pytest.mark.parametrize("other", [event(3, 6, at(6) + 1), event(2, 6), event(4, 6)], ids=["E", "larger", "smaller"])
@pytest.mark.parametrize("hole", [False, True])
def test_the_same_u_with_another_batch_or_time_is_counted(other: Event, hole: bool) -> None:  # noqa: FBT001  (pytest's)
    """Whether the first was applied or still waits behind a hole, and whichever is larger: once."""
    sockets = Sockets("ABC")
    sockets.deliver("A", event(1 if hole else 2), event(3, 6))
    sockets.deliver("B", other)
    assert sockets.sequence.hole == (hole and other.first_id != 2)
    assert sockets.sequence.batch_mismatch == 1


def test_equal_copies_and_other_batches_are_no_mismatch() -> None:
    """Only the same u can disagree; µs and ms of one E are the same time."""
    sockets = Sockets()
    sockets.deliver("A", event(1), event(2, 4), event(6))
    sockets.deliver("B", event(1, time=at(1) * 1000 + 999), event(2, 3), event(4, 5), event(6))
    assert sockets.sequence.batch_mismatch == 0


def test_the_last_minute_is_kept_and_no_more() -> None:
    """60 s of events can be applied to a snapshot; an hour takes no more memory than a minute."""
    sockets = Sockets()
    for number in range(1, 36_001):
        sockets.now = number / 10
        sockets.deliver("A", event(number))
    kept = [ordered.last_id for ordered in sockets.sequence.since(0)]
    assert kept == list(range(36_000 - 600, 36_001))


def test_of_a_flood_a_bounded_number_is_kept() -> None:
    """Memory stays flat where the exchange sends a hundred times as much as it ever did: the newest are kept."""
    sockets = Sockets()
    for number in range(1, 20_001):
        sockets.now = number / 1000
        sockets.deliver("A", event(number))
    kept = [ordered.last_id for ordered in sockets.sequence.since(0)]
    assert kept == list(range(14_001, 20_001))


def test_since_gives_what_a_snapshot_lacks() -> None:
    """Events with u > lastUpdateId, in order, a straddling one too."""
    sockets = Sockets()
    sockets.deliver("A", event(1, 5), event(6, 9), event(10, 12))
    assert [[kept.last_id for kept in sockets.sequence.since(last_id)] for last_id in (0, 5, 7, 9, 12, 20)] == [
        *([5, 9, 12], [9, 12], [9, 12], [12], [], [])
    ]


def test_at_gives_the_event_that_ends_at_an_id() -> None:
    """None where no event ends, before, between and behind."""
    sockets = Sockets()
    sockets.deliver("A", event(2, 5), event(6, 9))
    found = {last_id: sockets.sequence.at(last_id) for last_id in range(12)}
    assert {last_id: kept.first_id for last_id, kept in found.items() if kept} == {5: 2, 9: 6}


def test_a_new_chain_keeps_nothing_of_the_old_one() -> None:
    """A snapshot that joined the old chain does not join the new one."""
    sockets = Sockets("A")
    sockets.deliver("A", event(1), event(2), event(4))
    assert [kept.last_id for kept in sockets.sequence.since(0)] == [4]
    assert sockets.sequence.at(2) is None


def test_market_time_runs_on_from_the_newest_event() -> None:
    """By the exchange's own time, whatever the local clock says; None before the first event."""
    sockets = Sockets()
    assert sockets.sequence.market_time(0.0) is None
    sockets.now = 10.0
    sockets.deliver("A", event(1, time=5000))
    assert sockets.sequence.market_time(12.5) == 7500
