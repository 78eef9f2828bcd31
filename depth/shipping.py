"""From the spool to the store: one upload in flight, never in the way of capture."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import TypeVar

from depth import rowkey, tables
from depth.errors import (
    DepthError,
    MalformedRow,
    StoreRefused,
    StoreUnavailable,
    TableMismatch,
    TerminalError,
    TransientError,
    Trouble,
)
from depth.record import Record
from depth.storage.base import Store
from depth.storage.spool import Spool, Spooled
from depth.tables import META_KEY, TableMeta

logger = logging.getLogger(__name__)

_ATTEMPT_SECONDS = 15.0
_ROWS_A_BULK = 2000
_SHORTEST_BACKOFF = 1.0
_LONGEST_BACKOFF = 30.0
_ADOPT_SECONDS = 30.0

T = TypeVar("T")


class Destination:
    """The store of one run: its tables are made and checked before the first row.

    Attributes:
        acknowledged: table to the last epoch that the store took from this run.
        stored: table to the number of rows that it took.
        errors: code to the number of attempts that failed with it.
    """

    def __init__(
        self, store: Store, depth_tables: Mapping[str, TableMeta], attempt_seconds: float = _ATTEMPT_SECONDS
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            store: takes the rows.
            depth_tables: the tables that this run writes and what each must have been begun with.
            attempt_seconds: bound of one attempt.
        """
        self.store = store
        self.acknowledged: dict[str, int] = {}
        self.stored: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._metas = dict(depth_tables)
        self._attempt_seconds = attempt_seconds
        self._ready: set[str] = set()

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Bound one attempt; a store that hangs is a store that is away."""
        try:
            async with asyncio.timeout(self._attempt_seconds):
                yield
        except TimeoutError as error:
            self.errors["TIMEOUT"] += 1
            said = f"no answer within {self._attempt_seconds:g} s"
            raise StoreUnavailable(f"{said}: the rows wait in the spool", "TIMEOUT") from error
        except (StoreUnavailable, StoreRefused) as error:
            self.errors[error.code] += 1
            raise

    async def prepare(self) -> None:
        """Make this run's tables and see that they belong to its source and grid.

        Raises:
            StoreUnavailable: no answer within the bound; call again.
            TableMismatch: a table was begun with other parameters.
            StoreRefused: a person must act.
        """
        async with self.attempt():
            for table in self._metas:
                await self.ensure(table)

    async def ensure(self, table: str, meta: str = "") -> None:
        """Make a table and its companion with the `_meta` row, once a run.

        Args:
            table: the table or its companion.
            meta: what it must have been begun with, where it is not one of this run's own.

        Raises:
            TableMismatch: it is this run's own and was begun with other parameters.
            StoreRefused: it is not, and was.
        """
        table = tables.owner(table)
        if table in self._ready:
            return
        mine = self._metas[table].text() if table in self._metas else meta
        companion = tables.collectors_table(table)
        await self.store.ensure_table(table, tables.columns(table))
        await self.store.ensure_table(companion, tables.columns(companion))
        if mine and not await self.store.create(companion, Record(META_KEY, {"value": mine})):
            stored = await self.store.get(companion, META_KEY)
            if stored is not None and stored.columns.get("value") != mine:
                mismatch = TableMismatch(table, stored.columns.get("value", "nothing"), mine)
                raise mismatch if table in self._metas else StoreRefused(f"rows of a run that is gone wait: {mismatch}")
        self._ready.add(table)

    def metas(self) -> dict[str, str]:
        """Give what each of this run's tables must have been begun with, as the `_meta` row says it."""
        return {table: meta.text() for table, meta in self._metas.items()}

    def forget(self) -> None:
        """Look at every table again before its next row: the store may have come back empty."""
        self._ready.clear()


