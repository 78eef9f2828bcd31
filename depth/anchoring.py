"""When to fetch a REST snapshot.

Pure: `now` is a monotonic clock in seconds and chance is injected. The request weight is the exchange's business
(`exchange/binance.py`); here are the reasons and the distances in time.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Literal

Reason = Literal["start", "hole", "audit", "edge", "hourly"]

_JITTER = 0.1
_FIRST_AUDIT_SHARE = 1 / 12  # of the hour: 5 min
_EDGE_WHERE_IT_HELPS = 1 / 30
_EDGE_LONGEST = 30.0
_FAILED_SHORTEST = 0.25
_FAILED_LONGEST = 30.0


@dataclass(slots=True)
class _Backoff:
    until: float = float("-inf")
    failures: int = 0

    def failed(self, now: float, stretch: float) -> None:
        self.until = now + stretch * min(_FAILED_SHORTEST * 2 ** min(self.failures, 8), _FAILED_LONGEST)
        self.failures += 1


@dataclass(slots=True)
class Schedule:
    """Decides whether a snapshot is wanted now, and why.

    - start: there is no book, or one that the price has left; at once.
    - hole: events are missing; at once, so that the replacement is there when the hole is given up.
    - audit: a re-anchor did not agree with the book; at once, a second opinion.
    - edge: the window nears the edge of the known range; at most once in 60 s, doubling to 30 min, while a new anchor
      does not help; where the last one did, the price moves fast: once in 2 s.
    - hourly: every 60 min, less up to 10 % of jitter; and once more 5 to 10 min after the beginning of a book that no
      audit has confirmed, so that a wrong beginning is not believed for an hour.

    A snapshot that failed, or that came too old to join, is asked for again after 0.25 s, doubling to 30 s; but what
    can wait (edge, hourly) does not make wait what cannot.

    Attributes:
        chance: for jitter.
        hourly: seconds between anchors that nothing asks for; infinite for none.
        edge: seconds between anchors because of the edge, while they do not help; infinite for none.
    """

    chance: Random = field(default_factory=Random)
    hourly: float = 3600.0
    edge: float = 60.0
    _narrow: int = 0  # anchors in a row that were too narrow
    _anchored: float = float("-inf")
    _hourly_due: float = float("inf")
    _first_audit_due: float = float("inf")
    _urgent: _Backoff = field(default_factory=_Backoff)
    _routine: _Backoff = field(default_factory=_Backoff)

    def due(self, now: float, *, live: bool, hole: bool, doubted: bool, near_edge: bool) -> Reason | None:
        """Give the most urgent reason to fetch a snapshot now.

        Args:
            now: monotonic seconds.
            live: whether there is a book.
            hole: whether events are missing.
            doubted: whether the last audit failed.
            near_edge: whether the window is near the edge of the known range (`Book.near_edge`).
        """
        urgent: dict[Reason, bool] = {"start": not live, "hole": hole, "audit": doubted}
        routine: dict[Reason, bool] = {
            "edge": near_edge and now - self._anchored >= self._edge_spacing(),
            "hourly": now >= min(self._hourly_due, self._first_audit_due),
        }
        if now < self._urgent.until:
            return None
        reasons = urgent if now < self._routine.until else urgent | routine
        return next((reason for reason, applies in reasons.items() if applies), None)

    def failed(self, now: float, reason: Reason) -> None:
        """Note a snapshot that cannot be used or that came too old to join; `reason` is why it was asked for."""
        backoff = self._routine if reason in {"edge", "hourly"} else self._urgent
        backoff.failed(now, 1 + self.chance.random() * _JITTER)

    def anchored(self, now: float, *, near_edge: bool, audited: bool) -> None:
        """Note a book that was built or replaced.

        Args:
            now: monotonic seconds.
            near_edge: whether the new one is still too narrow.
            audited: whether it agreed with the one before; false for the first of a chain.
        """
        self._urgent.failures = self._routine.failures = 0
        self._narrow = self._narrow + 1 if near_edge else 0
        self._anchored = now
        first_audit = audited and self._first_audit_due < float("inf")
        self._first_audit_due = float("inf") if audited else now + self._first_audit_after()
        if not first_audit:  # it comes besides the hourly ones
            self._hourly_due = now + self.hourly * (1 - self.chance.random() * _JITTER)

    def _first_audit_after(self) -> float:
        return self.hourly * _FIRST_AUDIT_SHARE * (1 + self.chance.random())

    def _edge_spacing(self) -> float:
        if not self._narrow:
            return self.edge * _EDGE_WHERE_IT_HELPS
        return self.edge * min(2.0 ** min(self._narrow - 1, 8), _EDGE_LONGEST)
