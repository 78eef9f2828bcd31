"""Interval algebra over epochs: half-open, sorted, disjoint.

A list of intervals is in normal form when it is sorted and no two of them overlap or touch; every function here takes
sorted, disjoint lists (`merge` takes any) and gives normal form, in time linear in their length.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from depth import epochs

_Span = TypeVar("_Span", bound=tuple[Any, ...])  # begins with start and end


class Interval(NamedTuple):
    """Epochs `start` <= T < `end`."""

    start: int
    end: int


def on_grid(start: int, end: int, interval: int) -> Interval:
    """Move both ends up to the grid, so that ``[start, end)`` keeps its epochs; empty where it has none."""
    due = epochs.expected(start, end, interval)
    return Interval(due.start, due.start + len(due) * interval)


def count(intervals: Iterable[tuple[int, int]], interval: int) -> int:
    """Count the epochs in disjoint intervals whose ends lie on the grid."""
    return sum(end - start for start, end in intervals) // interval


def merge(intervals: Iterable[tuple[int, int]], reach: int = 0) -> list[Interval]:
    """Unite intervals, in any order, into normal form.

    Args:
        intervals: may overlap; empty ones are dropped.
        reach: those with at most this many seconds between them are united too, with what lies between.

    Returns:
        The union.
    """
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if start >= end:
            continue
        if merged and start <= merged[-1].end + reach:
            merged[-1] = Interval(merged[-1].start, max(merged[-1].end, end))
        else:
            merged.append(Interval(start, end))
    return merged


def intersect(some: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> list[Interval]:
    """Give what lies in both."""
    both: list[Interval] = []
    i = j = 0
    while i < len(some) and j < len(others):
        start, end = max(some[i][0], others[j][0]), min(some[i][1], others[j][1])
        if start < end:
            both.append(Interval(start, end))
        if some[i][1] <= others[j][1]:
            i += 1
        else:
            j += 1
    return merge(both)


def subtract(some: Sequence[tuple[int, int]], taken: Sequence[tuple[int, int]]) -> list[Interval]:
    """Give what lies in `some` and not in `taken`."""
    left: list[Interval] = []
    j = 0
    for start, end in some:
        while j < len(taken) and taken[j][1] <= start:
            j += 1
        k = j
        while k < len(taken) and taken[k][0] < end:
            if start < taken[k][0]:
                left.append(Interval(start, taken[k][0]))
            start = taken[k][1]  # noqa: PLW2901  # the rest of this interval
            k += 1
        if start < end:
            left.append(Interval(start, end))
    return merge(left)


def overlapping(some: Sequence[_Span], start: int, end: int) -> Sequence[_Span]:
    """Give those that overlap ``[start, end)``, whole."""
    first = bisect_right(some, start, key=itemgetter(1))
    return some[first : bisect_left(some, end, lo=first, key=itemgetter(0))]


class Missing:
    """Finds the missing intervals of a window while its present epochs stream by, newest first as a store gives them.

    It holds the intervals found and nothing else, so its memory does not grow with the window.
    """

    def __init__(self, window: Interval, interval: int) -> None:
        """Expect every epoch of the window.

        Args:
            window: its ends lie on the grid.
            interval: seconds between epochs.
        """
        self._window = window
        self._interval = interval
        self._above = window.end  # from here on all is known
        self._found: list[Interval] = []

    def saw(self, epoch: int) -> None:
        """Take the next present epoch, older than the one before; what is off the window or the grid does not count."""
        if self._window.start <= epoch < self._above and epoch % self._interval == 0:
            if epoch + self._interval < self._above:
                self._found.append(Interval(epoch + self._interval, self._above))
            self._above = epoch

    def finish(self) -> list[Interval]:
        """Give what is missing, in normal form, after the last epoch."""
        if self._window.start < self._above:
            self._found.append(Interval(self._window.start, self._above))
            self._above = self._window.start
        return self._found[::-1]
