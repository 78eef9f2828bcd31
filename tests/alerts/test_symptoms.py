"""What a run's state says."""

import pytest

from depth.alerts.conditions import Bad, Good, Seen
from depth.alerts.symptoms import Audits, refused, spool_full, spool_high, stale, store_failing
from depth.errors import SpoolFull, StoreRefused, StoreUnavailable, Trouble
from depth.losses import Incident

AWAY = Trouble(100, StoreUnavailable("the store is away"))
NO_RIGHT = Trouble(100, StoreRefused("no right: ask somebody"))


@pytest.mark.parametrize(
    ("newest", "interval", "now", "seen"),
    [
        (100, 1, 100, Good(100)),
        (100, 1, 160, Good(100)),
        (100, 1, 161, Bad(101, 101, "why")),
        (100, 1, 99, Good(100)),
        (100, 300, 459, Good(100)),
        (100, 300, 460, Bad(400, 400, "why")),
    ],
)
def test_a_table_is_stale_once_its_next_row_is_a_minute_late(newest: int, interval: int, now: int, seen: Seen) -> None:
    """Where rows are five minutes apart, that is later."""
    assert stale(newest, interval, now, "why") == seen


def test_a_store_fails_after_a_minute() -> None:
    """Before, nothing is known; without trouble it is well if it ever took a row."""
    assert store_failing(AWAY, 90, 159) is None
    assert store_failing(AWAY, 90, 160) == Bad(100, 100, "the store is away")
    assert store_failing(None, 90, 160) == Good(90)
    assert store_failing(None, None, 160) is None


def test_what_a_person_must_see_to_is_told_at_once() -> None:
    """Under its own name: it is not told twice."""
    assert refused(NO_RIGHT, 90) == Bad(100, 100, "no right: ask somebody")
    assert store_failing(NO_RIGHT, 90, 999) is None
    assert refused(AWAY, 90) is None
    assert refused(None, 90) == Good(90)
    assert refused(None, None) is None


def test_a_mistake_of_ours_is_told_by_its_kind() -> None:
    """Its text may be anything."""
    assert store_failing(Trouble(100, KeyError("x\ny")), None, 200) == Bad(100, 100, "KeyError")


@pytest.mark.parametrize(
    ("used", "seen"),
    [
        (0.0, Good(50)),
        (0.69, Good(50)),
        (0.7, None),
        (0.79, None),
        (0.8, Bad(50, 50, "80% of SPOOL_MAX_MB are in use")),
    ],
)
def test_a_spool_is_high_from_80_to_70_percent(used: float, seen: Seen) -> None:
    """In between what was said stays, so that it is not said again and again."""
    assert spool_high(used, 50) == seen


def test_a_full_spool_is_told_at_once_and_a_locked_one_after_a_minute() -> None:
    assert spool_full(Trouble(100, SpoolFull("full")), 100) == Bad(100, 100, "full")
    assert spool_full(AWAY, 159) is None
    assert spool_full(AWAY, 160) == Bad(100, 100, "the store is away")
    assert spool_full(None, 100) == Good(100)


def test_an_audit_that_fails_is_bad_until_one_agrees() -> None:
    """Nothing is known before the first; the next mismatch is another."""
    audits = Audits(1)
    assert audits.seen(0, None, 100) is None
    assert audits.seen(1, None, 200) == Good(200)
    assert audits.seen(1, None, 300) == Good(200)
    first = Incident(200, 260, "suspect")
    assert audits.seen(1, first, 310) == Bad(200, 260, "60 rows")
    assert audits.seen(2, first, 400) == Good(400)
    second = Incident(400, 480, "suspect")
    assert audits.seen(2, second, 490) == Bad(400, 480, "80 rows")
    assert Audits(300).seen(0, Incident(300, 900, "suspect"), 999) == Bad(300, 900, "2 rows")
