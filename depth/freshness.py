"""How far a table has got."""

from depth.catalog import DepthTable
from depth.storage.base import Store
from depth.stored import StoredEpochs

_HOUR = 3600


async def newest(store: Store, table: DepthTable, now: int) -> int | None:
    """Find the newest stored epoch, None in an empty table.

    Args:
        store: holds the table.
        table: which.
        now: UTC second.

    Raises:
        StoreUnavailable: no answer.
        StoreRefused: a person must act.
    """
    stored = StoredEpochs(store, table)
    recent = await stored.newest(
        max(0, now - _HOUR), now + _HOUR
    )  # without bounds Bigtable takes a hundred times as long
    return await stored.newest(0, now) if recent is None else recent
