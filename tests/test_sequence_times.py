"""Event times that cannot be true: what is believed, what waits, and what counts as not received."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth.events import Event, parse
from depth.sequence import Broken, Ordered, Sequence

START = 1_723_161_255_000
DAY = 86_400_000
Steps = Iterable[tuple[Event, Ordered] | Broken]


def event(number: int, wrong_by: int = 0) -> Event:
    """Make the n-th event of a stream of one in 100 ms, with an E that is wrong by so many ms."""
    ids = {"U": number, "u": number, "E": START + 100 * number + wrong_by}
    return parse(json.dumps({"e": "depthUpdate", "s": "BTCUSDT", "b": [], "a": [], **ids}))


class Sockets:
    """Some sockets that deliver into one sequence, every event at its own time or later."""

    def __init__(self, names: str = "AB") -> None:
        self.sequence = Sequence()
        self.now = 0.0
        self.given: list[int | str] = []
        self.times: dict[int, int] = {}
        self.false_since: list[int | None] = []
        for name in names:
            self.sequence.opened(name)

    def tell(self, sockets: str, *numbers: int, wrong_by: int = 0) -> None:
        """Deliver some events over some sockets, each a moment later over the second."""
        for number in numbers:
            self.now = max(self.now, number / 10)
            for socket in sockets:
                self._take(self.sequence.deliver(socket, event(number, wrong_by), 0.0, self.now))

    def catch_up(self, *numbers: int) -> None:
        """Deliver events of 20 s later at this moment: the process stood still."""
        for number in numbers:
            for socket in "AB":
                self._take(self.sequence.deliver(socket, event(number, 20_000), 0.0, self.now))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self._take(self.sequence.tick(self.now))

    def _take(self, steps: Steps) -> None:
        for step in steps:
            if isinstance(step, Broken):
                self.given.append(step.cause)
                self.false_since.append(step.false_since)
            else:
                self.given.append(step[1].last_id)
                self.times[step[1].last_id] = step[1].time - START


def test_a_time_that_is_ahead_waits_for_the_other_sockets_copy() -> None:
    """Which tells the truth: nothing is lost, and the copy counts."""
    sockets = Sockets()
    sockets.tell("AB", 1, 2)
    sockets.tell("A", 3, wrong_by=DAY)
    assert sockets.given == [1, 2]
    assert not sockets.sequence.hole
    sockets.tell("B", 3)
    sockets.tell("AB", 4)
    assert sockets.given == [1, 2, 3, 4]
    assert sockets.times[3] == 300
    assert (sockets.sequence.untimely, sockets.sequence.batch_mismatch) == (0, 1)


def test_a_copy_behind_may_tell_any_time() -> None:
    """What was had already is no sign of reset ids, however many copies lie about their time."""
    sockets = Sockets()
    for number in range(1, 30):
        sockets.tell("B", number)
        sockets.tell("A", number, wrong_by=DAY)
    assert sockets.given == [*range(1, 30)]


def test_a_socket_that_is_always_ahead_and_first_is_passed_over() -> None:
    """Every event is given with the time of the other socket's copy, as soon as that is there."""
    sockets = Sockets()
    for number in range(1, 30):
        sockets.tell("A", number, wrong_by=DAY if number > 2 else 0)
        if number > 8:
            sockets.tell("B", number - 6)
    assert sockets.given == [*range(1, 24)]
    assert sockets.times[23] == 2300


def test_a_time_that_events_behind_it_refute_counts_as_not_received() -> None:
    """Both sockets told it: a hole, which a snapshot closes; the time of the chain is untouched."""
    sockets = Sockets()
    sockets.tell("AB", 1, 2)
    sockets.tell("AB", 3, wrong_by=DAY)
    sockets.tell("AB", 4, 5)
    assert sockets.given == [1, 2, "sequence break", 4, 5]
    assert sockets.times[5] == 500
    assert sockets.sequence.untimely == 1


def test_a_time_that_two_events_behind_it_confirm_is_believed() -> None:
    """A quiet stretch that a process slept through: nothing is lost and no chain breaks."""
    sockets = Sockets()
    sockets.tell("AB", 1, 2)
    sockets.catch_up(3, 4)
    assert sockets.given == [1, 2]
    sockets.catch_up(5)
    assert sockets.given == [1, 2, 3, 4, 5]
    assert sockets.times[3] == 20_300


