"""The store on one machine: a SQLite file with one table per table."""

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from depth.errors import StoreRefused
from depth.record import Record
from depth.storage import sqlfile
from depth.storage.base import Written

_KEY = "row_key"
_PAGE_ROWS = 1_000
_PAGE_KEYS = 10_000
_PATIENCE_SECONDS = 0.2  # of SQLite itself; `close` waits for no more than this
_NAME = re.compile(r"[_a-zA-Z0-9][-_.a-zA-Z0-9]*")

_T = TypeVar("_T")


class SqliteStore:
    """Rows in one SQLite file; several processes may use it at the same time.

    The file is opened by the first call. Only `ensure_table` creates it: reading a file that is not there is an
    error, not an empty answer. All calls of SQLite run on one thread of the store's own, so the loop never waits for
    the disk. Records read back carry no `version`.
    """

    backend = "sqlite"

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-store")
        self._db: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._leaving = threading.Event()
        self._asked = 0.0  # when the call that the thread works on was made, monotonic seconds

    async def ensure_table(self, table: str, columns: Sequence[str]) -> None:
        """Create file, table and the columns that an older file lacks. Safe for racing processes.

        Raises:
            StoreUnavailable: locked for over 5 s, or the disk is full.
            StoreRefused: the file is no database, or cannot be written.
        """
        await self._run(lambda: self._ensure_table(table, columns))

    async def tables(self) -> list[str]:
        """Name the tables of the file, sorted.

        Raises:
            StoreUnavailable: locked for over 5 s.
            StoreRefused: the file is missing, or no database.
        """
        listing = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        return await self._run(lambda: [name for (name,) in self._open().execute(listing).fetchall()])

    async def write(self, table: str, records: Sequence[Record]) -> Written:
        """Write rows in one transaction: all or, by an exception, none.

        A record with a `version` must have the column `covered`: a row whose known buckets are fewer in sum than the
        stored row's is left out, and counts as acknowledged, since a better one is durable.

        Raises:
            StoreUnavailable: locked for over 5 s, or the disk is full.
            StoreRefused: the table is missing, or the file is no database or cannot be written.
        """
        if records:
            await self._run(lambda: self._write(table, records))
        return Written(tuple(range(len(records))), {})

    async def get(self, table: str, key: str) -> Record | None:
        """Read one row by its key."""
        found = await self._run(lambda: self._select(table, None, f"{_KEY} = ?", (key,), 1))
        return found[0] if found else None

    def scan(
        self, table: str, start: str, end: str, columns: Sequence[str] | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Stream the rows with ``start <= key < end`` in key order, a page at a time.

        Args:
            table: its name.
            start: first key, inclusive.
            end: last key, exclusive.
            columns: those wanted, default all; rows that have none of them are left out.
            limit: rows at most.

        Yields:
            The rows; a column that a row does not have is absent.
        """
        return self._pages(partial(self._select, table, columns), attrgetter("key"), (start, end), _PAGE_ROWS, limit)

    def keys(self, table: str, start: str, end: str, limit: int | None = None) -> AsyncIterator[str]:
        """Stream the keys with ``start <= key < end`` in order, `limit` at most."""
        return self._pages(partial(self._keys, table), str, (start, end), _PAGE_KEYS, limit)

    async def delete(self, table: str, keys: Sequence[str]) -> None:
        """Take rows away in one transaction; one that is not there is no error."""
        if keys:
            await self._run(lambda: self._delete(table, keys))

    async def create(self, table: str, record: Record) -> bool:
        """Write the row only if no row has its key; atomically. Say whether it was written."""
        return await self._run(lambda: self._create(table, record))

    async def swap(self, table: str, key: str, column: str, old: str | None, new: str) -> bool:
        """Set one column to `new` only if it holds `old`, None for nothing; atomically. Say whether it was set."""
        return await self._run(lambda: self._swap(table, key, column, old, new))

    async def close(self) -> None:
        """Close the file and end the thread; a write that waits for a lock is given up."""
        self._leaving.set()
        await self._run(self._forget)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], _T]) -> _T:
        asked = time.monotonic()

        def translated() -> _T:
            self._asked = asked
            with sqlfile.translated(self._path):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, translated)

    async def _pages(
        self,
        read: Callable[[str, tuple[str, str], int], list[_T]],
        key: Callable[[_T], str],
        bounds: tuple[str, str],
        page: int,
        limit: int | None,
    ) -> AsyncIterator[_T]:
        """Read in pages. No cursor stays open between them: it would keep the write-ahead log from being emptied."""
        (start, end), operator, left = bounds, ">=", limit
        while left is None or left > 0:
            size = page if left is None else min(left, page)
            where, values = f"{_KEY} {operator} ? AND {_KEY} < ?", (start, end)
            found = await self._run(partial(read, where, values, size))
            for each in found:
                yield each
            if len(found) < size:
                return
            start, operator = key(found[-1]), ">"
            left = None if left is None else left - size

    # What follows runs on the store's thread.

    def _open(self, *, create: bool = False) -> sqlite3.Connection:
        """Give the connection; open the file anew if it is no longer the one at the path.

        Rows written into a deleted file would be acknowledged and lost.
        """
        if self._db is not None and self._opened != _identity(self._path):
            self._forget()
        if self._db is None:
            self._db = sqlfile.connect(self._path, create=create, patience=_PATIENCE_SECONDS)
            self._opened = _identity(self._path)
        return self._db

    def _forget(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _transaction(self, db: sqlite3.Connection) -> AbstractContextManager[None]:
        """Write; what has waited behind a call that waited for a lock has had its patience."""
        return sqlfile.transaction(db, self._leaving, self._asked)

    def _ensure_table(self, table: str, columns: Sequence[str]) -> None:
        db = self._open(create=True)
        if {_KEY, *columns} <= _columns(db, table):
            return
        name = _quoted(table)
        with self._transaction(db):
            db.execute(f"CREATE TABLE IF NOT EXISTS {name} ({_KEY} TEXT PRIMARY KEY)")
            there = _columns(db, table)
            if _KEY not in there:
                raise StoreRefused(f"{self._path}: table {table} is not ours: name another file in SQLITE_PATH")
            for column in columns:
                if column not in there:
                    db.execute(f"ALTER TABLE {name} ADD COLUMN {_quoted(column)} TEXT")

    def _table(self, table: str) -> tuple[sqlite3.Connection, set[str]]:
        db = self._open()
        columns = _columns(db, table)
        if not columns:
            raise StoreRefused(
                f"{self._path} has no table {table}: start the collector once, it creates it, or correct SQLITE_PATH"
            )
        return db, columns - {_KEY}

    def _write(self, table: str, records: Sequence[Record]) -> None:
        db, _ = self._table(table)
        with self._transaction(db):
            for (columns, versioned), group in groupby(records, lambda r: (tuple(r.columns), r.version is not None)):
                db.executemany(
                    _insert(table, columns) + _replace(table, columns, versioned=versioned),
                    [(record.key, *(record.columns[column] for column in columns)) for record in group],
                )

    def _delete(self, table: str, keys: Sequence[str]) -> None:
        db, _ = self._table(table)
        with self._transaction(db):
            # The name is checked by `_quoted`, values are bound.
            db.executemany(f"DELETE FROM {_quoted(table)} WHERE {_KEY} = ?", [(key,) for key in keys])  # noqa: S608

    def _create(self, table: str, record: Record) -> bool:
        db, _ = self._table(table)
        columns = tuple(record.columns)
        with self._transaction(db):
            statement = f"{_insert(table, columns)} ON CONFLICT ({_KEY}) DO NOTHING"
            return db.execute(statement, (record.key, *record.columns.values())).rowcount == 1

    def _swap(self, table: str, key: str, column: str, old: str | None, new: str) -> bool:
        db, _ = self._table(table)
        name = _quoted(column)
        if old is None:
            statement = (
                f"{_insert(table, (column,))} {_replace(table, (column,), versioned=False)} WHERE {name} IS NULL"
            )
            values: tuple[str, ...] = (key, new)
        else:
            # Names are checked by `_quoted`, values are bound.
            statement = f"UPDATE {_quoted(table)} SET {name} = ? WHERE {_KEY} = ? AND {name} = ?"  # noqa: S608
            values = (new, key, old)
        with self._transaction(db):
            return db.execute(statement, values).rowcount == 1

    def _keys(self, table: str, where: str, values: tuple[str, ...], limit: int) -> list[str]:
        db, _ = self._table(table)
        # The name is checked by `_quoted`, values are bound.
        statement = f"SELECT {_KEY} FROM {_quoted(table)} WHERE {where} ORDER BY {_KEY} LIMIT ?"  # noqa: S608
        return [key for (key,) in db.execute(statement, (*values, limit))]

    def _select(
        self, table: str, columns: Sequence[str] | None, where: str, values: tuple[str, ...], limit: int
    ) -> list[Record]:
        db, there = self._table(table)
        # A name in double quotes that is no column would be taken for a string: ask for those alone that are there.
        wanted = sorted(there if columns is None else there.intersection(columns))
        if columns is not None:
            if not wanted:
                return []
            where += f" AND coalesce({', '.join(map(_quoted, wanted))}, NULL) IS NOT NULL"
        names = ", ".join([_KEY, *map(_quoted, wanted)])
        # Names are checked by `_quoted`, values are bound.
        statement = f"SELECT {names} FROM {_quoted(table)} WHERE {where} ORDER BY {_KEY} LIMIT ?"  # noqa: S608
        found = db.execute(statement, (*values, limit)).fetchall()
        return [
            Record(key, {column: text for column, text in zip(wanted, texts, strict=True) if text is not None})
            for key, *texts in found
        ]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in db.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()}


def _quoted(name: str) -> str:
    """Quote a name; ours never hold a quote, so one that does is a mistake."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a table or column")
    return f'"{name}"'


