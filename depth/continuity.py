"""What is stored, held against what should be: finds the missing epochs and keeps the gap ledger. Reads keys only."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from depth import due, gaps, incidents, ledger, rowkey, tables
from depth.catalog import DepthTable
from depth.due import Due
from depth.errors import MalformedRow, StoreUnavailable
from depth.gaps import Interval
from depth.incidents import Report
from depth.ledger import Changes, Entry, Gap, Look
from depth.record import Record
from depth.storage.base import Store

logger = logging.getLogger(__name__)

_DAY = 86_400
_SPANS = {"24 h": _DAY, "7 d": 7 * _DAY, "30 d": 30 * _DAY}
_END = 10_000_000_000
# Keys that may lie between two places to look at before they are read in two requests: a request costs as much.
_NEAR = 200
_DELETED_AT_ONCE = 2_000

_Parsed = TypeVar("_Parsed")


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
    grace: int = 30
    kept_seconds: int | None = None

    @property
    def settled(self) -> int:
        """What is older should be stored."""
        return max(0, self.now - self.grace)

    @property
    def horizon(self) -> int:
        """What is older may be deleted."""
        return 0 if self.kept_seconds is None else max(0, self.now - self.kept_seconds)


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
        window: what was asked for, on the table's grid and as far as rows are due.
        coverage: of the window.
        gaps: of the window, sorted.
        opened: gaps that the ledger did not know.
        resolved: gaps whose rows have come.
        open: every gap that is open now, of the window or not.
        due: messages to send; once sent, `mark` them.
        recent: coverage of the last 24 h, 7 d and 30 d, as the ledger has it.
    """

    table: DepthTable
    window: Interval
    coverage: Coverage
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


