"""Rows on their way: durable on this machine until the store has acknowledged them.

    append ──> spool file ──> oldest ──> store.write ──> acknowledge
                   └── rows of a dead collector <── adopt

A row belongs to a queue (collector, backend, table), and a queue is shipped by its holder: the collector itself, or the
one that adopted it when the collector's lock was free. Rows leave by their number alone, so a row that was rewritten
meanwhile, which is another row, stays; shipping twice is harmless.

Everything here blocks: call it on one thread of its own. Several collectors may use one file at the same time.
"""

import json
import logging
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType

from depth import rowkey, tables
from depth.errors import SpoolFull, StoreUnavailable
from depth.record import Record
from depth.storage import sqlfile
from depth.storage.ownership import Ownership
from depth.storage.spool_state import SpoolStats

logger = logging.getLogger(__name__)

_QUEUES = """CREATE TABLE IF NOT EXISTS queues (
    id INTEGER PRIMARY KEY,
    collector TEXT NOT NULL,
    backend TEXT NOT NULL,
    target TEXT NOT NULL,
    meta TEXT NOT NULL,
    holder TEXT NOT NULL,
    captured INTEGER,
    acknowledged INTEGER,
    UNIQUE (collector, backend, target)
)"""
# AUTOINCREMENT: a number is never used twice, so a late acknowledgement cannot delete another row.
_SPOOLED = """CREATE TABLE IF NOT EXISTS spooled (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL,
    row_key TEXT NOT NULL,
    columns TEXT NOT NULL,
    version INTEGER
)"""
_IDENTITY = "CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL)"
_IDENTIFY = "INSERT INTO identity SELECT lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT 1 FROM identity)"
_BY_QUEUE = "CREATE INDEX IF NOT EXISTS spooled_by_queue ON spooled (queue)"

# A delete needs room too: the log that holds it, and the pages that the log then moves into the file. Were the disk
# filled to the last byte with rows, not one of them could ever leave.
_RESERVE_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Spooled:
    """One row that waits.

    Attributes:
        rowid: number under which it is acknowledged.
        table: where it goes.
        record: what it holds.
        meta: what its table must have been begun with, as the `_meta` row says it.
    """

    rowid: int
    table: str
    record: Record
    meta: str = ""


