"""Where proven seconds go: into the spool, or onto the terminal."""

import asyncio
import logging
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from depth import rowkey, snapshot, tables
from depth.errors import DepthError, Trouble
from depth.incidents import Report
from depth.losses import Incident
from depth.record import Record
from depth.snapshot import Snapshot
from depth.storage.spool import Spool

logger = logging.getLogger(__name__)

_HELD_SECONDS = 3600
_SAY_EVERY = 30.0

_Held = tuple[str, Record]  # table and row


class TerminalSink:
    """Prints one line a second; the dry run."""

    async def put(self, rows: Sequence[Snapshot], incidents: Sequence[tuple[str, Incident]]) -> None:
        """See `Sink.put`."""
        for row in rows:
            sys.stdout.write(snapshot.line(row) + "\n")
        for symbol, incident in incidents:
            sys.stderr.write(f"{symbol}: no row for [{incident.start}, {incident.end}): {incident.cause}\n")
        sys.stdout.flush()

    async def close(self) -> None:
        """See `Sink.close`."""


class SpoolSink:
    """Makes rows durable in the spool; while the spool takes nothing, the last hour is held in memory.

    Attributes:
        dropped: symbol to the number of rows that fell out of memory, and are lost.
        trouble: why the spool takes nothing, None while it does.
    """

    def __init__(
        self, spool: Spool, thread: Executor, backend: str, depth_tables: Mapping[str, str], collector: str
    ) -> None:
        """Prepare.

        Args:
            spool: opened; called on `thread` only.
            thread: the spool's own thread.
            backend: where the rows will go.
            depth_tables: symbol to table.
            collector: id of this run.
        """
        self.trouble: Trouble | None = None
        self._spool = spool
        self._thread = thread
        self._backend = backend
        self._tables = depth_tables
        self._collector = collector
        self._held: deque[_Held] = deque()
        self._reports: dict[tuple[str, str], Record] = {}  # by table and key: one that grows replaces itself
        self._spilled: dict[str, Report] = {}  # by symbol: what fell out of memory
        self._captured: dict[str, int] = {}
        self._room = _HELD_SECONDS * len(depth_tables)
        self.dropped: Counter[str] = Counter()
        self._said = float("-inf")

    @property
    def held(self) -> int:
        """Rows in memory that the spool has not taken yet."""
        return len(self._held)

    async def put(self, rows: Sequence[Snapshot], incidents: Sequence[tuple[str, Incident]]) -> None:
        """See `Sink.put`."""
        for row in rows:
            table = self._tables[row.symbol]
            self._held.append((table, snapshot.encode(row)))
            self._captured[table] = row.epoch
            logger.debug("%s", snapshot.line(row))
        for symbol, incident in incidents:
            self._report(symbol, Report(incident.start, incident.end, incident.cause, self._collector))
        await self._append()

    async def close(self) -> None:
        """See `Sink.close`."""
        if self._held or self._reports:
            await self._append()
        if self._held:
            logger.error("%d rows could not be made durable and are lost with this process", len(self._held))

    async def _append(self) -> None:
        rows, reports = list(self._held), dict(self._reports)
        batch = [*rows, *((table, record) for (table, _), record in reports.items())]
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._thread, self._spool.append, self._backend, batch, dict(self._captured)
            )
        except DepthError as error:
            self.trouble = Trouble(int(time.time()) if self.trouble is None else self.trouble.since, error)
            self._hold(error)
            return
        self.trouble = None
        for _ in rows:
            self._held.popleft()
        self._reports.clear()
        self._spilled.clear()

    def _report(self, symbol: str, report: Report) -> None:
        record = report.record(symbol)
        self._reports[tables.collectors_table(self._tables[symbol]), record.key] = record

    def _hold(self, error: DepthError) -> None:
        """Keep the newest hour; what falls out is lost for good, and reported as soon as there is room again."""
        symbols = {table: symbol for symbol, table in self._tables.items()}
        while len(self._held) > self._room:
            table, record = self._held.popleft()
            epoch, symbol = rowkey.decode(record.key)[0], symbols[table]
            self.dropped[symbol] += 1
            begun = self._spilled.get(symbol, Report(epoch, epoch, "spool full", self._collector))
            self._spilled[symbol] = replace(begun, end=epoch + 1)
        for symbol, report in self._spilled.items():
            self._report(symbol, report)
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY:
            self._said = now
            dropped = self.dropped.total()
            logger.error("%d rows are held in memory, %d were dropped: %s", len(self._held), dropped, error)
