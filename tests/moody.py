"""A store that can be away, refuse, or hang, as a whole or for one table."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from depth.errors import StoreRefused, StoreUnavailable
from depth.record import Record
from depth.storage.base import Written
from tests.memory import MemoryStore


class MoodyStore(MemoryStore):
    """A store in memory that does as it is told.

    Attributes:
        moods: table, or ``*`` for all, or ``scan`` for reading, to ``away``, ``refuses``, ``hangs`` or ``breaks``.
        calls: every write in order: table and the keys of its rows, whether or not it succeeded.
        fails: indexes of the rows that the next write does not take.
        before_write: called with the rows before each write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.moods: dict[str, str] = {}
        self.calls: list[tuple[str, list[str]]] = []
        self.fails: set[int] = set()
        self.before_write: Callable[[str, Sequence[Record]], None] = lambda _table, _records: None

    def keys_of(self, table: str) -> list[str]:
        """Every key that was sent for a table, in order."""
        return [key for called, keys in self.calls for key in keys if called == table]

    async def ensure_table(self, table: str, columns: Sequence[str]) -> None:
        await self._be_moody("*")
        await super().ensure_table(table, columns)

    async def write(self, table: str, records: Sequence[Record]) -> Written:
        self.calls.append((table, [record.key for record in records]))
        self.before_write(table, records)
        await self._be_moody(table)
        fails, self.fails = self.fails, set()
        taken = [index for index in range(len(records)) if index not in fails]
        await super().write(table, [records[index] for index in taken])
        return Written(tuple(taken), dict.fromkeys(fails, "too busy"))

    async def create(self, table: str, record: Record) -> bool:
        await self._be_moody("*")
        if record.key in self._table(table):
            return False
        await super().write(table, [record])
        return True

    async def scan(
        self, table: str, start: str, end: str, columns: Sequence[str] | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        if "scan" in self.moods:
            await self._be_moody("scan")
        async for record in super().scan(table, start, end, columns, limit):
            yield record

    async def _be_moody(self, table: str) -> None:
        match self.moods.get(table, self.moods.get("*")):
            case "away":
                raise StoreUnavailable("the store is away")
            case "refuses":
                raise StoreRefused(f"no right to write {table}: ask somebody")
            case "hangs":
                await asyncio.sleep(3600)
            case "breaks":
                raise RuntimeError("a mistake of ours")