class Shipment:
    """Some rows of one table on their way; what is sent again is only what is left."""

    def __init__(self, destination: Destination, spool: Spool, thread: Executor, rows: Sequence[Spooled]) -> None:
        """Take rows of one table."""
        self.table = rows[0].table
        self._destination = destination
        self._spool = spool
        self._thread = thread
        self._rows = list(rows)

    def __str__(self) -> str:
        """Name it in logs and in the Prefect UI."""
        return f"{len(self._rows)} rows of {self.table}"

    async def send(self) -> int:
        """Write the rows and let the spool go of those that were acknowledged.

        Returns:
            Rows acknowledged by this call.

        Raises:
            StoreUnavailable: some rows were not taken within 15 s; they stay in the spool.
            StoreRefused: a person must act.
        """
        async with self._destination.attempt():
            await self._destination.ensure(self.table, self._rows[0].meta)
            try:
                written = await self._destination.store.write(self.table, [row.record for row in self._rows])
            except TerminalError:
                self._destination.forget()
                raise
        done = [self._rows[index] for index in written.acknowledged]
        rowids = [row.rowid for row in done]
        epochs = [epoch for row in done if (epoch := _epoch(row.record.key)) is not None]
        acknowledged = {self.table: max(epochs)} if epochs else {}
        for table, epoch in acknowledged.items():  # adopted rows may be older than our own
            self._destination.acknowledged[table] = max(epoch, self._destination.acknowledged.get(table, epoch))
        self._destination.stored[self.table] += len(done)
        backend = self._destination.store.backend
        await asyncio.get_running_loop().run_in_executor(
            self._thread, self._spool.acknowledge, backend, rowids, acknowledged
        )
        self._rows = [self._rows[index] for index in sorted(written.failures)]
        if self._rows:
            self._destination.errors["PARTIAL"] += 1
            why = next(iter(written.failures.values()))
            raise StoreUnavailable(
                f"{len(self._rows)} of {len(self._rows) + len(done)} rows were not taken ({why})", "PARTIAL"
            )
        return len(done)


class Shipper:
    """Takes rows out of the spool, oldest first, every `flush_seconds`.

    Attributes:
        trouble: what keeps rows in the spool, None while they are shipped.
        shipped_at: UTC second at which the store last took rows, None before.
    """

    def __init__(
        self,
        destination: Destination,
        spool: Spool,
        thread: Executor,
        upload: Callable[[Shipment], Awaitable[object]],
        flush_seconds: float,
    ) -> None:
        """Prepare.

        Args:
            destination: the store and its tables.
            spool: opened; called on `thread` only.
            thread: the spool's own thread.
            upload: sends one shipment, with the retries of whoever runs the flow.
            flush_seconds: between uploads.
        """
        self.trouble: Trouble | None = None
        self.shipped_at: int | None = None
        self._destination = destination
        self._spool = spool
        self._thread = thread
        self._upload = upload
        self._flush_seconds = flush_seconds
        self._adopt_at = 0.0

    async def run(self) -> None:
        """Ship until cancelled; a store that fails is tried again after 1 to 30 s, for ever."""
        failures = 0
        said = float("-inf")
        while True:
            backoff = min(_SHORTEST_BACKOFF * 2 ** min(failures - 1, 8), _LONGEST_BACKOFF) if failures else 0.0
            await asyncio.sleep(max(self._flush_seconds, backoff))
            try:
                shipped = await self.flush()
                if failures:
                    logger.info("the store takes rows again: %d that waited are there", shipped)
                    failures, said = 0, float("-inf")
                self.trouble = None
            except TableMismatch:
                raise
            except Exception as error:
                failures += 1
                self.trouble = Trouble(int(time.time()) if self.trouble is None else self.trouble.since, error)
                if not isinstance(error, DepthError):
                    logger.exception("an upload failed in a way that nobody thought of: the rows wait in the spool")
                elif time.monotonic() - said >= _LONGEST_BACKOFF:
                    said = time.monotonic()
                    level = logging.ERROR if isinstance(error, TerminalError) else logging.WARNING
                    logger.log(level, "rows wait in the spool: %s", error)

    async def flush(self) -> int:
        """Ship all that waits.

        Returns:
            Rows acknowledged.
        """
        await self._adopt()
        shipped = 0
        while batch := await self._call(self._spool.oldest, self._destination.store.backend, _ROWS_A_BULK):
            refused: TransientError | TerminalError | None = None
            for rows in batch.values():
                try:
                    await self._upload(Shipment(self._destination, self._spool, self._thread, rows))
                    shipped += len(rows)
                    self.shipped_at = int(time.time())
                except TableMismatch:
                    raise
                except (TransientError, TerminalError) as error:
                    refused = error  # the other tables' rows go their way
            if refused is not None:
                raise refused
            if max(map(len, batch.values())) < _ROWS_A_BULK:
                break
        return shipped

    async def _adopt(self) -> None:
        now = time.monotonic()
        if now >= self._adopt_at:
            self._adopt_at = now + _ADOPT_SECONDS
            if adopted := await self._call(self._spool.adopt):
                logger.info("%d rows of a collector that is gone are shipped from here", adopted)

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


def _epoch(key: str) -> int | None:
    try:
        return rowkey.decode(key)[0]
    except MalformedRow:
        return None  # an incident, not a second
