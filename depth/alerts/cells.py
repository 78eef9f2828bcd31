"""Where it is kept what was told and who tells it: texts under keys, set by compare-and-set."""

import logging
from collections.abc import Sequence
from typing import Protocol

from depth.errors import DepthError
from depth.storage.base import Store

logger = logging.getLogger(__name__)

_COLUMN = "value"
_LAST = "\U0010ffff"


class Cells(Protocol):
    """Texts under keys. Every method raises what the store behind them raises."""

    async def get(self, key: str) -> str | None:
        """Read a text, None where there is none."""
        ...

    async def swap(self, key: str, old: str | None, new: str) -> bool:
        """Set a text to `new` only if it is `old`; say whether it was set."""
        ...

    async def under(self, prefix: str) -> dict[str, str]:
        """Read all texts whose keys begin so, in the order of their keys."""
        ...

    async def drop(self, keys: Sequence[str]) -> None:
        """Take texts away; one that is not there is no error."""
        ...


class StoredCells:
    """Cells in the column `value` of a table that is there."""

    def __init__(self, store: Store, table: str) -> None:
        """Name the place.

        Args:
            store: holds the table.
            table: its name.
        """
        self._store = store
        self._table = table

    async def get(self, key: str) -> str | None:
        """See `Cells.get`."""
        row = await self._store.get(self._table, key)
        return None if row is None else row.columns.get(_COLUMN)

    async def swap(self, key: str, old: str | None, new: str) -> bool:
        """See `Cells.swap`."""
        return await self._store.swap(self._table, key, _COLUMN, old, new)

    async def under(self, prefix: str) -> dict[str, str]:
        """See `Cells.under`."""
        rows = self._store.scan(self._table, prefix, prefix + _LAST, (_COLUMN,))
        return {row.key: row.columns[_COLUMN] async for row in rows}

    async def drop(self, keys: Sequence[str]) -> None:
        """See `Cells.drop`."""
        await self._store.delete(self._table, keys)


class SpoolCells:
    """Cells in a table of their own in the spool file; in memory while the disk takes none.

    What is told of there, a full disk and a spool that cannot be written among it, must be told even so; only a
    restart would tell it again.
    """

    _TABLE = "alerts"

    def __init__(self, store: Store) -> None:
        """Prepare; nothing is opened.

        Args:
            store: over the spool file.
        """
        self._store = store
        self._stored = StoredCells(store, self._TABLE)
        self._is_there = False
        self._kept: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        """See `Cells.get`; raises nothing."""
        return (await self.under(key)).get(key)

    async def swap(self, key: str, old: str | None, new: str) -> bool:
        """See `Cells.swap`; raises nothing."""
        if key not in self._kept:
            try:
                return await (await self._ready()).swap(key, old, new)
            except DepthError as error:
                logger.warning("what was told is kept in memory, a restart may tell it again: %s", error)
        elif self._kept[key] != old:
            return False
        self._kept[key] = new
        return True

    async def under(self, prefix: str) -> dict[str, str]:
        """See `Cells.under`; raises nothing."""
        stored: dict[str, str] = {}
        try:
            stored = await (await self._ready()).under(prefix)
        except DepthError as error:
            logger.debug("what was told is not known but for what is in memory: %s", error)
        return stored | {key: text for key, text in self._kept.items() if key.startswith(prefix)}

    async def drop(self, keys: Sequence[str]) -> None:
        """See `Cells.drop`; raises nothing."""
        for key in keys:
            self._kept.pop(key, None)
        try:
            await (await self._ready()).drop(keys)
        except DepthError as error:
            logger.debug("what was told stays noted: %s", error)

    async def _ready(self) -> StoredCells:
        if not self._is_there:
            await self._store.ensure_table(self._TABLE, (_COLUMN,))
            self._is_there = True
        return self._stored
