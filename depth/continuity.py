"""What is stored, held against what should be: finds the missing epochs and keeps the gap ledger. Reads keys only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from depth import due, gaps, incidents, ledger, rowkey
from depth.accounts import Accounts
from depth.attendance import Attendance
from depth.catalog import DepthTable
from depth.due import Due
from depth.epochs import GRACE_SECONDS
from depth.gaps import Interval
from depth.ledger import Changes, Entry, Gap, Look
from depth.storage.base import Store
from depth.stored import StoredEpochs

_DAY = 86_400
_SPANS = {"24 h": _DAY, "7 d": 7 * _DAY, "30 d": 30 * _DAY}
_RUNS_KEPT_SECONDS = 35 * _DAY
# Keys that may lie between two places to look at before they are read in two requests: a request costs as much.
_NEAR = 200
_DELETED_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Check:
    """What is to be checked.

    Attributes:
        start: UTC second.
        end: exclusive; what is younger than the grace is left to the next check.
        now: time of the check.
        by_hand: rows are due from `start` on, whatever was stored before; otherwise from the first epoch ever stored,
            and not longer ago than rows are kept.
        grace: seconds that a row may take to be stored.
        kept_seconds: how long rows are kept, None for ever.
    """

    start: int
    end: int
    now: int
    by_hand: bool = False
    grace: int = GRACE_SECONDS
    kept_seconds: int | None = None

    @property
    def settled(self) -> int:
        """What is older should be stored."""
        return max(0, self.now - self.grace)

    @property
    def horizon(self) -> int:
        """What is older may be deleted."""
        return 0 if self.kept_seconds is None else max(0, self.now - self.kept_seconds)

    @property
    def runs_horizon(self) -> int:
        """Of runs that ended earlier nothing may be known: rows of presence are kept like rows, or 35 days."""
        return self.horizon or max(0, self.now - _RUNS_KEPT_SECONDS)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what was due is stored.

    Attributes:
        expected: epochs.
        missing: of these, without a row.
    """

    expected: int
    missing: int

    @property
    def share(self) -> float | None:
        """0 to 1, None where nothing was due."""
        return (self.expected - self.missing) / self.expected if self.expected else None


