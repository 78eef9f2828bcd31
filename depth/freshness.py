"""How far a table has got."""

from depth import rowkey
from depth.errors import MalformedRow
from depth.storage.base import Store

_HOUR = 3600
_LOOKED_AT = 10  # keys, should another program's stand before ours


async def newest(store: Store, table: str, now: int) -> int | None:
    """Find the newest stored epoch, None in an empty table.

    Args:
        store: holds the table.
        table: a depth table.
        now: UTC second.

    Raises:
        StoreUnavailable: no answer.
        StoreRefused: a person must act.
    """
    for start in (now - _HOUR, 0):  # an unbounded look takes Bigtable a hundred times as long
        async for key in store.keys(table, *rowkey.bounds(max(0, start), now + _HOUR), _LOOKED_AT):
            try:
                return rowkey.decode(key)[0]
            except MalformedRow:
                continue
    return None
