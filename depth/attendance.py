"""What the presence rows of a table tell of its missing epochs: what may still come, why it is missing, what is lost.

Pure. A presence row is the latest word of one run and stays when the run has ended, so of each run it is known when it
began, its first second, when it was last seen, and what waited in its spool then.

A check is one short run: it cannot watch a row change, as collectors do of each other (`presence.Neighbours`), but goes
by its own clock. A collector is live if it was seen within 30 s, six beacons. Were that wrong, because clocks differ,
little would happen: a dead collector's epochs are pending ten minutes at most, and of a live one's a gap may be opened
that the next check finds filled, before anybody is told.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from depth import gaps
from depth.gaps import Interval
from depth.incidents import SUSPECT, Report
from depth.ledger import NO_COLLECTOR, UNKNOWN, Entry
from depth.presence import BEACON_SECONDS, Presence

STORE_LATE = "store late"
STARTING = "starting"

LIVE_SECONDS = 30
PENDING_SECONDS = 600
GIVEN_UP_SECONDS = 7 * 86_400
# A collector looks every 30 s whether another one's rows are to be adopted; once more for a slow disk.
_ADOPTED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Attendance:
    """The presence rows of one table, as they were read before its keys.

    In this order: what is stored between the two readings is then pending and present, never neither.

    Attributes:
        presences: of all runs since `since`, in any order.
        interval: seconds between epochs.
        now: time of the check, UTC seconds.
        since: presence rows of runs that ended earlier may have been deleted.
    """

    presences: Sequence[Presence]
    interval: int
    now: int
    since: int

    def pending(self, reports: Iterable[Report]) -> list[Interval]:
        """Say which epochs a live collector may still bring, if they are missing: they are no gap yet.

        It has captured them and its spool holds them, or nothing has come since its last one and its chain is whole;
        and it has not reported them lost. For ten minutes at most.
        """
        told = list(reports)
        found: list[Interval] = []
        for each in filter(self._live, self.presences):
            may_come = [self._waiting(each)]
            if each.state == "chained" and each.captured_epoch is not None:
                may_come.append(self._on_grid(each.captured_epoch + 1, self.now))
            reported = (
                (report.start, report.end)
                for report in told
                if report.collector == each.collector and report.cause != SUSPECT
            )
            found += gaps.subtract(gaps.merge(may_come), gaps.merge(reported))
        return gaps.intersect(gaps.merge(found), [self._on_grid(self.now - PENDING_SECONDS + 1, self.now)])

    def causes(self, entries: Iterable[Entry]) -> list[tuple[str, list[Interval]]]:
        """Say why epochs are missing that no report explains; of two causes about an epoch the first counts.

        Args:
            entries: the ledger; for the time of which presence is no longer known it says what was known then.

        Returns:
            ``store late`` where a spool held them when it was last heard of, ``unknown`` where somebody captured,
            ``starting`` where somebody was there but had no second yet, else ``no collector``.
        """
        before = [self._on_grid(0, self.since)]
        known: dict[str, list[tuple[int, int]]] = {}
        for entry in entries:
            known.setdefault(entry.cause, []).append(entry.span)
        capturing, starting = [], []
        for each in self.presences:
            seen = self._seen(each)
            first = seen if each.first_epoch is None else each.first_epoch
            capturing.append(self._on_grid(first, seen))
            starting.append(self._on_grid(each.scheduled if each.began is None else each.began, seen))
        return [
            *((cause, gaps.intersect(gaps.merge(spans), before)) for cause, spans in sorted(known.items())),
            (UNKNOWN, before),
            (STORE_LATE, gaps.merge(map(self._waiting, self._holders()))),
            (UNKNOWN, gaps.merge(capturing, reach=int(BEACON_SECONDS))),
            (STARTING, gaps.merge(starting)),
            (NO_COLLECTOR, [self._on_grid(self.since, self.now)]),
        ]

    @property
    def lost_before(self) -> int:
        """A gap that had ended and was known by then is lost: what it could be filled from has gone.

        That is ten minutes ago, or where the oldest row waits in a spool; and seven days ago, whatever waits.
        """
        waiting = [each.oldest_spooled for each in self._holders() if each.oldest_spooled is not None]
        return max(self.now - GIVEN_UP_SECONDS, min([self.now - PENDING_SECONDS, *waiting]))

    def _live(self, one: Presence) -> bool:
        return one.seen_at >= self.now - LIVE_SECONDS and one.state != "stopped"

    def _seen(self, one: Presence) -> int:
        """Say until when a run was there; one that stopped took its time to ship its last rows."""
        if self._live(one):
            return self.now
        if one.state == "stopped" and one.captured_epoch is not None:
            return one.captured_epoch + 1
        return math.ceil(one.seen_at)

    def _waiting(self, one: Presence) -> Interval:
        """Give the epochs that were captured and not stored; rows that no spool takes wait in memory."""
        if one.captured_epoch is None or one.first_epoch is None:
            return Interval(0, 0)
        stored = one.first_epoch - 1 if one.last_epoch is None else one.last_epoch
        start = stored + 1 if one.oldest_spooled is None else one.oldest_spooled
        return self._on_grid(start, one.captured_epoch + 1)

    def _holders(self) -> list[Presence]:
        """Leave out runs whose spool another one has used since: it has adopted what they left."""
        by_time = sorted(self.presences, key=attrgetter("seen_at"))
        heirs = {each.spool: each for each in by_time if each.spool}
        return [
            each for each in self.presences if heirs.get(each.spool, each).seen_at < each.seen_at + _ADOPTED_SECONDS
        ]

    def _on_grid(self, start: int, end: int) -> Interval:
        return gaps.on_grid(start, end, self.interval)