@dataclass(frozen=True, slots=True)
class Continuity:
    """What a check of one table found.

    Attributes:
        table: what was checked.
        window: what was asked for, on the table's grid, as far as rows are due, and up to the epochs that are pending.
        coverage: of the window; a pending epoch inside it is not expected.
        pending: epochs of the window, and of what was asked for after it, that a live collector may still bring.
        gaps: of the window, sorted.
        opened: gaps that the ledger did not know.
        resolved: gaps whose rows have come.
        open: every gap that is missing now, of the window or not, lost ones too.
        due: messages to send; once sent, `mark` them.
        recent: coverage of the last 24 h, 7 d and 30 d, as the ledger has it.
    """

    table: DepthTable
    window: Interval
    coverage: Coverage
    pending: int
    gaps: list[Gap]
    opened: list[Entry]
    resolved: list[Entry]
    open: list[Entry]
    due: list[Due]
    recent: dict[str, Coverage]

    def summary(self) -> dict[str, Any]:
        """Give what `--json` prints; `coverage` is null where nothing was due."""
        interval = self.table.grid.interval
        return {
            "symbol": self.table.symbol,
            "start": self.window.start,
            "end": self.window.end,
            "interval": interval,
            "expected": self.coverage.expected,
            "present": self.coverage.expected - self.coverage.missing,
            "missing": self.coverage.missing,
            "coverage": self.coverage.share,
            "gaps": [
                {"start": start, "end": end, "missing": (end - start) // interval, "cause": cause}
                for start, end, cause in self.gaps
            ],
        }


async def verify(store: Store, table: DepthTable, check: Check) -> Continuity:
    """Check one table and bring its ledger up to date; twice, or twice at the same time, changes nothing.

    Looked at are the window and every gap that the ledger holds open. A gap that reaches back beyond them is followed
    to its true start; what comes after them is the next check's. What is pending is left to the next check, too.

    Args:
        store: holds the table.
        table: what to check.
        check: when, and how far.

    Returns:
        What was found.

    Raises:
        StoreUnavailable: no answer in time; the ledger is as it was, or holds a part of what was found.
        StoreRefused: the database or the table is missing, or a person must act; no gap is opened.
    """
    interval, stored, accounts = table.grid.interval, StoredEpochs(store, table), Accounts(store, table)
    horizon, settled = gaps.on_grid(check.horizon, check.settled, interval)
    # Read before the ledger is made: a missing database must stay missing.
    first = await stored.oldest(horizon, settled)
    await accounts.open()
    # Read before the keys: what is stored meanwhile is then pending and present, never neither.
    attendance = Attendance(await accounts.presences(), interval, check.now, check.runs_horizon)
    entries, reports = await accounts.entries(), await accounts.reports()
    known = [entry for entry in entries if entry.cause != incidents.SUSPECT]

    began = min((first, *(entry.start for entry in known))) if first is not None else _oldest(known)
    window = _window(check, began, interval)
    floor = window.start if began is None else max(began, horizon)
    again = [entry.span for entry in known if entry.open and entry.end > horizon]
    asked = gaps.merge([window, *again])
    missing, ends = await _missing(stored, asked, floor, interval)
    # What is known as a gap stays one until its rows come.
    pending = gaps.subtract(gaps.intersect(missing, attendance.pending(reports)), gaps.merge(again))
    missing = gaps.subtract(missing, pending)

    # Whoever asks for the time before the first row gets an answer; the ledger, which is checked for ever, none.
    kept = gaps.merge([*([] if began is None else [(max(began, horizon), settled)]), *again])
    causes = attendance.causes(known)
    look = Look(gaps.intersect(asked, kept), interval, check.now, attendance.lost_before, ends)
    changes = ledger.reconcile(known, look, ledger.explain(gaps.intersect(missing, kept), reports, causes))
    await accounts.write(changes, ledger.suspicions(entries, reports, check.now))

    certain, reach = _before(window, pending), _before(Interval(floor, settled), pending).end
    inside = gaps.intersect(missing, [certain])
    kept_entries = [entry for entry in changes.entries if entry.end > horizon]
    return Continuity(
        table=table,
        window=certain,
        coverage=_coverage(certain, inside, pending, interval),
        pending=gaps.count(gaps.intersect(pending, [window]), interval),
        gaps=ledger.explain(inside, reports, causes),
        opened=changes.opened,
        resolved=changes.resolved,
        open=[entry for entry in kept_entries if entry.open],
        due=due.due(kept_entries, check.now, reach),
        recent={
            name: _recent(changes, gaps.on_grid(max(floor, settled - span), reach, interval), pending, interval)
            for name, span in _SPANS.items()
        },
    )


async def mark(store: Store, table: DepthTable, message: Due, now: int) -> None:
    """Note in the ledger that a message was sent, so that it is due no more.

    The gap is read anew, since another check may have cut it meanwhile.

    Args:
        store: holds the table.
        table: whose gap it is.
        message: what was sent.
        now: UTC second at which it was sent.

    Raises:
        StoreUnavailable: no answer in time: the message stays due.
        StoreRefused: a person must act.
    """
    accounts = Accounts(store, table)
    await accounts.update(due.sent(await accounts.entries(), message, now))


async def expire(store: Store, table: DepthTable, check: Check) -> int:
    """Delete the rows that are kept no longer, what the ledger and the collectors say of that time, and runs long gone.

    In Bigtable a garbage collection policy does the rows at less cost; where it has, none are found here.

    Returns:
        Rows deleted.
    """
    deleted, batch = 0, list[str]()
    async for epoch in StoredEpochs(store, table).present(0, check.horizon):
        batch.append(rowkey.encode(epoch, table.symbol))
        if len(batch) == _DELETED_AT_ONCE:
            await store.delete(table.name, batch)
            deleted, batch = deleted + len(batch), []
    await store.delete(table.name, batch)
    accounts = Accounts(store, table)
    await accounts.open()
    await accounts.expire(check.horizon, check.runs_horizon)
    return deleted + len(batch)


async def _missing(
    stored: StoredEpochs, asked: Sequence[Interval], floor: int, interval: int
) -> tuple[list[Interval], set[int]]:
    """Find what is missing of what was asked for, and where gaps end: at a row that is stored."""
    missing: list[Interval] = []
    ends: set[int] = set()
    for region in gaps.merge(asked, reach=_NEAR * interval):
        runs = await stored.missing(region, floor)
        ends.update(run.end for run in runs if run.end <= region.end)
        missing += _up_to(asked, runs)
    return gaps.merge(missing), ends


def _oldest(entries: Sequence[Entry]) -> int | None:
    return min((entry.start for entry in entries), default=None)


def _up_to(asked: Sequence[Interval], runs: Sequence[Interval]) -> list[Interval]:
    """Leave out what lies between the places asked for: whether it was read depends on how near they are."""
    within = [(run, gaps.overlapping(asked, *run)) for run in runs]
    return [Interval(run.start, min(run.end, places[-1].end)) for run, places in within if places]


def _window(check: Check, began: int | None, interval: int) -> Interval:
    """Cut what was asked for down to where rows are due."""
    end = min(check.end, check.settled)
    if check.by_hand:
        return gaps.on_grid(check.start, end, interval)
    return gaps.on_grid(end if began is None else max(check.start, began, check.horizon), end, interval)


def _before(window: Interval, pending: Sequence[Interval]) -> Interval:
    """End a window where all the rest of it is pending: nothing can be said of that yet."""
    if pending and pending[-1].start < window.end <= pending[-1].end:
        return Interval(window.start, max(window.start, pending[-1].start))
    return window


def _coverage(window: Interval, missing: Sequence[Interval], pending: Sequence[Interval], interval: int) -> Coverage:
    """Count; what is pending is neither expected nor missing."""
    expected = gaps.subtract([window], pending)
    return Coverage(gaps.count(expected, interval), gaps.count(gaps.intersect(missing, expected), interval))


def _recent(changes: Changes, window: Interval, pending: Sequence[Interval], interval: int) -> Coverage:
    return _coverage(window, gaps.merge(entry.span for entry in changes.entries if entry.open), pending, interval)
