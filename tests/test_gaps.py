"""The algebra of intervals, held against sets of epochs."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import gaps
from depth.gaps import Interval, Missing

QUICKLY = settings(max_examples=200, deadline=None)

ends = st.integers(0, 60)
any_intervals = st.lists(st.tuples(ends, ends), max_size=8)
normal = any_intervals.map(gaps.merge)
grids = st.integers(1, 7)


def members(intervals: Iterable[tuple[int, int]]) -> set[int]:
    return {epoch for start, end in intervals for epoch in range(start, end)}


def is_normal(intervals: list[Interval]) -> bool:
    return all(start < end for start, end in intervals) and all(
        before.end < after.start for before, after in pairwise(intervals)
    )


@QUICKLY
@given(any_intervals)
def test_merge_is_union_in_normal_form(some: list[tuple[int, int]]) -> None:
    """Sorted, disjoint, nothing touches, nothing is empty."""
    assert members(gaps.merge(some)) == members(some)
    assert is_normal(gaps.merge(some))


@QUICKLY
@given(any_intervals, st.integers(0, 9))
def test_merge_with_a_reach_closes_what_is_not_wider(some: list[tuple[int, int]], reach: int) -> None:
    """Holes of at most `reach` seconds are closed, wider ones stay."""
    exact = gaps.merge(some)
    holes = [(one.end, other.start) for one, other in pairwise(exact)]
    closed = [hole for hole in holes if hole[1] - hole[0] <= reach]
    assert members(gaps.merge(some, reach)) == members(some) | members(closed)


@QUICKLY
@given(normal, normal)
def test_intersect_and_subtract_are_those_of_sets(some: list[Interval], others: list[Interval]) -> None:
    """And give normal form, since what is stored must not depend on how it was found."""
    for result, truth in (
        (gaps.intersect(some, others), members(some) & members(others)),
        (gaps.subtract(some, others), members(some) - members(others)),
    ):
        assert members(result) == truth
        assert is_normal(result)


@QUICKLY
@given(normal, ends, st.integers(1, 60))
def test_overlapping_are_those_that_share_an_epoch(some: list[Interval], start: int, length: int) -> None:
    """Found by halves, and whole."""
    end = start + length
    wanted = [each for each in some if members([each]) & members([(start, end)])]
    assert list(gaps.overlapping(some, start, end)) == wanted


@QUICKLY
@given(ends, ends, grids)
def test_on_grid_keeps_the_epochs(start: int, end: int, interval: int) -> None:
    """Both ends are moved up to a multiple of the interval; count counts the epochs."""
    window = gaps.on_grid(start, end, interval)
    due = [epoch for epoch in range(start, end) if epoch % interval == 0]
    assert [epoch for epoch in range(*window) if epoch % interval == 0] == due
    assert gaps.count([window], interval) == len(due)
    assert window.start % interval == window.end % interval == 0


@QUICKLY
@given(st.sets(st.integers(-5, 70)), ends, ends, grids)
def test_missing_is_expected_minus_present(stored: set[int], start: int, end: int, interval: int) -> None:
    """Over windows that begin and end anywhere, with rows beside the window and beside the grid."""
    window = gaps.on_grid(start, end, interval)
    absent = Missing(window, interval)
    for epoch in sorted(stored, reverse=True):
        absent.saw(epoch)
    found = absent.finish()
    due = {epoch for epoch in range(start, end) if epoch % interval == 0}
    assert {epoch for epoch in members(found) if epoch % interval == 0} == due - stored
    assert is_normal(found)


def test_an_epoch_that_comes_twice_counts_once() -> None:
    """Two keys of one epoch, of ours and of another program, say."""
    absent = Missing(Interval(0, 10), 1)
    for epoch in (9, 9, 5, 5, 5, 0):
        absent.saw(epoch)
    assert absent.finish() == [(1, 5), (6, 9)]


@pytest.mark.parametrize(
    ("stored", "found"),
    [([], [(0, 10)]), (range(9, -1, -1), []), ([9], [(0, 9)]), ([0], [(1, 10)]), ([5], [(0, 5), (6, 10)])],
)
def test_missing_at_the_edges_of_a_window(stored: Iterable[int], found: list[Interval]) -> None:
    """Nothing stored, all stored, the first, the last, one in the middle."""
    absent = Missing(Interval(0, 10), 1)
    for epoch in stored:
        absent.saw(epoch)
    assert absent.finish() == found
    assert absent.finish() == found
