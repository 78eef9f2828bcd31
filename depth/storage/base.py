"""What every store can do: text cells under sorted keys."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from depth.record import Record


@dataclass(frozen=True, slots=True)
class Written:
    """Outcome of one bulk write, row by row.

    Attributes:
        acknowledged: indexes into the records given, of those that are durable in the store (written, or beaten by a
            better row that is already there).
        failures: index to reason, of those that are not; they may be sent again.
    """

    acknowledged: tuple[int, ...]
    failures: Mapping[int, str]


class Store(Protocol):
    """A place for rows. One instance belongs to one event loop.

    Every method raises `StoreUnavailable` when the store does not answer in time and `StoreRefused` when a person
    must act.
    """

    backend: str

    async def tables(self) -> list[str]:
        """Name the tables that are there, sorted; ours and others'."""
        ...

    async def ensure_table(self, table: str, columns: Sequence[str]) -> None:
        """Create the table unless it is there. Safe for racing callers."""
        ...

    async def write(self, table: str, records: Sequence[Record]) -> Written:
        """Write rows in one bulk; twice is harmless."""
        ...

    async def get(self, table: str, key: str) -> Record | None:
        """Read one row by its key."""
        ...

    def scan(
        self, table: str, start: str, end: str, columns: Sequence[str] | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Stream the rows with ``start <= key < end`` in key order; only `columns` where given."""
        ...

    def keys(self, table: str, start: str, end: str, limit: int | None = None) -> AsyncIterator[str]:
        """Stream the keys alone, in key order, without reading the values."""
        ...

    async def delete(self, table: str, keys: Sequence[str]) -> None:
        """Take rows away; one that is not there is no error."""
        ...

    async def create(self, table: str, record: Record) -> bool:
        """Write the row only if no row has its key; atomically. Say whether it was written."""
        ...

    async def swap(self, table: str, key: str, column: str, old: str | None, new: str) -> bool:
        """Set one column to `new` only if it holds `old`, None for nothing; atomically. Say whether it was set.

        A row that is not there is made. After `StoreUnavailable` the column may be set: read it before trying again.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
