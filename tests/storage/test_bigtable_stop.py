"""A write to a Bigtable that is gone can be stopped."""

import asyncio

import pytest

from depth.record import Record
from depth.storage.bigtable import BigtableStore
from tests import emulator

ROW = Record("k", {"value": "1"})


async def gone() -> BigtableStore:
    """Give a store that was there a moment ago."""
    if emulator.find() is None:
        pytest.skip(emulator.MISSING)
    with emulator.running() as host:
        store = BigtableStore("p", "i", None, host)
        await store.ensure_table("t", ["value"])
        await store.write("t", [ROW])
    return store


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.6])
async def test_a_cancelled_write_is_cancelled(seconds: float) -> None:
    """At once or between the library's retries: the end of a run is no failure of the store."""
    store = await gone()
    writing = asyncio.create_task(store.write("t", [ROW]))
    await asyncio.sleep(seconds)
    writing.cancel()
    await asyncio.wait([writing], timeout=5)
    assert writing.cancelled()
    await store.close()


async def test_a_bounded_write_ends_in_time() -> None:
    """The caller's own patience counts, not the library's ten seconds."""
    store = await gone()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await store.write("t", [ROW])
    await store.close()
