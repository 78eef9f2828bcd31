"""What the spool tells: to its collector how much waits, to another process (the health check) how far all are."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from depth.errors import StoreRefused
from depth.storage import sqlfile


@dataclass(frozen=True, slots=True)
class SpoolStats:
    """What waits for this collector to ship it.

    Attributes:
        waiting: rows by backend; those for a backend that is no longer set wait until it is.
        oldest: depth table to the epoch of the oldest row that waits for it; none without one.
        used_bytes: of the file, by all collectors; space of rows that have left is free again.
        spool: id of the file, made with it.
    """

    waiting: Mapping[str, int]
    oldest: Mapping[str, int]
    used_bytes: int
    spool: str

    @property
    def count(self) -> int:
        """All rows that wait."""
        return sum(self.waiting.values())


@dataclass(frozen=True, slots=True)
class SpoolState:
    """How far one collector is with one table.

    Attributes:
        collector: its id.
        backend: where the rows go.
        table: its name.
        captured_epoch: the last that was spooled; None before the first.
        acknowledged_epoch: the last that the store has; None before the first.
    """

    collector: str
    backend: str
    table: str
    captured_epoch: int | None
    acknowledged_epoch: int | None


def read_state(path: Path) -> list[SpoolState]:
    """Read the state of every collector that lives, or whose rows still wait; takes no collector's lock.

    A collector that has ended is listed until another one adopts its rows.

    Raises:
        StoreUnavailable: the file is locked for over 5 s.
        StoreRefused: there is no spool, which is so before the first collector has run; or the file is none.
    """
    if not path.exists():
        raise StoreRefused(f"there is no spool {path}: start the collector, or correct SPOOL_PATH")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with sqlfile.translated(path), closing(sqlite3.connect(uri, uri=True, timeout=sqlfile.BUSY_SECONDS)) as db:
        found = db.execute("SELECT collector, backend, target, captured, acknowledged FROM queues ORDER BY id")
        return [SpoolState(*row) for row in found.fetchall()]
