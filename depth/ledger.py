"""The gap ledger: which seconds were missing, why, since when it is known, and when they came after all.

Pure. The ledger is a function of the epochs: each was never seen missing, is missing (with a cause, and the time when
that was found), or came late (with the time when that was seen). An entry is a stretch of epochs that are alike, so
whatever windows are checked in whatever order, or twice, the ledger is the same:

- A gap is cut where its cause changes, and the cause of an epoch follows from the reports about that epoch alone. Were
  the cause the one with the largest share of the gap, it would depend on how much of the gap a window had shown.
- What a longer gap swallows (grown, merged) keeps the oldest detection and the alerts already sent.
- What is filled becomes a resolved entry of its own and stays as it is; the rest of the gap stays open. So the entries
  of one gap lie end to end and share `detected_at`: by that, whoever alerts knows them as one.

`suspect` entries stand beside the gaps: their rows are stored, nothing of them is missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import NamedTuple

from depth import gaps, rowkey
from depth.errors import MalformedRow
from depth.gaps import Interval
from depth.incidents import SUSPECT, Report
from depth.record import Record
from depth.tables import GAP_COLUMNS

UNKNOWN = "unknown"
NO_COLLECTOR = "no collector"

_TIMES = {"opened_alert_at", "growing_alert_at", "resolved_at", "resolved_alert_at"}


class Gap(NamedTuple):
    """Epochs `start` <= T < `end` without a row, for one cause."""

    start: int
    end: int
    cause: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger; all times are UTC seconds.

    Attributes:
        start: first epoch, inclusive.
        end: exclusive.
        missing: epochs without a row when it was found; 0 for `suspect`.
        cause: why.
        detected_at: when a check first saw the gap that it is a part of.
        opened_alert_at: when the message that it opened was sent.
        growing_alert_at: when the message that it still grows was sent.
        resolved_at: when a check saw that its rows had come; None while they are missing.
        resolved_alert_at: when the message that it is resolved was sent.
    """

    start: int
    end: int
    missing: int
    cause: str
    detected_at: int
    opened_alert_at: int | None = None
    growing_alert_at: int | None = None
    resolved_at: int | None = None
    resolved_alert_at: int | None = None

    @property
    def open(self) -> bool:
        """Whether its epochs are missing."""
        return self.resolved_at is None and self.cause != SUSPECT

    @property
    def span(self) -> Interval:
        """Its epochs."""
        return Interval(self.start, self.end)

    def key(self, symbol: str) -> str:
        """Give its row key, the newest first; a suspicion may begin where a gap does."""
        return rowkey.encode(self.start, symbol) + (f"#{SUSPECT}" if self.cause == SUSPECT else "")

    def columns(self, before: "Entry | None" = None) -> dict[str, str]:
        """Give the columns to write over `before`, what the ledger holds under this key.

        A time that did not change is not written: another process may have claimed an alert meanwhile. The others
        always are: another check may have deleted the row meanwhile, and part of a row could not be read back.
        """
        values = {name: getattr(self, name) for name in GAP_COLUMNS}
        changed = {name for name in _TIMES if before is None or values[name] != getattr(before, name)}
        return {
            name: str(value)
            for name, value in values.items()
            if value is not None and (name in changed or name not in _TIMES)
        }

    @classmethod
    def parse(cls, record: Record) -> "Entry":
        """Read a stored entry back.

        Raises:
            MalformedRow: another program wrote it.
        """
        texts = record.columns
        try:
            times = {name: int(texts[name]) for name in GAP_COLUMNS if name != "cause" and name in texts}
            return cls(cause=texts["cause"], **times)
        except (KeyError, ValueError, TypeError) as error:
            raise MalformedRow(f"row {record.key} is no gap ({error!r}): another program wrote it") from error


class Changes(NamedTuple):
    """What a check changes.

    Attributes:
        entries: the ledger after it, sorted: those given, as they are now.
        written: entries that are new or differ, each with what the ledger holds under its key, None for nothing.
        deleted: entries to take away first: swallowed by another, or missing again after they were resolved.
        opened: gaps that nobody knew.
        resolved: gaps, or parts of them, whose rows came late.
    """

    entries: list[Entry]
    written: list[tuple[Entry, Entry | None]]
    deleted: list[Entry]
    opened: list[Entry]
    resolved: list[Entry]