class Spool:
    """One collector's end of the spool file."""

    def __init__(
        self, path: Path, collector: str, limit_bytes: int, metas: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Name the file; nothing is opened yet.

        Args:
            path: the file; locks are made beside it.
            collector: id of this run.
            limit_bytes: of the file; from there on nothing is appended.
            metas: depth table to what this run's rows of it are, as the `_meta` row says it.
        """
        self._path = path
        self._collector = collector
        self._limit_bytes = limit_bytes
        self._metas = dict(metas)
        self._strange: set[int] = set()
        self._ownership = Ownership(path)
        self._opened: sqlite3.Connection | None = None
        self._shipped: set[int] = set()

    def open(self) -> None:
        """Open the file, or make it, and take this collector's lock.

        Raises:
            StoreUnavailable: the file is locked for over 5 s.
            StoreRefused: the collector is already running, or the file is no spool or cannot be written.
        """
        db = sqlfile.connect(self._path, create=True)
        try:
            self._ownership.take(self._collector)
            with sqlfile.translated(self._path), sqlfile.transaction(db):
                for statement in (_QUEUES, _SPOOLED, _BY_QUEUE, _IDENTITY, _IDENTIFY):
                    db.execute(statement)
        except BaseException:
            db.close()
            self._ownership.give_up()
            raise
        self._opened = db

    def close(self) -> None:
        """Close the file and free the lock; rows that still wait can be adopted from then on."""
        db, self._opened = self._opened, None
        if db is not None:
            db.close()
        self._ownership.give_up()

    def append(self, backend: str, rows: Sequence[tuple[str, Record]], captured: Mapping[str, int]) -> None:
        """Spool rows in one durable transaction: when this returns they survive a power cut.

        Args:
            backend: where they go, for example ``sqlite``.
            rows: table and record of each.
            captured: table to the last epoch captured.

        Raises:
            SpoolFull: the limit is reached or the disk is (nearly) full; none of the rows was taken.
            StoreUnavailable: locked for over 5 s, or an I/O error; none of the rows was taken.
        """
        with self._transaction() as db:
            self._check_room(db)
            queues = {
                table: self._queue(db, backend, table, captured.get(table))
                for table in {*captured, *(table for table, _ in rows)}
            }
            db.executemany(
                "INSERT INTO spooled (queue, row_key, columns, version) VALUES (?, ?, ?, ?)",
                [(queues[table], record.key, _packed(record), record.version) for table, record in rows],
            )

    def oldest(self, backend: str, limit: int) -> dict[str, list[Spooled]]:
        """Give the rows to ship next, own and adopted.

        Args:
            backend: where they go.
            limit: rows at most of each table, so that a table that the store refuses holds up no other.

        Returns:
            By table, the oldest rows, oldest first; tables without rows are left out.
        """
        with sqlfile.translated(self._path):
            heads = self._db().execute(
                "SELECT id, target FROM queues WHERE holder = ? AND backend = ? ORDER BY target, id",
                (self._collector, backend),
            )
            by_table = groupby(heads.fetchall(), key=itemgetter(1))
            given = {table: self._head(table, [queue for queue, _ in queues], limit) for table, queues in by_table}
            return {table: rows for table, rows in given.items() if rows}

    def acknowledge(self, backend: str, rowids: Iterable[int], acknowledged: Mapping[str, int]) -> None:
        """Let go of the rows that the store has.

        Args:
            backend: the store's.
            rowids: of the rows to delete.
            acknowledged: table to the last epoch that the store took.

        Raises:
            SpoolFull: the disk is full, so nothing can be deleted.
            StoreUnavailable: locked for over 5 s, or an I/O error.

        After an error the rows are deleted by the next call that succeeds, and `oldest` goes on with those behind them;
        only if this process ends before that are they shipped again.
        """
        self._shipped.update(rowids)
        with self._transaction() as db:
            db.executemany("DELETE FROM spooled WHERE id = ?", [(rowid,) for rowid in self._shipped])
            db.executemany(
                "UPDATE queues SET acknowledged = max(coalesce(acknowledged, 0), ?) "
                "WHERE collector = ? AND backend = ? AND target = ?",
                [(epoch, self._collector, backend, table) for table, epoch in acknowledged.items()],
            )
            self._forget_empty(db)
        self._shipped.clear()

    def adopt(self) -> int:
        """Take over the queues whose holder has died or stopped, and forget those of them that are empty.

        Rows of another source or grid than this run ships to their table stay where they are, and that is said once.

        Returns:
            Rows that this collector ships from now on.

        Raises:
            SpoolFull: the disk is full; StoreUnavailable: locked for over 5 s. The rest is adopted by the next call.
        """
        with sqlfile.translated(self._path):
            holders = {holder for (holder,) in self._db().execute("SELECT DISTINCT holder FROM queues").fetchall()}
        adopted = 0
        # A lock without a queue is left by a collector that died before its first row, or by an adopter that died here.
        for holder in sorted((holders | self._ownership.names()) - {self._collector}):
            with self._ownership.of_the_dead(holder) as is_dead:
                if is_dead:
                    adopted += self._inherit(holder)
        return adopted

    def stats(self) -> SpoolStats:
        """Count what waits for this collector to ship it."""
        with sqlfile.translated(self._path):
            db = self._db()
            found = db.execute(
                "SELECT backend, target, captured, count(spooled.id), min(spooled.id) "
                "FROM queues JOIN spooled ON queue = queues.id WHERE holder = ? GROUP BY queues.id",
                (self._collector,),
            ).fetchall()
            waiting, oldest = Counter[str](), dict[str, int]()
            for backend, table, captured, count, first in found:
                waiting[backend] += count
                # A queue is in the order of its epochs; one without a captured epoch holds no depth rows.
                if captured is not None:
                    [key] = db.execute("SELECT row_key FROM spooled WHERE id = ?", (first,)).fetchone()
                    epoch = rowkey.decode(key)[0]
                    oldest[table] = min(epoch, oldest.get(table, epoch))
            [spool] = db.execute("SELECT id FROM identity").fetchone()
            return SpoolStats(waiting, oldest, _bytes(db)[0], spool)

    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            raise ValueError("the spool is not open")
        return self._opened

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._db()
        with sqlfile.translated(self._path):
            try:
                with sqlfile.transaction(db):
                    yield db
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
                # Where the file has free pages for it, the log can be emptied into it: the next try then has room.
                with suppress(sqlite3.OperationalError):
                    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                raise SpoolFull(f"{self._path}: {error}: free disk space under {self._path.parent}") from error

    def _check_room(self, db: sqlite3.Connection) -> None:
        used, free = _bytes(db)
        if used >= self._limit_bytes:
            said = f"spool {self._path} has reached its {self._limit_bytes:,} bytes"
            raise SpoolFull(f"{said}: see why the store takes no rows, or raise SPOOL_MAX_MB")
        try:
            free += shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise StoreUnavailable(
                f"the folder of the spool {self._path} is gone ({error.strerror}): restart"
            ) from error
        if free < _RESERVE_BYTES:
            said = f"spool {self._path}: of the disk {free:,} bytes are left, {_RESERVE_BYTES:,} are kept for deletes"
            raise SpoolFull(f"{said}: free disk space under {self._path.parent}")

    def _queue(self, db: sqlite3.Connection, backend: str, table: str, captured: int | None) -> int:
        found: list[tuple[int]] = db.execute(
            "INSERT INTO queues (collector, holder, backend, target, captured, meta) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET holder = excluded.holder, captured = coalesce(excluded.captured, captured) "
            "RETURNING id",
            (self._collector, self._collector, backend, table, captured, self._meta(table)),
        ).fetchall()
        return found[0][0]

    def _head(self, table: str, queues: list[int], limit: int) -> list[Spooled]:
        found: list[tuple[int, str, str, int | None]] = []
        for queue in queues:  # one by one, in the order of the index: nothing is sorted however much waits
            head = self._db().execute(
                "SELECT id, row_key, columns, version FROM spooled WHERE queue = ? ORDER BY id LIMIT ?",
                (queue, limit + len(self._shipped)),
            )
            found += [row for row in head.fetchall() if row[0] not in self._shipped]
        oldest = sorted(found, key=itemgetter(0))[:limit]
        meta = self._meta(table)  # of all that this collector holds: see `_inherit`
        return [
            Spooled(rowid, table, Record(key, json.loads(text), version), meta) for rowid, key, text, version in oldest
        ]

    def _inherit(self, holder: str) -> int:
        adopted = 0
        with self._transaction() as db:
            queues = db.execute(
                "SELECT queues.id, target, meta, count(spooled.id) FROM queues LEFT JOIN spooled ON queue = queues.id "
                "WHERE holder = ? GROUP BY queues.id",
                (holder,),
            ).fetchall()
            for queue, target, meta, count in queues:
                if count and self._metas.setdefault(tables.owner(target), meta) != meta:
                    self._leave(queue, target, meta, count)
                    continue
                db.execute("UPDATE queues SET holder = ? WHERE id = ?", (self._collector, queue))
                adopted += count
            self._forget_empty(db)
        return adopted

    def _leave(self, queue: int, table: str, meta: str, count: int) -> None:
        if queue not in self._strange:
            self._strange.add(queue)
            logger.error(
                "%d rows for table %s stay in the spool: they are %s, this run is %s; a run like theirs ships them",
                *(count, table, meta, self._meta(table)),
            )

    def _meta(self, table: str) -> str:
        return self._metas.get(tables.owner(table), "")

    def _forget_empty(self, db: sqlite3.Connection) -> None:
        """Delete adopted queues that are empty: nothing is left to say about their collectors."""
        db.execute(
            "DELETE FROM queues WHERE holder = ? AND collector <> holder "
            "AND NOT EXISTS (SELECT 1 FROM spooled WHERE queue = queues.id)",
            (self._collector,),
        )


def _packed(record: Record) -> str:
    return json.dumps(dict(record.columns), ensure_ascii=False, separators=(",", ":"))


def _bytes(db: sqlite3.Connection) -> tuple[int, int]:
    """Measure the file: bytes in use, and bytes of rows that have left."""
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size, free * size
