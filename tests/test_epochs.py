"""The epoch grid, against counting on fingers."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from depth.epochs import Grid, closed, expected

QUICKLY = settings(max_examples=200, deadline=None)
intervals = st.sampled_from([1, 2, 5, 7, 60])


@QUICKLY
@given(st.integers(0, 20_000), st.integers(-3000, 20_000), intervals)
def test_an_event_closes_exactly_the_epochs_since_the_one_before_it(previous: int, by: int, interval: int) -> None:
    """The set is {T : previous <= T*1000 < current, T a multiple of the interval}, oldest first."""
    current = previous + by
    literal = [T for T in range(50) if previous <= T * 1000 < current and T % interval == 0]
    assert list(closed(previous, current, interval)) == literal


@QUICKLY
@given(st.lists(st.integers(0, 30_000), min_size=2, max_size=10).map(sorted), intervals)
def test_events_one_after_the_other_close_each_epoch_once(times: list[int], interval: int) -> None:
    """However many events lie between, first to last close what one step would."""
    pairs = pairwise(times)
    assert [T for before, after in pairs for T in closed(before, after, interval)] == [
        *closed(times[0], times[-1], interval)
    ]


def test_an_event_on_the_second_belongs_to_it() -> None:
    """E == T*1000 does not close T, one millisecond more does."""
    assert list(closed(1_700_000_000_500, 1_700_000_001_000, 1)) == []
    assert list(closed(1_700_000_001_000, 1_700_000_001_001, 1)) == [1_700_000_001]


@QUICKLY
@given(st.integers(0, 200), st.integers(-5, 200), intervals)
def test_expected_epochs_are_the_multiples_in_a_half_open_range(start: int, length: int, interval: int) -> None:
    """The set is {T : start <= T < end, T a multiple of the interval}."""
    end = start + length
    assert list(expected(start, end, interval)) == [T for T in range(500) if start <= T < end and T % interval == 0]


def test_the_window_is_as_deep_as_its_buckets() -> None:
    """40 buckets of 0.002 % reach 0.08 %."""
    assert Grid().window == 40 * 0.00002
