"""Who collects: what each live collector says of itself, and what the others may conclude from it.

Pure: records in, counts out; `now` is a monotonic clock in seconds. Nobody's wall clock is trusted: a collector is live
for another when the other has seen its `seen_at` change, twice within 15 s.
"""

from collections import deque
from collections.abc import Iterable
from typing import Literal

import msgspec

from depth import rowkey
from depth.errors import MalformedRow
from depth.record import Record

PREFIX = "presence#"
END = "presence$"  # "$" follows "#"
BEACON_SECONDS = 5.0
LIVE_SECONDS = 15.0

State = Literal["unchained", "chained", "stopped"]


class Presence(msgspec.Struct, frozen=True):
    """What one collector says of itself, of one table.

    Attributes:
        collector: id of the run.
        group: collectors that stand in for each other; COLLECTOR_GROUP, by default the host name.
        scheduled: UTC second at which the run was to start; earlier runs hand over to later ones.
        state: ``chained`` while the next event can prove a row, ``stopped`` as a run's last word.
        seen_at: its local clock, float seconds UTC; only that it changes means anything.
        first_epoch: first second that it captured, None before.
        last_epoch: last second that the store has acknowledged, None before.
        captured_epoch: last second that it captured, None before.
        oldest_spooled: oldest second of this table that waits in its spool, None without one.
        spool_count: rows that wait in its spool.
        began: UTC second at which it did begin, by its local clock; None in rows of older runs.
        spool: id of its spool file; whoever uses the file later adopts what it leaves. Empty in rows of older runs.
    """

    collector: str
    group: str
    scheduled: int
    state: State
    seen_at: float
    first_epoch: int | None = None
    last_epoch: int | None = None
    captured_epoch: int | None = None
    oldest_spooled: int | None = None
    spool_count: int = 0
    began: int | None = None
    spool: str = ""

    @property
    def order(self) -> tuple[int, str]:
        """Rank among the collectors of a group: the later one stays."""
        return self.scheduled, self.collector


def encode(presence: Presence) -> Record:
    """Write a presence as a row of the companion table, the latest start first; the last write wins."""
    key = PREFIX + rowkey.encode(presence.scheduled, presence.collector)
    return Record(key, {"value": msgspec.json.encode(presence).decode()})


def decode(record: Record) -> Presence:
    """Read a presence back.

    Raises:
        MalformedRow: another program wrote it.
    """
    try:
        return msgspec.json.decode(record.columns["value"], type=Presence)
    except (KeyError, msgspec.DecodeError) as error:
        raise MalformedRow(f"presence {record.key} cannot be read ({error}): another program wrote it") from error


class Neighbours:
    """What a watcher has seen of the collectors of one table."""

    def __init__(self) -> None:
        """Begin with nobody in sight."""
        self._seen: dict[str, Presence] = {}
        self._changes: dict[str, deque[float]] = {}

    def observe(self, presences: Iterable[Presence], now: float) -> None:
        """Take one reading of all presence rows.

        Args:
            presences: as read from the store.
            now: monotonic seconds.
        """
        for presence in presences:
            name = presence.collector
            before = self._seen.get(name)
            if before is not None and before.seen_at != presence.seen_at:
                self._changes.setdefault(name, deque(maxlen=2)).append(now)
            self._seen[name] = presence

    def live(self, group: str, now: float) -> list[Presence]:
        """Give the collectors of a group whose `seen_at` changed twice within the last 15 s, in their order."""
        alive = [
            self._seen[name]
            for name, changes in self._changes.items()
            if len(changes) == changes.maxlen and now - changes[0] <= LIVE_SECONDS
        ]
        return sorted((presence for presence in alive if presence.group == group), key=lambda one: one.order)

    def successors(self, mine: Presence, now: float) -> int:
        """Count who can take over: live, later in order, chained, and capturing since before my last stored second."""
        return sum(
            other.order > mine.order
            and other.state == "chained"
            and other.first_epoch is not None
            and mine.last_epoch is not None
            and other.first_epoch <= mine.last_epoch
            for other in self.live(mine.group, now)
        )
