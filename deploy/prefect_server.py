"""`prefect` for a server on SQLite: garbage is collected beside the event loop, not in it.

A collector that runs in the event loop's thread may finalize a statement of a connection whose own thread waits for the
write lock; SQLite then makes the loop wait, and with it the transaction that holds the lock: for a minute, until the
connection gives up, the API answers nobody. In a thread of its own the collector waits alone. Use it in place of the
command, `python -m deploy.prefect_server server start`; drop it when prefect or aiosqlite no longer needs it.
"""

import gc
import threading
import time

from prefect.cli import app

_COLLECT_SECONDS = 10.0


def collect_beside() -> None:
    """Collect garbage every 10 s in a thread, and never anywhere else."""

    def collect() -> None:
        while True:
            time.sleep(_COLLECT_SECONDS)
            gc.collect()

    gc.disable()
    threading.Thread(target=collect, name="garbage", daemon=True).start()


if __name__ == "__main__":
    collect_beside()
    app()
