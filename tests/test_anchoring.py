"""When a snapshot is asked for: reasons in order of urgency, and distances in time."""

import math
from random import Random

import pytest

from depth.anchoring import Reason, Schedule

HOUR = 3600.0


class Always(Random):
    """Chance that always falls the same way."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


def schedule(chance: float = 0.0) -> Schedule:
    """Make a schedule without jitter, or with the same each time."""
    return Schedule(chance=Always(chance))


def due(of: Schedule, now: float, **asks: bool) -> Reason | None:
    """Ask a schedule with a live book for the most urgent reason; nothing else asks but what is given."""
    return of.due(now, **{"live": True, "hole": False, "doubted": False, "near_edge": False, **asks})


def spacing(of: Schedule, anchored_at: float) -> int:
    """Measure how many seconds after an anchor the edge is a reason again."""
    return next(second for second in range(10_000) if due(of, anchored_at + second, near_edge=True) == "edge")


def test_without_a_book_a_snapshot_is_wanted_at_once() -> None:
    """Whatever else there is."""
    assert due(schedule(), 0.0, live=False, hole=True, doubted=True, near_edge=True) == "start"


def test_a_live_book_wants_nothing() -> None:
    """Inside the hour, far from the edge, without a hole and undoubted."""
    of = schedule()
    of.anchored(0.0, near_edge=False, audited=True)
    assert due(of, 3599.9) is None


def test_reasons_have_an_order() -> None:
    """Hole before audit before edge before hourly."""
    of = schedule()
    of.anchored(0.0, near_edge=False, audited=True)
    asks: dict[Reason, bool] = {"hole": True, "audit": True, "edge": True}
    for reason in ("hole", "audit", "edge"):
        now = due(of, HOUR, hole=asks["hole"], doubted=asks["audit"], near_edge=asks["edge"])
        assert now == reason
        asks[now] = False
    assert due(of, HOUR) == "hourly"


def test_the_hourly_anchor_comes_after_an_hour() -> None:
    """Without jitter exactly, counted from the last anchor of any reason."""
    of = schedule()
    of.anchored(100.0, near_edge=False, audited=True)
    of.anchored(200.0, near_edge=False, audited=True)
    assert due(of, 200.0 + HOUR - 0.001) is None
    assert due(of, 200.0 + HOUR) == "hourly"


@pytest.mark.parametrize(("chance", "first", "second"), [(0.0, 300.0, HOUR), (1.0, 600.0, 0.9 * HOUR)])
def test_a_book_is_audited_within_ten_minutes_besides_each_hour(chance: float, first: float, second: float) -> None:
    """So that a run of an hour knows soon that it began well, and near its end that it still is well."""
    of = schedule(chance)
    of.anchored(0.0, near_edge=False, audited=False)
    assert due(of, first - 0.001) is None
    assert due(of, first) == "hourly"
    of.anchored(first, near_edge=False, audited=True)
    assert due(of, second - 0.001) is None
    assert due(of, second) == "hourly"
    of.anchored(second, near_edge=False, audited=True)
    assert due(of, 2 * second - 0.001) is None
    assert due(of, 2 * second) == "hourly"


def test_an_anchor_for_another_reason_is_a_first_audit_too() -> None:
    """One that agreed: what the early one would have shown is known."""
    of = schedule()
    of.anchored(0.0, near_edge=False, audited=False)
    of.anchored(100.0, near_edge=False, audited=True)
    assert due(of, HOUR - 0.001) is None
    assert due(of, HOUR) == "hourly"


def test_jitter_takes_up_to_a_tenth_of_the_hour() -> None:
    """Chance spreads the collectors' requests over the six minutes before the hour."""
    of = schedule(chance=1.0)
    of.anchored(0.0, near_edge=False, audited=True)
    assert due(of, 0.9 * HOUR - 1) is None
    assert due(of, 0.9 * HOUR) == "hourly"


def test_jitter_is_chance() -> None:
    """Two schedules with the same seed agree, and a seed does not give the same hour twice."""
    times = []
    for _ in range(2):
        of = Schedule(chance=Random(7))  # noqa: S311  (jitter, not secrets)
        of.anchored(0.0, near_edge=False, audited=True)
        first = next(second for second in range(4000) if due(of, float(second)) == "hourly")
        of.anchored(0.0, near_edge=False, audited=True)
        times.append((first, next(second for second in range(4000) if due(of, float(second)) == "hourly")))
    assert times[0] == times[1]
    assert times[0][0] != times[0][1]


