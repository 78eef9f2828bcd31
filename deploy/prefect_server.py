"""`prefect` for a server on SQLite that many runs talk to: use it in place of the command.

`python -m deploy.prefect_server server start` does two things that prefect 3.8.8 does not; drop each when it does.

Garbage is collected beside the event loop, not in it. A collector that runs in the event loop's thread may finalize a
statement of a connection whose own thread waits for the write lock; SQLite then makes the loop wait, and with it the
transaction that holds the lock: for a minute, until the connection gives up, the API answers nobody. In a thread of its
own the collector waits alone.

A transaction that is to write takes the write lock as it begins, and waits for it. One that has read before is refused
at once where another has written meanwhile: requests end with 503, and events that an automation waits for are given up
after four tries within a second.
"""

import gc
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prefect.cli import app
from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

_COLLECT_SECONDS = 10.0


def collect_beside() -> None:
    """Collect garbage every 10 s in a thread, and never anywhere else."""

    def collect() -> None:
        while True:
            time.sleep(_COLLECT_SECONDS)
            gc.collect()

    gc.disable()
    threading.Thread(target=collect, name="garbage", daemon=True).start()


@asynccontextmanager
async def begin_transaction(
    _: AioSqliteConfiguration,
    session: AsyncSession,
    with_for_update: bool = True,  # noqa: FBT001, FBT002  # Prefect's
) -> AsyncIterator[AsyncSessionTransaction]:
    """Begin a transaction that is to write; sessions that are opened inside it read as they like."""
    del with_for_update  # as if it were always given
    async with session.begin() as transaction:
        mode = SQLITE_BEGIN_MODE.set("IMMEDIATE")
        try:
            await session.connection()
        finally:
            SQLITE_BEGIN_MODE.reset(mode)
        yield transaction


if __name__ == "__main__":
    collect_beside()
    AioSqliteConfiguration.begin_transaction = begin_transaction  # type: ignore[assignment,method-assign]
    app()
