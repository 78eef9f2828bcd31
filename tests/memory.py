"""A store that keeps its rows in memory, for tests that need thousands of stores."""

from collections.abc import AsyncIterator, Sequence

from depth.errors import StoreRefused
from depth.record import Record
from depth.storage.base import Written


class MemoryStore:
    """What the contract asks for, but for `version`: the last write wins.

    Attributes:
        rows: by table, then by key.
        writes: rows written or deleted so far.
    """

    backend = "memory"

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, dict[str, str]]] = {}
        self.writes = 0

    async def tables(self) -> list[str]:
        return sorted(self.rows)

    async def ensure_table(self, table: str, columns: Sequence[str]) -> None:  # noqa: ARG002 - there is no schema
        self.rows.setdefault(table, {})

    async def write(self, table: str, records: Sequence[Record]) -> Written:
        for record in records:
            self._table(table).setdefault(record.key, {}).update(record.columns)
            self.writes += 1
        return Written(tuple(range(len(records))), {})

    async def get(self, table: str, key: str) -> Record | None:
        columns = self._table(table).get(key)
        return None if columns is None else Record(key, dict(columns))

    async def scan(
        self, table: str, start: str, end: str, columns: Sequence[str] | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        rows = self._table(table)
        for key in sorted(key for key in rows if start <= key < end)[:limit]:
            wanted = {name: text for name, text in rows[key].items() if columns is None or name in columns}
            if wanted:
                yield Record(key, wanted)

    async def keys(self, table: str, start: str, end: str, limit: int | None = None) -> AsyncIterator[str]:
        async for record in self.scan(table, start, end, limit=limit):
            yield record.key

    async def delete(self, table: str, keys: Sequence[str]) -> None:
        for key in keys:
            self._table(table).pop(key, None)
            self.writes += 1

    async def create(self, table: str, record: Record) -> bool:
        if record.key in self._table(table):
            return False
        await self.write(table, [record])
        return True

    async def swap(self, table: str, key: str, column: str, old: str | None, new: str) -> bool:
        if self._table(table).get(key, {}).get(column) != old:
            return False
        await self.write(table, [Record(key, {column: new})])
        return True

    async def close(self) -> None:
        """Nothing is held."""

    def _table(self, table: str) -> dict[str, dict[str, str]]:
        if table not in self.rows:
            raise StoreRefused(f"no table {table}: start the collector once")
        return self.rows[table]
