"""What waits for a Bigtable that does not answer can be stopped."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

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


def test_a_stopped_reader_does_not_hold_up_the_end_of_the_process() -> None:
    """It reads in a thread, which ends with the connection: while it waits for an answer, and between retries."""

    async def stop_after(seconds: float, host: str) -> None:
        store = BigtableStore("p", "i", None, host)
        reading = asyncio.ensure_future(anext(store.keys("t", "0", "9")))
        await asyncio.sleep(seconds)
        reading.cancel()
        await asyncio.wait([reading], timeout=5)
        assert reading.cancelled()
        await store.close()

    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        assert took(stop_after, port) < 2
    assert took(stop_after, port) < 2


def took(stop_after: Callable[[float, str], Coroutine[Any, Any, None]], port: int) -> float:
    """Run it in a loop of its own, which waits for its threads, and give the seconds."""
    began = time.monotonic()
    asyncio.run(stop_after(0.4, f"127.0.0.1:{port}"))
    return time.monotonic() - began
