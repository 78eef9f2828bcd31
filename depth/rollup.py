"""Whole hours summed up: made from the stored rows, kept beside them, made anew when late rows arrive."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from depth import incidents, rowkey, snapshot, tables
from depth.catalog import DepthTable
from depth.epochs import Grid, expected
from depth.errors import MalformedRow, StoreUnavailable
from depth.incidents import SUSPECT, Report
from depth.record import Record
from depth.snapshot import OrderBook
from depth.storage.base import Store
from depth.summary import HOUR_SECONDS, Summary, summarise

logger = logging.getLogger(__name__)

# A book is doubted back to its last good audit; audits are an hour apart at most, more where snapshots cannot be had.
_SUSPECT_REACH = 86_400


@dataclass(frozen=True, slots=True)
class RolledHour:
    """One hour of one table.

    Attributes:
        summary: as it is stored now.
        made: whether this run made it; False where the stored one still holds.
    """

    summary: Summary
    made: bool


@dataclass(frozen=True, slots=True)
class Span:
    """The hours to bring up to date.

    Attributes:
        hours: first second of each, oldest first, from `hours`.
        by_hand: hours before the table's first row get a summary of count 0 as well.
        horizon: UTC second before which rows may have been deleted: older hours are left as they are.
    """

    hours: range
    by_hand: bool = False
    horizon: int = 0


def hours(start: int, end: int, now: float) -> range:
    """Give the UTC hours that ``[start, end)`` touches and that are over.

    Args:
        start: UTC second.
        end: UTC second, exclusive.
        now: UTC seconds.

    Returns:
        First second of each, oldest first.
    """
    return range(_floor(start), min(end, _floor(int(now))), HOUR_SECONDS)


class Rollup:
    """Brings the summaries of one table up to date; what is run again is only what is left."""

    def __init__(self, store: Store, table: DepthTable, span: Span, report: Callable[[RolledHour], None]) -> None:
        """Prepare; nothing is read yet.

        Args:
            store: holds the table.
            table: what to sum up.
            span: the hours.
            report: called once with each hour, oldest first.
        """
        self._store = store
        self._table = table
        self._horizon = span.horizon
        self._left = list(span.hours)
        self._report = report
        self._begun = span.by_hand
        self._reports: list[Report] = []

    def __str__(self) -> str:
        """Name it in logs and in the Prefect UI."""
        return f"{len(self._left)} hours of {self._table.name}"

    async def run(self) -> int:
        """Go through the hours that are left.

        An hour is made when it has no summary, when the stored `count` is not the number of rows now present, or when
        rows of it are in doubt; for the others the keys are counted and no row is read.

        Returns:
            Hours made by this call.

        Raises:
            StoreUnavailable: no answer in time; call again.
            StoreRefused: a person must act.
        """
        await self._prepare()
        made = 0
        while self._left:
            rolled = await self._roll(self._left[0])
            del self._left[0]
            if rolled is not None:
                made += rolled.made
                self._report(rolled)
        return made

    async def _prepare(self) -> None:
        if not self._left:
            return
        # Read before anything is made: a missing database must stay missing.
        earlier = self._store.keys(self._table.name, *rowkey.bounds(0, self._left[0]), limit=1)
        self._begun = [key async for key in earlier] != [] or self._begun
        companion, hourly = tables.collectors_table(self._table.name), tables.hourly_table(self._table.name)
        for name in (companion, hourly):
            await self._store.ensure_table(name, tables.columns(name))
        reach = incidents.bounds(self._left[0] - _SUSPECT_REACH, self._left[-1] + HOUR_SECONDS)
        reports = [_report(record) async for record in self._store.scan(companion, *reach)]
        self._reports = [report for report in reports if report is not None and report.cause == SUSPECT]

    async def _roll(self, hour: int) -> RolledHour | None:
        """Bring one hour up to date; None where the table had not begun, or keeps neither rows nor a summary."""
        hourly, key = tables.hourly_table(self._table.name), rowkey.encode(hour, self._table.symbol)
        stored = await self._store.get(hourly, key)
        before = None if stored is None else _summary(stored)
        if hour < self._horizon:
            return None if before is None else RolledHour(before, made=False)
        reports = [report for report in self._reports if report.start < hour + HOUR_SECONDS and hour < report.end]
        if before is not None and not reports and before["count"] == await self._present(hour):
            return RolledHour(before, made=False)
        records = await self._records(hour, ("orderbook", "collector") if reports else ("orderbook",))
        rows = _Rows(self._table.grid, records)
        summary = summarise(self._table.symbol, hour, self._table.grid, rows, _doubted(records, reports))
        if rows.unusable:
            said = len(rows.unusable), self._table.name, rows.unusable[0]
            logger.warning("%d rows of %s count as missing; the first: %s", *said)
        self._begun = self._begun or stored is not None or summary["count"] > 0
        if not self._begun:
            return None
        columns = {
            "summary": json.dumps(summary, separators=(",", ":"), allow_nan=False),
            "count": str(summary["count"]),
            "covered": "{},{}".format(*rows.covered),
            "coverage": json.dumps(summary["coverage"]),
        }
        if stored is not None and stored.columns == columns:
            return RolledHour(summary, made=False)
        written = await self._store.write(hourly, [Record(key, columns)])
        for why in written.failures.values():
            raise StoreUnavailable(f"the summary {key} was not taken ({why}): run it again")
        return RolledHour(summary, made=True)

    async def _present(self, hour: int) -> int:
        due = self._due(hour)
        bounds = rowkey.bounds(hour, hour + HOUR_SECONDS)
        return len([key async for key in self._store.keys(self._table.name, *bounds) if key in due])

    async def _records(self, hour: int, columns: Sequence[str]) -> list[Record]:
        due = self._due(hour)
        found = self._store.scan(self._table.name, *rowkey.bounds(hour, hour + HOUR_SECONDS), columns)
        return [record async for record in found if record.key in due][::-1]

    def _due(self, hour: int) -> set[str]:
        """Give the keys that the hour's rows can have; what else lies between them is another program's."""
        epochs = expected(hour, hour + HOUR_SECONDS, self._table.grid.interval)
        return {rowkey.encode(epoch, self._table.symbol) for epoch in epochs}


class _Rows:
    """The rows of an hour as they are read, oldest first; a row that cannot be used counts as missing.

    Attributes:
        covered: rows that know every bucket of the bids, and of the asks.
        unusable: why rows could not be used.
    """

    def __init__(self, grid: Grid, records: Sequence[Record]) -> None:
        self._grid = grid
        self._records = records
        self.covered = [0, 0]
        self.unusable: list[str] = []

    def __iter__(self) -> Iterator[OrderBook]:
        for record in self._records:
            try:
                book = snapshot.decode_book(record.key, record.columns)
            except MalformedRow as error:
                self.unusable.append(str(error))
                continue
            if (book.step_pct, book.num_steps) != (self._grid.step, self._grid.steps):
                self.unusable.append(f"row {record.key} holds {book.num_steps} buckets of {book.step_pct}")
                continue
            for side, buckets in enumerate((book.bid_buckets, book.ask_buckets)):
                self.covered[side] += None not in buckets
            yield book


def _doubted(records: Sequence[Record], reports: Sequence[Report]) -> set[int]:
    """Give the epochs in doubt: a report doubts what its own collector wrote; what others wrote meanwhile stands."""
    doubted = set()
    for report in reports:
        for record in records:
            epoch, _ = rowkey.decode(record.key)
            if report.start <= epoch < report.end and record.columns.get("collector") == report.collector:
                doubted.add(epoch)
    return doubted


def _report(record: Record) -> Report | None:
    try:
        return Report.parse(record)
    except MalformedRow as error:
        logger.warning("%s; it is passed over", error)
        return None


def _summary(record: Record) -> Summary | None:
    """Read a stored summary; None where it is not one and must be made again."""
    try:
        return msgspec.json.decode(record.columns["summary"], type=Summary)
    except (KeyError, msgspec.DecodeError):
        return None


def _floor(second: int) -> int:
    return second // HOUR_SECONDS * HOUR_SECONDS