def test_an_edge_that_comes_near_again_is_a_reason_after_two_seconds() -> None:
    """The last anchor helped: the price moves fast, and the next one will help, too."""
    of = schedule()
    of.anchored(0.0, near_edge=False, audited=True)
    assert due(of, 1.9, near_edge=True) is None
    assert due(of, 2.0, near_edge=True) == "edge"


def test_an_edge_that_no_anchor_helps_doubles_the_distance_to_30_minutes() -> None:
    """60 s, then twice as long after each new anchor that is too narrow as well."""
    of, now, spacings = schedule(), 0.0, []
    for _ in range(9):
        of.anchored(now, near_edge=True, audited=True)
        spacings.append(spacing(of, now))
        now += spacings[-1]
    assert spacings == [60, 120, 240, 480, 960, 1800, 1800, 1800, 1800]


def test_an_anchor_that_helps_ends_the_doubling() -> None:
    """However long the distance had grown."""
    of = schedule()
    for _ in range(5):
        of.anchored(0.0, near_edge=True, audited=True)
    of.anchored(0.0, near_edge=False, audited=True)
    assert spacing(of, 0.0) == 2
    of.anchored(0.0, near_edge=True, audited=True)
    assert spacing(of, 0.0) == 60


def test_a_market_that_is_always_too_narrow_is_waited_for_for_ever() -> None:
    """The distance stays 30 min after any number of anchors: 2,000 are six weeks."""
    of = schedule()
    for _ in range(2000):
        of.anchored(0.0, near_edge=True, audited=True)
    assert spacing(of, 0.0) == 1800


def test_a_failed_snapshot_is_asked_for_again_with_back_off() -> None:
    """0.25 s, doubling to 30 s, for any reason."""
    of, now, pauses = schedule(), 0.0, []
    for _ in range(10):
        of.failed(now, "start")
        pause = next(quarter / 4 for quarter in range(1, 200) if due(of, now + quarter / 4, live=False) == "start")
        assert due(of, now + pause - 0.01, hole=True) is None
        pauses.append(pause)
        now += pause
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_back_off_has_jitter() -> None:
    """Up to a tenth longer."""
    of = schedule(chance=1.0)
    of.failed(0.0, "start")
    assert due(of, 0.27, live=False) is None
    assert due(of, 0.275, live=False) == "start"


def test_an_anchor_ends_the_back_off() -> None:
    """The next failure waits 0.25 s again."""
    of = schedule()
    for _ in range(6):
        of.failed(0.0, "start")
    of.anchored(100.0, near_edge=False, audited=True)
    of.failed(100.0, "start")
    assert due(of, 100.25, hole=True) == "hole"


@pytest.mark.parametrize("routine", ["edge", "hourly"])
def test_what_can_wait_makes_nothing_wait_that_cannot(routine: Reason) -> None:
    """A routine snapshot that failed ten times puts off the next routine one, and no other."""
    of = schedule()
    of.anchored(0.0, near_edge=False, audited=True)
    for _ in range(10):
        of.failed(HOUR, routine)
    assert due(of, HOUR + 29) is None
    assert due(of, HOUR, live=False) == "start"
    assert due(of, HOUR, hole=True) == "hole"
    assert due(of, HOUR, doubted=True) == "audit"


def test_what_cannot_wait_makes_the_rest_wait() -> None:
    """There is one exchange to ask."""
    of = schedule()
    of.failed(HOUR, "start")
    assert due(of, HOUR + 0.2, near_edge=True) is None


@pytest.mark.parametrize("reason", ["hole", "audit"])
def test_a_hole_and_a_doubt_do_not_wait(reason: str) -> None:
    """Right after an anchor they are reasons at once."""
    of = schedule()
    of.anchored(0.0, near_edge=True, audited=True)
    assert due(of, 0.0, hole=reason == "hole", doubted=reason == "audit") == reason


def test_hour_and_edge_can_be_turned_off() -> None:
    """Infinite distances ask for nothing more."""
    of = Schedule(chance=Always(0.5), hourly=math.inf, edge=math.inf)
    of.anchored(0.0, near_edge=True, audited=True)
    assert due(of, 1e9, near_edge=True) is None


def test_chance_is_there_without_being_given() -> None:
    """A schedule made with nothing has an hour between 54 and 60 minutes."""
    of = Schedule()
    of.anchored(0.0, near_edge=False, audited=True)
    assert due(of, 0.9 * HOUR - 1) is None
    assert due(of, HOUR) == "hourly"
