"""Epochs without a proven row, and why: what a run tells of them while it learns more. Pure."""

from dataclasses import dataclass, field
from typing import Literal

from depth import gaps
from depth.book import Unusable
from depth.sequence import BreakCause

Cause = Literal[
    Unusable,
    BreakCause,
    "disconnect",
    "silent",
    "exchange halted",
    "stopped",
    "suspect",
    "spool full",
    "internal error",
]


@dataclass(slots=True)
class Incident:
    """Epochs that the collector knows it has no proven row for, and why.

    Attributes:
        start: first epoch, inclusive.
        end: exclusive.
        cause: why; `suspect` marks rows that are stored but that an audit did not confirm.
    """

    start: int
    end: int
    cause: Cause


@dataclass(slots=True)
class Losses:
    """One symbol's incidents in a run.

    Attributes:
        incidents: new or grown ones not yet taken by the caller; one that grows keeps its start.
        good_since: epoch of the last audit that agreed, or the first of the chain; None before a chain has a row.
    """

    incidents: list[Incident] = field(default_factory=list)
    good_since: int | None = None
    _last: Incident | None = None  # grows while its cause lasts
    _expected: Incident | None = None  # its epochs may still turn out to be proved
    _lost: list[tuple[int, int]] = field(default_factory=list)  # since `good_since`

    def lose(self, start: int, end: int, cause: Cause) -> None:
        """Tell that the epochs of ``[start, end)`` have no row."""
        self._lost.append((start, end))
        last = self._last
        if last is None or last.end != start or last.cause != cause:
            self._last = last = Incident(start, end, cause)
        last.end = end
        self._tell(last)

    def expect(self, incident: Incident) -> None:
        """Tell a loss while it is not over, in place of the one that was told so before."""
        self.take_back()
        self._expected = incident
        self._tell(incident)

    def take_back(self) -> None:
        """Empty what was expected; what is lost indeed is told next, under the same start."""
        expected, self._expected = self._expected, None
        if expected is not None:
            expected.end = expected.start
            self._tell(expected)

    def rewind(self, epoch: int, false_since: int, end: int) -> None:
        """Let a run go back in time: losses from there on are none, rows of the false time are suspect.

        Args:
            epoch: first one of the true time.
            false_since: first epoch that the false time told.
            end: of what was told so far, exclusive.
        """
        if (last := self._last) is not None and last.start < epoch < last.end:
            false_since = max(false_since, last.end)
            last.end = epoch
            self._tell(last)
        if false_since < end:
            self._tell(Incident(false_since, end, "suspect"))

    def good(self, epoch: int | None) -> None:
        """Note that an audit agreed at this epoch, or that a chain begins with it."""
        self.good_since = epoch
        self._lost.clear()

    def suspect(self, end: int) -> None:
        """Tell that no row since `good_since` and before `end` can be trusted."""
        if self.good_since is not None:
            rows = gaps.subtract([(self.good_since, end)], gaps.merge(self._lost))
            self.incidents += (Incident(*span, "suspect") for span in rows)

    def _tell(self, incident: Incident) -> None:
        if incident not in self.incidents:
            self.incidents.append(incident)
