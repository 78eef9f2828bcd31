"""Which messages about gaps are due: one when a gap opens, one if it goes on, one when it is over.

Pure. People know a gap as a whole, while the ledger cuts it where its cause changes and where a part was filled; so all
entries that carry the same name (`Entry.gap`) are told of together, and are marked together once a message is sent.

- ``opened``: a second check has confirmed what an earlier one detected. What was filled in between is never told of.
- ``growing``: ten minutes after its detection it still goes on. Once.
- ``resolved``: all its rows have come. Only of a gap that was told of.
- ``lost``: it is closed, since nobody can fill it any more (`Entry.lost_at`). It takes the place of ``resolved``:
  should its rows come after all, the ledger says so and no second message is sent.

Of one gap at most one message is due at a time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from depth.incidents import SUSPECT
from depth.ledger import Entry

Event = Literal["opened", "growing", "resolved", "lost"]

_GROWING_SECONDS = 600
# Without a word from the check: rows have 30 s to be stored, and another 30 s are allowed for.
_UNSETTLED_SECONDS = 60

# Where the ledger says that a message was sent.
_SENT: Mapping[Event, str] = {
    "opened": "opened_alert_at",
    "growing": "growing_alert_at",
    "resolved": "resolved_alert_at",
    "lost": "resolved_alert_at",
}


@dataclass(frozen=True, slots=True)
class Due:
    """One message that is to be sent.

    Attributes:
        event: what happened.
        start: first epoch of the gap, inclusive.
        end: exclusive.
        missing: epochs without a row; of a resolved gap those that were.
        cause: why, the cause with the most missing epochs first, then the others: ``"disconnect, silent"``.
        entries: all ledger entries of the gap, oldest first.
    """

    event: Event
    start: int
    end: int
    missing: int
    cause: str
    entries: tuple[Entry, ...]

    def key(self, table: str) -> str:
        """Name the message, always the same: whoever gets it twice, however the gap grew meanwhile, knows it again.

        Without its last part it is the name of the gap. Of gaps that have grown together it is the oldest's.

        Args:
            table: the depth table.
        """
        detected_at, start = self.entries[0].gap
        return f"{table}/{start}/{detected_at}/{self.event}"


def due(entries: Iterable[Entry], now: int, settled: int | None = None) -> list[Due]:
    """Say which messages are due; the same until they are marked as sent in the ledger (`sent`).

    Args:
        entries: the ledger, suspicions too: they are no gaps.
        now: time of the check, UTC seconds.
        settled: what is older should be stored: a gap that reaches it goes on. A minute before `now` by default.

    Returns:
        The messages, the oldest gap first.
    """
    gaps: dict[tuple[int, int], list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: entry.span):
        if entry.cause != SUSPECT:
            gaps[entry.gap].append(entry)
    reach = now - _UNSETTLED_SECONDS if settled is None else settled
    events = ((_event(parts, now, reach), parts) for parts in gaps.values())
    return [_message(event, parts) for event, parts in events if event is not None]


def sent(entries: Iterable[Entry], message: Due, now: int) -> list[tuple[Entry, Entry]]:
    """Say what to write once a message was sent, so that it is due no more.

    Args:
        entries: the ledger as it is then; the gap may have grown or been cut since the message was due.
        message: what was sent.
        now: UTC second at which it was sent.

    Returns:
        Each entry that changes, with what it was. The time of an earlier sending stays.
    """
    changes: dict[str, Any] = {_SENT[message.event]: now}
    family = message.entries[0].gap
    return [
        (replace(entry, **changes), entry)
        for entry in entries
        if entry.gap == family and entry.cause != SUSPECT and getattr(entry, _SENT[message.event]) is None
    ]


def _event(parts: Sequence[Entry], now: int, reach: int) -> Event | None:
    left = [entry for entry in parts if entry.open]
    told = {column for column in _SENT.values() if any(getattr(entry, column) is not None for entry in parts)}
    if "opened_alert_at" not in told:
        return "opened" if left and parts[0].detected_at < now else None
    if "resolved_alert_at" in told:
        return None
    if not left:
        return "resolved"
    if all(entry.lost_at is not None for entry in left):
        return "lost"
    goes_on = left[-1].end > left[-1].detected_at + _GROWING_SECONDS and left[-1].end >= reach
    return "growing" if goes_on and "growing_alert_at" not in told else None


def _message(event: Event, parts: Sequence[Entry]) -> Due:
    told_of = [entry for entry in parts if entry.open] or parts
    missing: dict[str, int] = defaultdict(int)
    for entry in told_of:
        missing[entry.cause] += entry.missing
    causes = sorted(missing, key=lambda cause: (-missing[cause], cause))
    return Due(event, parts[0].start, parts[-1].end, sum(missing.values()), ", ".join(causes), tuple(parts))