def _insert(table: str, columns: tuple[str, ...]) -> str:
    if not columns:
        raise ValueError(f"a row of {table} without columns: no store can hold it")
    names = ", ".join([_KEY, *map(_quoted, columns)])
    marks = ", ".join("?" * (len(columns) + 1))
    return f"INSERT INTO {_quoted(table)} ({names}) VALUES ({marks})"  # noqa: S608 - names are checked by `_quoted`


def _replace(table: str, columns: tuple[str, ...], *, versioned: bool) -> str:
    """Say what happens to a row that is there: as on Bigtable, columns that are not given stay."""
    new = ", ".join(f"{_quoted(column)} = excluded.{_quoted(column)}" for column in columns)
    clause = f" ON CONFLICT ({_KEY}) DO UPDATE SET {new}"
    if not versioned:
        return clause
    if "covered" not in columns:
        raise ValueError(f"a row of {table} with a version but without `covered`: which row is better cannot be told")
    return f"{clause} WHERE {_known('excluded')} >= coalesce({_known(_quoted(table))}, 0)"


def _known(row: str) -> str:
    """Sum of ``bid,ask``: CAST reads the number that a text begins with."""
    return f"(CAST({row}.covered AS INTEGER) + CAST(substr({row}.covered, instr({row}.covered, ',') + 1) AS INTEGER))"