def test_a_silence_that_the_clock_has_seen_is_believed_at_once() -> None:
    """An hour without trade is no doubt: the next event says what it always says."""
    sockets = Sockets("A")
    sockets.tell("A", 1, 2)
    sockets.wait(3600.0)
    sockets.tell("A", 3, wrong_by=3_600_000)
    assert sockets.given == [1, 2, 3]


def test_a_late_socket_is_waited_for_two_seconds() -> None:
    """Three events agree on a leap; the other socket may still refute it, but not for ever."""
    sockets = Sockets()
    sockets.tell("AB", 1, 2)
    sockets.tell("A", 3, 4, 5, wrong_by=DAY)
    sockets.wait(1.5)
    assert sockets.given == [1, 2]
    sockets.wait(0.6)
    assert sockets.given[:3] == [1, 2, 3]


def test_a_time_that_went_back_waits_for_the_other_sockets_copy() -> None:
    """An E of an hour ago on the first socket is not the event's where the second tells better."""
    sockets = Sockets()
    sockets.tell("AB", 1, 2)
    sockets.tell("A", 3, wrong_by=-3_600_000)
    assert sockets.given == [1, 2]
    sockets.tell("B", 3)
    assert sockets.given == [1, 2, 3]
    assert sockets.times[3] == 300


def test_a_time_that_went_back_everywhere_is_the_time_before() -> None:
    """As with any step back; it is given once no socket can tell better."""
    sockets = Sockets()
    sockets.tell("AB", 1, 2)
    sockets.tell("AB", 3, wrong_by=-3_600_000)
    sockets.tell("AB", 4)
    assert sockets.given == [1, 2, 3, 4]
    assert [sockets.times[number] for number in (2, 3, 4)] == [200, 200, 400]


def test_a_leap_that_was_wrong_is_taken_back() -> None:
    """After three events of the true time a new chain begins, and it is known since when the times were false."""
    sockets = Sockets()
    sockets.tell("AB", 1, 2)
    sockets.tell("AB", *range(3, 10), wrong_by=DAY)
    assert sockets.times[9] == 900 + DAY
    sockets.tell("AB", *range(10, 15))
    assert sockets.given[9:] == [10, 11, "time jump", 12, 13, 14]
    assert sockets.times[14] == 1400
    assert sockets.false_since == [START + 200]


def test_an_exchange_whose_clock_is_set_back_has_a_new_chain_and_no_false_times() -> None:
    """Nothing before says that the earlier times were wrong: the epochs that have rows keep them."""
    sockets = Sockets()
    sockets.tell("AB", 1, 2)
    sockets.tell("AB", *range(3, 10), wrong_by=-60_000)
    assert "time jump" in sockets.given
    assert sockets.false_since == [None]
    assert sockets.times[8] == 800 - 60_000


def test_the_first_event_of_all_may_be_wrong() -> None:
    """There is nothing to hold it against; three events later the chain begins anew."""
    sockets = Sockets()
    sockets.tell("AB", 1, wrong_by=DAY)
    sockets.tell("AB", *range(2, 8))
    assert sockets.times[7] == 700
    assert sockets.given[-3:] == [5, 6, 7]


@pytest.mark.parametrize("wrong_by", [-DAY, -3000, 3000, DAY])
@settings(deadline=None, max_examples=50)
@given(st.data())
def test_whatever_one_socket_lies_the_other_ones_times_are_given(wrong_by: int, data: st.DataObject) -> None:
    """Any of its events, first or last by up to 1.5 s: each is given once, in order, with its true time."""
    lies = data.draw(st.sets(st.integers(3, 60)))
    late = data.draw(st.integers(0, 15))
    sockets = Sockets()
    sockets.tell("AB", 1, 2)
    for number in range(3, 61 + late):
        for socket, told in data.draw(st.permutations([("A", number), ("B", number - late)])):
            if 3 <= told <= 60:
                sockets.tell(socket, told, wrong_by=wrong_by if socket == "A" and told in lies else 0)
    assert sockets.given == [*range(1, len(sockets.given) + 1)]
    assert len(sockets.given) >= 60 - 3
    assert all(sockets.times[number] == 100 * number for number in range(1, len(sockets.given) + 1))
