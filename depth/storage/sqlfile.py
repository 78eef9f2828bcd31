"""One SQLite file, as the store and the spool use it: how it is opened, and its errors in our words."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from depth.errors import StoreRefused, StoreUnavailable

PAGE_BYTES = 8192
BUSY_SECONDS = 5.0
_WAL_BYTES_KEPT = 16 * 2**20
_CACHE_KIB = 512  # of 2000, which half an hour of rows fills and nothing reads again
_LOCK_RETRY_SECONDS = 0.05

# https://www.sqlite.org/rescode.html; the low byte is the primary code.
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM}
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_NO_RIGHT = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}


def connect(path: Path, *, create: bool, patience: float | None = None) -> sqlite3.Connection:
    """Open a database for durable writes: 8 KiB pages, WAL, synchronous=FULL, 5 s of patience for a lock.

    Args:
        path: the file.
        create: make the file and its folders where they are missing; otherwise a missing file is an error.
        patience: seconds that SQLite itself waits for a lock, and then nothing can call it back; None for all 5 s.

    Returns:
        A connection in autocommit mode; it belongs to the thread that called.

    Raises:
        StoreUnavailable: locked for too long, or the disk is full.
        StoreRefused: no database, a damaged one, or no right to write it. The file is left as it was.
    """
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreRefused(f"cannot make the folder {path.parent} ({error.strerror}): {_writable(path)}") from error
    else:
        try:
            path.stat()
        except OSError as error:
            raise StoreRefused(
                f"no database {path} ({error.strerror}): start the collector once, or correct the path in the settings"
            ) from error
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    timeout = BUSY_SECONDS if patience is None else patience
    with translated(path):
        db = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
        try:
            _configure(db)
        except BaseException:
            db.close()
            raise
    return db


@contextmanager
def transaction(
    db: sqlite3.Connection, leaving: threading.Event | None = None, since: float | None = None
) -> Iterator[None]:
    """Hold the write lock from the first statement on: a reader that turns writer gets SQLITE_BUSY at once.

    Args:
        db: from `connect`.
        leaving: once set, nobody waits any more for a lock; for a connection of little patience of its own.
        since: monotonic second from which the 5 s of patience count, None for now.
    """
    _begin(db, leaving or threading.Event(), (time.monotonic() if since is None else since) + BUSY_SECONDS)
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # Some errors (disk full, I/O) have already ended the transaction.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours; what is a mistake of the caller (no error code) passes through."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) is None:
            raise
        raise translate(error, path) from error


def translate(error: sqlite3.Error, path: Path) -> StoreUnavailable | StoreRefused:
    """Say in one line what happened to the file and who must do what.

    Args:
        error: as SQLite raised it.
        path: the database.

    Returns:
        The error to raise.
    """
    code = error.sqlite_errorcode & 0xFF
    name = error.sqlite_errorname
    said = f"{path}: {error} ({name})"
    if code in _PASSING:
        return StoreUnavailable(f"{said}: another process holds it; the write is tried again", name)
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(f"{said}: free disk space under {path.parent}", name)
    if code == sqlite3.SQLITE_IOERR:
        return StoreUnavailable(f"{said}: check the disk under {path.parent} and its free space", name)
    if code in _DAMAGED:
        return StoreRefused(f"{said}: it was left untouched; move it away or name another file in the settings", name)
    if code in _NO_RIGHT:
        return StoreRefused(f"{said}: {_writable(path)}", name)
    return StoreRefused(f"{said}: another version wrote it; start the collector once, it adds what is missing", name)


def _begin(db: sqlite3.Connection, leaving: threading.Event, deadline: float) -> None:
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            locked = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not locked or time.monotonic() > deadline or leaving.wait(_LOCK_RETRY_SECONDS):
                raise
        else:
            return


def _configure(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA page_size={PAGE_BYTES}")  # counts in a new file alone
    deadline = time.monotonic() + BUSY_SECONDS
    # The switch to WAL does not wait for the busy timeout when two processes open a new file at once.
    while db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            db.execute("PRAGMA journal_mode=WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _PASSING or time.monotonic() > deadline:
                raise
            time.sleep(_LOCK_RETRY_SECONDS)
    db.execute("PRAGMA synchronous=FULL")
    db.execute(f"PRAGMA journal_size_limit={_WAL_BYTES_KEPT}")
    db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")


def _writable(path: Path) -> str:
    return f"give this user the right to write {path.parent}, or name another file in the settings"
