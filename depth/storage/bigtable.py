"""The store in the cloud: Bigtable, or its emulator. Import it only where it is used: it takes a second and 78 MB."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

from google.api_core.exceptions import GoogleAPIError
from google.cloud.bigtable.data import (
    DeleteAllFromRow,
    DeleteRangeFromColumn,
    Mutation,
    MutationsExceptionGroup,
    ReadRowsQuery,
    Row,
    RowMutationEntry,
    RowRange,
    SetCell,
    Table,
    TableAsync,
)
from google.cloud.bigtable.data.row_filters import (
    CellsColumnLimitFilter,
    CellsRowLimitFilter,
    ColumnQualifierRegexFilter,
    ColumnRangeFilter,
    RowFilter,
    RowFilterChain,
    StripValueTransformerFilter,
    ValueRangeFilter,
)

from depth.errors import MalformedRow, StoreUnavailable
from depth.record import Record
from depth.storage import bigtable_client
from depth.storage.base import Written
from depth.storage.bigtable_entry import CellsEntry
from depth.storage.bigtable_errors import Instance, status, translate, translated
from depth.tables import FAMILY

_OPERATION_SECONDS = 10.0
_ATTEMPT_SECONDS = 3.0
_WRITE_SECONDS = 10.0
# To encode a row takes 0.1 ms of the loop, and capture waits meanwhile; the server would take 14,000 rows of 7 cells.
_BULK_ROWS = 200
_BULK_DELETES = 1_000
_PAGE_ROWS = 1_000
_PAGE_KEYS = 10_000
_PATIENCE = {
    "default_read_rows_operation_timeout": _OPERATION_SECONDS,
    "default_read_rows_attempt_timeout": _ATTEMPT_SECONDS,
    "default_mutate_rows_operation_timeout": _OPERATION_SECONDS,
    "default_mutate_rows_attempt_timeout": _ATTEMPT_SECONDS,
    "default_operation_timeout": _OPERATION_SECONDS,
    "default_attempt_timeout": _ATTEMPT_SECONDS,
}
_READY_SECONDS = 30.0
_PROBE_KEY = "_probe"

# Versions that garbage collection has not removed yet are still there: always one cell a column, the newest.
_NEWEST: RowFilter = CellsColumnLimitFilter(1)
_KEY_ALONE: RowFilter = RowFilterChain([CellsRowLimitFilter(1), StripValueTransformerFilter(flag=True)])


class BigtableStore:
    """Rows in one Bigtable instance.

    The client is made by the first call and belongs to the loop of that call; it does not survive a fork. A record's
    `version` is the timestamp of its cells, so the better of two rows is the newer cell, in whatever order they are
    written. Records read back carry no `version`.
    """

    backend = "bigtable"

    def __init__(
        self,
        project: str,
        instance: str,
        app_profile: str | None,
        emulator_host: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Name the instance; nothing is opened yet.

        Args:
            project: id of the Google Cloud project.
            instance: id of the instance.
            app_profile: its id; None for the default profile.
            emulator_host: ``host:port``; None or empty for the service, whatever the environment says.
            clock: UTC seconds, for the cells of records without a version.
        """
        self._place = Instance(project, instance)
        self._app_profile = app_profile or None
        self._emulator_host = emulator_host or None
        self._clock = clock
        self._last_millisecond = 0
        self._opening = asyncio.Lock()
        self._client: bigtable_client.DataClient | None = None
        self._streams: bigtable_client.StreamClient | None = None
        self._sources: dict[str, Table] = {}
        self._tables: dict[str, TableAsync] = {}

    async def ensure_table(self, table: str, columns: Sequence[str]) -> None:  # noqa: ARG002 - columns need no schema
        """Create table and family unless they are there. Safe for racing processes.

        The data plane is asked first: an identity that may only read and write must not fail where all is well.

        Raises:
            StoreUnavailable: no answer, or the new table is not served in time.
            StoreRefused: this identity may not create it; the text ends with the commands for one who may.
        """
        with translated(self._place, table):
            if await self._is_ready(table):
                return
            identity = await bigtable_client.credentials(self._emulator_host)
            await bigtable_client.create_table(self._place, table, self._emulator_host, identity)
            deadline = time.monotonic() + _READY_SECONDS
            while not await self._is_ready(table):
                if time.monotonic() > deadline:
                    raise StoreUnavailable(f"table {table} was created but is not served yet: it is tried again")
                await asyncio.sleep(1)

    async def tables(self) -> list[str]:
        """Name the tables of the instance, sorted; roles/bigtable.reader may do that.

        Raises:
            StoreUnavailable: no answer.
            StoreRefused: this identity may not list them.
        """
        with translated(self._place):
            identity = await bigtable_client.credentials(self._emulator_host)
            return await bigtable_client.list_tables(self._place, self._emulator_host, identity)

    async def write(self, table: str, records: Sequence[Record]) -> Written:
        """Write rows in bulk requests, and say of each whether it is durable.

        After 10 s nothing more is sent, so that on a slow line a caller whose own patience is bounded learns what has
        got through; the rest is among the failures.

        Raises:
            StoreUnavailable: not one row was taken, and that may pass.
            StoreRefused: not one row was taken, and a person must act.
        """
        entries = self._entries(records)
        failures: dict[int, str] = {}
        deadline = time.monotonic() + _WRITE_SECONDS
        for begin in range(0, len(entries), _BULK_ROWS):
            if begin and time.monotonic() > deadline:
                failures |= dict.fromkeys(range(begin, len(entries)), "not sent: the store is slow")
                break
            bulk: list[RowMutationEntry] = [*entries[begin : begin + _BULK_ROWS]]
            with translated(self._place, table):
                target = await self._table(table)
            try:
                await target.bulk_mutate_rows(bulk)
            except MutationsExceptionGroup as group:
                if isinstance(group.__context__, asyncio.CancelledError):
                    raise group.__context__ from None  # the library tells of failed attempts instead: nobody would stop
                failed = {begin + error.index: ": ".join(status(error)) for error in group.exceptions}
                failures |= failed
                if len(failures) == begin + len(bulk):
                    raise translate(group, self._place, table) from group
                if len(failed) == len(bulk):
                    # The store has gone away meanwhile: each further bulk would cost another ten seconds.
                    rest = range(begin + len(bulk), len(entries))
                    failures |= dict.fromkeys(rest, "not sent: the store stopped answering")
                    break
        return Written(tuple(index for index in range(len(records)) if index not in failures), failures)

    async def get(self, table: str, key: str) -> Record | None:
        """Read one row by its key."""
        with translated(self._place, table):
            row = await (await self._table(table)).read_row(key, row_filter=_NEWEST)
        return None if row is None else _record(row)

    async def scan(
        self, table: str, start: str, end: str, columns: Sequence[str] | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Stream the rows with ``start <= key < end`` in key order.

        Args:
            table: its name.
            start: first key, inclusive.
            end: last key, exclusive.
            columns: those wanted, default all; rows that have none of them are left out.
            limit: rows at most.

        Yields:
            The rows; a column that a row does not have is absent.
        """
        wanted = _NEWEST
        if columns is not None:
            names = "|".join(map(re.escape, columns))
            wanted = RowFilterChain([ColumnQualifierRegexFilter(names), _NEWEST])
        async for row in self._rows(table, (start, end), wanted, _PAGE_ROWS, limit):
            yield _record(row)

    async def keys(self, table: str, start: str, end: str, limit: int | None = None) -> AsyncIterator[str]:
        """Stream the keys with ``start <= key < end`` in order, `limit` at most; the values stay in the store."""
        left = limit
        while start < end and (left is None or left > 0):
            size = _PAGE_KEYS if left is None else min(left, _PAGE_KEYS)
            with translated(self._place, table):
                source = await self._source(table)
                found = await asyncio.to_thread(_read_keys, source, RowRange(start, end), size)
            for key in found:
                yield key
            if len(found) < size:
                return
            start = found[-1] + "\0"  # the next key there can be
            left = None if left is None else left - size

    async def delete(self, table: str, keys: Sequence[str]) -> None:
        """Take rows away; one that is not there is no error. After `StoreUnavailable` some of them may be gone."""
        for begin in range(0, len(keys), _BULK_DELETES):
            bulk = [RowMutationEntry(key, DeleteAllFromRow()) for key in keys[begin : begin + _BULK_DELETES]]
            with translated(self._place, table):
                await (await self._table(table)).bulk_mutate_rows(bulk)

    async def create(self, table: str, record: Record) -> bool:
        """Write the row only if no row has its key; atomically. Say whether it was written.

        It is sent once: after `StoreUnavailable` the row may be there, so read it back before trying again.
        """
        with translated(self._place, table):
            target = await self._table(table)
            [cells] = (entry.mutations for entry in self._entries([record]))
            return not await target.check_and_mutate_row(record.key, None, false_case_mutations=list(cells))

    async def swap(self, table: str, key: str, column: str, old: str | None, new: str) -> bool:
        """Set one column to `new` only if it holds `old`, None for nothing; atomically. Say whether it was set.

        It is sent once: after `StoreUnavailable` the column may be set, so read it back before trying again.
        """
        name = column.encode()
        held: list[RowFilter] = [ColumnRangeFilter(FAMILY, name, name), _NEWEST]
        if old is not None:
            held.append(ValueRangeFilter(old.encode(), old.encode()))
        with translated(self._place, table):
            target = await self._table(table)
            [entry] = self._entries([Record(key, {column: new})])
            # Emptied first: a cell of a machine whose clock is ahead would hide the new one.
            cells = [DeleteRangeFromColumn(FAMILY, name), *entry.mutations]
            case = {"false_case_mutations" if old is None else "true_case_mutations": cells}
            matched = await target.check_and_mutate_row(key, RowFilterChain(held), **case)
            return bool(matched) is (old is not None)

    async def close(self) -> None:
        """Close the connections; a later call opens them again."""
        async with self._opening:
            for table in self._tables.values():
                await table.close()
            self._tables.clear()
            client, self._client = self._client, None
            if client is not None:
                await client.close()
            streams, self._streams = self._streams, None
            self._sources.clear()
            if streams is not None:
                streams.close()

    async def _table(self, table: str) -> TableAsync:
        async with self._opening:
            if self._client is None:
                identity = await bigtable_client.credentials(self._emulator_host)
                self._client = bigtable_client.DataClient(self._place.project, self._emulator_host, identity)
            if table not in self._tables:
                self._tables[table] = self._client.get_table(
                    self._place.instance, table, app_profile_id=self._app_profile, **_PATIENCE
                )
            return self._tables[table]

    async def _source(self, table: str) -> Table:
        """Give the table for a thread that reads."""
        async with self._opening:
            if self._streams is None:
                identity = await bigtable_client.credentials(self._emulator_host)
                self._streams = bigtable_client.StreamClient(self._place.project, self._emulator_host, identity)
            if table not in self._sources:
                self._sources[table] = self._streams.get_table(
                    self._place.instance, table, app_profile_id=self._app_profile, **_PATIENCE
                )
            return self._sources[table]

    async def _is_ready(self, table: str) -> bool:
        """Ask for table, family and the right to write at once: delete a cell that never was."""
        target = await self._table(table)
        try:
            await target.mutate_row(_PROBE_KEY, DeleteRangeFromColumn(FAMILY, _PROBE_KEY.encode()))
        except GoogleAPIError as error:
            if status(error)[0] != "NOT_FOUND":
                raise
            return False
        return True

    async def _rows(
        self, table: str, bounds: tuple[str, str], wanted: RowFilter, page: int, limit: int | None = None
    ) -> AsyncIterator[Row]:
        """Read in pages: a reader that takes its time between two rows must not run into a request's deadline."""
        start, end = bounds
        inclusive, left = True, limit
        while start < end and (left is None or left > 0):
            size = page if left is None else min(left, page)
            ahead = RowRange(start, end, start_is_inclusive=inclusive)
            with translated(self._place, table):
                target = await self._table(table)
                rows = await target.read_rows(ReadRowsQuery(row_ranges=ahead, row_filter=wanted, limit=size))
            for row in rows:
                yield row
            if len(rows) < size:
                return
            start, inclusive = rows[-1].row_key.decode(), False
            left = None if left is None else left - size

    def _entries(self, records: Sequence[Record]) -> list[CellsEntry]:
        """Give every cell a timestamp, so that a repeated write replaces it.

        Records without a version share one millisecond, later than that of any call before; but within a call the
        server applies the writes of one key in any order, so the second of a key gets the next millisecond.
        """
        seen = Counter(record.key for record in records if record.version is None)
        first = max(int(self._clock() * 1000), self._last_millisecond + 1)
        if seen:
            self._last_millisecond = first + max(seen.values()) - 1
        written: Counter[str] = Counter()
        entries = []
        for record in records:
            stamp = record.version
            if stamp is None:
                stamp = (first + written[record.key]) * 1000
                written[record.key] += 1
            cells: list[Mutation] = [SetCell(FAMILY, name, text, stamp) for name, text in record.columns.items()]
            entries.append(CellsEntry(record.key, cells))
        return entries


def _record(row: Row) -> Record:
    try:
        return Record(row.row_key.decode(), {cell.qualifier.decode(): cell.value.decode() for cell in row})
    except UnicodeDecodeError as error:
        raise MalformedRow(f"row {row.row_key!r} holds bytes that are no text: another program wrote it") from error


def _read_keys(table: Table, ahead: RowRange, limit: int) -> list[str]:
    """Read in this thread."""
    query = ReadRowsQuery(row_ranges=ahead, row_filter=_KEY_ALONE, limit=limit)
    return [row.row_key.decode() for row in table.read_rows_stream(query)]
