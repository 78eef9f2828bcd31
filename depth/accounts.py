"""What is told of a table's missing epochs, as it is stored: the gap ledger, and what the collectors say."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from depth import incidents, presence, rowkey, tables
from depth.catalog import DepthTable
from depth.errors import MalformedRow, StoreUnavailable
from depth.incidents import Report
from depth.ledger import Changes, Entry
from depth.presence import Presence
from depth.record import Record
from depth.storage.base import Store

logger = logging.getLogger(__name__)

_END = 10_000_000_000
# More in 35 days would be a run every ten minutes.
_RUNS_READ = 5_000

_Parsed = TypeVar("_Parsed")


class Accounts:
    """The tables beside a depth table that tell of its gaps."""

    def __init__(self, store: Store, table: DepthTable) -> None:
        """Name the tables; nothing is read yet."""
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

    async def presences(self) -> list[Presence]:
        """Read what is known of the runs, the 5,000 that began last at most; `expire` leaves fewer."""
        return await self._read(self._collectors, (presence.PREFIX, presence.END), presence.decode, _RUNS_READ)

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

    async def expire(self, horizon: int, runs_before: int) -> None:
        """Delete what ended before `horizon`, and runs that were last seen before `runs_before`."""
        old = [entry.key(self._symbol) for entry in await self.entries() if entry.end <= horizon]
        await self._store.delete(self._gaps, old)
        told = [report.record(self._symbol).key for report in await self.reports() if report.end <= horizon]
        gone = [presence.encode(run).key for run in await self.presences() if run.seen_at < runs_before]
        await self._store.delete(self._collectors, told + gone)

    async def _read(
        self, table: str, bounds: tuple[str, str], parse: Callable[[Record], _Parsed], limit: int | None = None
    ) -> list[_Parsed]:
        found = []
        async for record in self._store.scan(table, *bounds, limit=limit):
            try:
                found.append(parse(record))
            except MalformedRow as error:
                logger.warning("%s; it is passed over", error)
        return found
