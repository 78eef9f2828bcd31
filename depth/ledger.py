"""The gap ledger: which seconds were missing, why, since when it is known, and when they came after all.

Pure. The ledger is a function of the epochs: each was never seen missing, is missing (with a cause, and the time when
that was found), or came late (with the time when that was seen). An entry is a stretch of epochs that are alike, so
whatever windows are checked in whatever order, or twice, the ledger is the same:

- A gap is cut where its cause changes, and the cause of an epoch follows from the reports about that epoch alone. Were
  the cause the one with the largest share of the gap, it would depend on how much of the gap a window had shown.
- What a longer gap swallows (grown, merged) keeps the oldest detection and the alerts already sent.
- What is filled becomes a resolved entry of its own and stays as it is; the rest of the gap stays open. The entries of
  one gap share its name, `Entry.gap`: when and where it was first seen, which does not change however the gap grows,
  shrinks or is cut. Gaps that grow together take the oldest's name, of those whose end was not told yet.
- A gap is closed as lost when it is over (a row follows it) and nobody can fill it any more: it ended, and was found,
  ten minutes ago, or seven days where a collector's spool may hold its rows (`Look.lost_before`). It stays missing, is
  still checked, and becomes resolved should its rows come after all. A lost gap that goes on, since rows after it have
  vanished, is lost no more; whoever was told that it is lost is not told again.

`suspect` entries stand beside the gaps: their rows are stored, nothing of them is missing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
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

_TIMES = {"opened_alert_at", "growing_alert_at", "resolved_at", "resolved_alert_at", "lost_at"}


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
        resolved_alert_at: when the message that it is resolved, or lost, was sent.
        lost_at: when a check saw that nobody can fill it any more.
        first_start: where the gap began when it was detected, None where that is `start`.
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
    lost_at: int | None = None
    first_start: int | None = None

    @property
    def gap(self) -> tuple[int, int]:
        """Name the gap that it is a part of: when it was detected, and where it began then."""
        return self.detected_at, self.start if self.first_start is None else self.first_start

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


class Look(NamedTuple):
    """What a check looked at.

    Attributes:
        checked: where, in normal form; it holds every open entry that may have changed.
        interval: seconds between epochs.
        now: time of the check.
        lost_before: a gap that had ended and was known by then can no longer be filled.
        ends: where gaps were seen to end, by the row that follows them.
    """

    checked: Sequence[Interval]
    interval: int
    now: int
    lost_before: int = 0
    ends: Collection[int] = ()


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
    missing: Sequence[Interval],
    reports: Iterable[Report],
    otherwise: Iterable[tuple[str, Sequence[Interval]]] = (),
) -> list[Gap]:
    """Name the cause of every missing epoch.

    Args:
        missing: sorted, disjoint.
        reports: what collectors say; of several about an epoch the one that begins first counts, then the longest.
        otherwise: causes of what nobody reported, each with its epochs in normal form; the first counts.

    Returns:
        The gaps, sorted, cut where the cause changes; `unknown` is what nobody explains.
    """
    shares: dict[str, list[Interval]] = defaultdict(list)
    reach = 0
    for report in sorted(reports, key=lambda report: (report.start, -report.end, report.cause)):
        if report.cause != SUSPECT and report.end > reach:
            shares[report.cause].append(Interval(max(report.start, reach), report.end))
            reach = report.end
    left = gaps.merge(missing)
    found: dict[str, list[Interval]] = defaultdict(list)
    for cause, spans in [*shares.items(), *otherwise, (UNKNOWN, left)]:
        found[cause] += gaps.intersect(left, spans)
        left = gaps.subtract(left, spans)
    return sorted(Gap(*span, cause) for cause, spans in found.items() for span in gaps.merge(spans))


def reconcile(entries: Iterable[Entry], look: Look, found: Sequence[Gap]) -> Changes:
    """Bring the ledger in line with what is stored.

    Args:
        entries: of gaps, without suspicions: all that overlap what was looked at.
        look: what was looked at.
        found: every gap in it, as `explain` gives them; each from its true start.

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
        whole = _inherit(run, heirs, look)
        parts = [
            replace(_cut(whole, Interval(*gap[:2]), look.interval), cause=gap.cause)
            for gap in gaps.overlapping(found, *run)
        ]
        after += parts
        opened += [] if heirs else parts
    for entry in pieces:
        there = gaps.subtract([entry.span], gaps.overlapping(runs, *entry.span))
        seen = gaps.intersect(there, gaps.overlapping(look.checked, *entry.span)) if entry.open else []
        late = [replace(_cut(entry, span, look.interval), resolved_at=look.now) for span in seen]
        after += late + [_cut(entry, span, look.interval) for span in gaps.subtract(there, seen)]
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
            disjoint.append(_moved(entry, max(entry.start, reach), entry.end))
            reach = entry.end
    return disjoint


def _inherit(run: Interval, heirs: Sequence[Entry], look: Look) -> Entry:
    """Make one entry of a run of missing epochs and of what was known of it."""
    # Of a gap whose end was told nothing more is told: one that swallows it keeps its own name and messages.
    named = [entry for entry in heirs if entry.resolved_alert_at is None] or heirs
    detected_at, first_start = min((entry.gap for entry in named), default=(look.now, run.start))
    # What was closed stays so unless it goes on, whatever is known of the collectors later.
    was_lost = bool(heirs) and run.end <= heirs[-1].end and all(entry.lost_at is not None for entry in heirs)
    is_over = run.end in look.ends and max(run.end, detected_at) <= look.lost_before
    lost_at = _earliest([*(entry.lost_at for entry in heirs), look.now])
    return Entry(
        *run,
        0,
        UNKNOWN,
        detected_at,
        opened_alert_at=_earliest(entry.opened_alert_at for entry in named),
        growing_alert_at=_earliest(entry.growing_alert_at for entry in named),
        resolved_alert_at=_earliest(entry.resolved_alert_at for entry in named),
        lost_at=lost_at if was_lost or is_over else None,
        first_start=first_start,
    )


def _cut(entry: Entry, span: Interval, interval: int) -> Entry:
    return replace(_moved(entry, *span), missing=gaps.count([span], interval))


def _moved(entry: Entry, start: int, end: int) -> Entry:
    """Give it other ends; the name of its gap stays."""
    first_start = entry.gap[1]
    return replace(entry, start=start, end=end, first_start=None if first_start == start else first_start)


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