async def verify(
    store: Store, table: DepthTable, check: Check, presence: Sequence[Interval] | None = None
) -> Continuity:
    """Check one table and bring its ledger up to date; twice, or twice at the same time, changes nothing.

    Looked at are the window and every gap that the ledger holds open. A gap that reaches back beyond them is followed
    to its true start; what comes after them is the next check's.

    Args:
        store: holds the table.
        table: what to check.
        check: when, and how far.
        presence: when any collector is known to have been alive; None where nobody noted it.

    Returns:
        What was found.

    Raises:
        StoreUnavailable: no answer in time; the ledger is as it was, or holds a part of what was found.
        StoreRefused: the database or the table is missing, or a person must act; no gap is opened.
    """
    interval, rows = table.grid.interval, _Rows(store, table)
    horizon, settled = gaps.on_grid(check.horizon, check.settled, interval)
    # Read before the ledger is made: a missing database must stay missing.
    first = await rows.oldest(horizon, settled)
    held = _Ledger(store, table)
    await held.open()
    entries, reports = await held.entries(), await held.reports()
    lost = [entry for entry in entries if entry.cause != incidents.SUSPECT]

    began = min((first, *(entry.start for entry in lost))) if first is not None else _oldest(lost)
    window = _window(check, began, interval)
    floor = window.start if began is None else max(began, horizon)
    again = [entry.span for entry in lost if entry.open and entry.end > horizon]
    asked = gaps.merge([window, *again])
    missing: list[Interval] = []
    for region in gaps.merge(asked, reach=_NEAR * interval):
        missing += _up_to(asked, await rows.missing(region, floor))
    missing = gaps.merge(missing)

    kept = gaps.merge([(horizon, settled), *again])
    found = ledger.explain(gaps.intersect(missing, kept), reports, presence)
    changes = ledger.reconcile(lost, Look(gaps.intersect(asked, kept), interval, check.now), found)
    await held.write(changes, ledger.suspicions(entries, reports, check.now))

    inside = gaps.intersect(missing, [window])
    return Continuity(
        table=table,
        window=window,
        coverage=Coverage(gaps.count([window], interval), gaps.count(inside, interval)),
        gaps=ledger.explain(inside, reports, presence),
        opened=changes.opened,
        resolved=changes.resolved,
        open=[entry for entry in changes.entries if entry.open and entry.end > horizon],
        due=due.due([entry for entry in changes.entries if entry.end > horizon], check.now, settled),
        recent={name: _recent(changes, max(floor, settled - span), settled, interval) for name, span in _SPANS.items()},
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
    held = _Ledger(store, table)
    await held.update(due.sent(await held.entries(), message, now))


async def expire(store: Store, table: DepthTable, horizon: int) -> int:
    """Delete the rows older than `horizon`, and what the ledger and the collectors say of that time.

    In Bigtable a garbage collection policy does the rows at less cost; where it has, none are found here.

    Returns:
        Rows deleted.
    """
    deleted, batch = 0, list[str]()
    async for epoch in _Rows(store, table).present(0, horizon):
        batch.append(rowkey.encode(epoch, table.symbol))
        if len(batch) == _DELETED_AT_ONCE:
            await store.delete(table.name, batch)
            deleted, batch = deleted + len(batch), []
    await store.delete(table.name, batch)
    held = _Ledger(store, table)
    await held.open()
    await held.expire(horizon)
    return deleted + len(batch)


class _Rows:
    """Which epochs of a table are stored."""

    def __init__(self, store: Store, table: DepthTable) -> None:
        self._store = store
        self._table = table.name
        self._market = table.symbol.replace("/", "")
        self._interval = table.grid.interval

    async def present(self, start: int, end: int) -> AsyncGenerator[int, None]:
        """Stream the epochs of ``[start, end)``, newest first."""
        async for key in self._store.keys(self._table, *rowkey.bounds(start, end)):
            epoch = self._epoch(key)
            if epoch is not None:
                yield epoch

    async def newest(self, start: int, end: int) -> int | None:
        """Find the newest epoch of ``[start, end)``."""
        first = [key async for key in self._store.keys(self._table, *rowkey.bounds(start, end), 1)]
        if first and self._epoch(first[0]) is None:  # another program's stands before ours
            return await anext(self.present(start, end), None)
        return self._epoch(first[0]) if first else None

    async def oldest(self, start: int, end: int) -> int | None:
        """Find the oldest epoch of ``[start, end)``; by halves, since keys are sorted the other way round."""
        found = await self.newest(start, end)
        while found is not None and start < found:
            middle = (start + found) // 2 + 1
            earlier = await self.newest(start, middle)
            if earlier is None:
                start = middle
            else:
                found = earlier
        return found

    async def missing(self, region: Interval, floor: int) -> list[Interval]:
        """Find the runs of missing epochs in a region.

        Args:
            region: where to look, and at one epoch before, which mostly shows that a run begins where the region does.
            floor: a run that does not is followed to its true start, but not to before this.
        """
        start = max(region.start - self._interval, min(region.start, floor))
        absent = gaps.Missing(Interval(start, region.end), self._interval)
        async for epoch in self.present(start, region.end):
            absent.saw(epoch)
        runs = absent.finish()
        if runs and runs[0].start == start > floor:
            before = await self.newest(floor, start)
            runs[0] = Interval(floor if before is None else before + self._interval, runs[0].end)
        return runs

    def _epoch(self, key: str) -> int | None:
        """Read a key; what another program wrote between ours is no row."""
        try:
            epoch, market = rowkey.decode(key)
        except MalformedRow:
            return None
        return epoch if market == self._market and epoch % self._interval == 0 else None


class _Ledger:
    """The tables beside a depth table that tell of its gaps."""

    def __init__(self, store: Store, table: DepthTable) -> None:
        self._store = store
        self._symbol = table.symbol
        self._gaps = tables.gaps_table(table.name)
        self._collectors = tables.collectors_table(table.name)

    async def open(self) -> None:
        """Make the tables where they are missing."""
        for name in (self._gaps, self._collectors):
            await self._store.ensure_table(name, tables.columns(name))

    async def entries(self) -> list[Entry]:
        """Read the whole ledger."""
        return await self._read(self._gaps, rowkey.bounds(0, _END), Entry.parse)

    async def reports(self) -> list[Report]:
        """Read what the collectors say."""
        return await self._read(self._collectors, incidents.bounds(0, _END), Report.parse)

    async def write(self, changes: Changes, suspicions: Sequence[Entry]) -> None:
        """Write what a check changed."""
        await self._store.delete(self._gaps, [entry.key(self._symbol) for entry in changes.deleted])
        await self.update([*changes.written, *((entry, None) for entry in suspicions)])

    async def update(self, written: Iterable[tuple[Entry, Entry | None]]) -> None:
        """Write entries, each over what the ledger holds under its key."""
        records = [Record(entry.key(self._symbol), entry.columns(before)) for entry, before in written]
        outcome = await self._store.write(self._gaps, records)
        for why in outcome.failures.values():
            raise StoreUnavailable(f"{len(outcome.failures)} changes of {self._gaps} were not taken ({why}): run again")

    async def expire(self, horizon: int) -> None:
        """Delete what ended before `horizon`."""
        old = [entry.key(self._symbol) for entry in await self.entries() if entry.end <= horizon]
        await self._store.delete(self._gaps, old)
        told = [report.record(self._symbol).key for report in await self.reports() if report.end <= horizon]
        await self._store.delete(self._collectors, told)

    async def _read(self, table: str, bounds: tuple[str, str], parse: Callable[[Record], _Parsed]) -> list[_Parsed]:
        found = []
        async for record in self._store.scan(table, *bounds):
            try:
                found.append(parse(record))
            except MalformedRow as error:
                logger.warning("%s; it is passed over", error)
        return found


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


def _recent(changes: Changes, start: int, end: int, interval: int) -> Coverage:
    window = gaps.on_grid(start, end, interval)
    lost = gaps.merge(entry.span for entry in changes.entries if entry.open)
    return Coverage(gaps.count([window], interval), gaps.count(gaps.intersect(lost, [window]), interval))