def explain(
    missing: Sequence[Interval], reports: Iterable[Report], presence: Sequence[Interval] | None = None
) -> list[Gap]:
    """Name the cause of every missing epoch.

    Args:
        missing: sorted, disjoint.
        reports: what collectors say; of several about an epoch the one that begins first counts, then the longest.
        presence: when any collector is known to have been alive, sorted and disjoint; None where nobody noted it.

    Returns:
        The gaps, sorted, cut where the cause changes: as reported, else `no collector` where none was alive, else
        `unknown`.
    """
    shares: dict[str, list[Interval]] = defaultdict(list)
    reach = 0
    for report in sorted(reports, key=lambda report: (report.start, -report.end, report.cause)):
        if report.cause != SUSPECT and report.end > reach:
            shares[report.cause].append(Interval(max(report.start, reach), report.end))
            reach = report.end
    left = gaps.subtract(missing, sorted(span for spans in shares.values() for span in spans))
    found = {cause: gaps.intersect(missing, spans) for cause, spans in shares.items()}
    if presence is None:
        found[UNKNOWN] = left
    else:
        found[UNKNOWN] = gaps.intersect(left, presence)
        found[NO_COLLECTOR] = gaps.subtract(left, presence)
    return sorted(Gap(*span, cause) for cause, spans in found.items() for span in spans)


def reconcile(
    entries: Iterable[Entry], checked: Sequence[Interval], found: Sequence[Gap], interval: int, now: int
) -> Changes:
    """Bring the ledger in line with what is stored.

    Args:
        entries: of gaps, without suspicions: all that overlap `checked`.
        checked: what was looked at, in normal form; it holds every open entry that may have changed.
        found: every gap in it, as `explain` gives them; each from its true start.
        interval: seconds between epochs.
        now: time of the check.

    Returns:
        What to write; nothing where nothing changed.
    """
    before = sorted(entries, key=lambda entry: entry.span)
    pieces = _disjoint(before)
    runs = gaps.merge(gap[:2] for gap in found)
    opened: list[Entry] = []
    resolved: list[Entry] = []
    after: list[Entry] = []
    known = [(*entry.span, entry) for entry in pieces if entry.open]
    for run in runs:
        heirs = [entry for _, _, entry in gaps.overlapping(known, *run)]
        parts = [
            Entry(
                gap.start,
                gap.end,
                gaps.count([gap[:2]], interval),
                gap.cause,
                min((entry.detected_at for entry in heirs), default=now),
                _earliest(entry.opened_alert_at for entry in heirs),
                _earliest(entry.growing_alert_at for entry in heirs),
            )
            for gap in gaps.overlapping(found, *run)
        ]
        after += parts
        opened += [] if heirs else parts
    for entry in pieces:
        there = gaps.subtract([entry.span], gaps.overlapping(runs, *entry.span))
        seen = gaps.intersect(there, gaps.overlapping(checked, *entry.span)) if entry.open else []
        late = [replace(_cut(entry, span, interval), resolved_at=now) for span in seen]
        after += late + [_cut(entry, span, interval) for span in gaps.subtract(there, seen)]
        resolved += late
    after.sort(key=lambda entry: entry.span)
    return Changes(after, *_differences(before, after), opened, resolved)


def suspicions(entries: Iterable[Entry], reports: Iterable[Report], now: int) -> list[Entry]:
    """Give the suspicions that the ledger does not hold yet: rows that two audits in a row did not confirm."""
    ends: dict[int, int] = {}
    for report in reports:
        if report.cause == SUSPECT:
            ends[report.start] = max(report.end, ends.get(report.start, 0))
    held = {entry.span for entry in entries if entry.cause == SUSPECT}
    return [Entry(*span, 0, SUSPECT, now) for span in sorted(ends.items()) if span not in held]


def _disjoint(entries: Iterable[Entry]) -> list[Entry]:
    """Cut off what an entry before has, too: two checks at the same time may have left it."""
    disjoint: list[Entry] = []
    reach = 0
    for entry in entries:
        if entry.end > reach:
            disjoint.append(replace(entry, start=max(entry.start, reach)))
            reach = entry.end
    return disjoint


def _cut(entry: Entry, span: Interval, interval: int) -> Entry:
    return replace(entry, start=span.start, end=span.end, missing=gaps.count([span], interval))


def _earliest(times: Iterable[int | None]) -> int | None:
    return min((time for time in times if time is not None), default=None)


def _differences(
    before: Iterable[Entry], after: Iterable[Entry]
) -> tuple[list[tuple[Entry, Entry | None]], list[Entry]]:
    """Compare by key; a column cannot be emptied, so an entry that loses one is deleted first."""
    held = {entry.start: entry for entry in before}
    now = {entry.start: entry for entry in after}
    deleted = [entry for start, entry in held.items() if start not in now or _loses(entry, now[start])]
    gone = {entry.start for entry in deleted}
    written = [
        (entry, None if start in gone else held.get(start)) for start, entry in now.items() if entry != held.get(start)
    ]
    return written, deleted


def _loses(old: Entry, new: Entry) -> bool:
    return any(was is not None and is_ is None for was, is_ in zip(astuple(old), astuple(new), strict=True))
