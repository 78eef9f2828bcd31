"""`python tests/alerts/dispatching.py BACKEND PLACE URL LEASE THEN`: deliver one message, in a process of its own.

PLACE is the SQLite file, or the emulator's host:port and an instance with a comma between. THEN is `send`, or `die`:
by SIGKILL, after the claim and before the sending. Waits for a line of input before it begins, and prints whether
anybody was told.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from depth.alerts.base import Alert, Channel
from depth.alerts.board import Board, Place
from depth.alerts.cells import StoredCells
from depth.alerts.delivery import Dispatcher
from depth.alerts.webhook import WebhookChannel
from depth.storage.base import Store
from depth.storage.open import StoreOptions, open_store
from tests.alerts.made import KEY, NEWS, TABLE


class DeadlyChannel:
    """Ends the process that would send; its claims are those of the webhook."""

    name = WebhookChannel.name

    async def send(self, alert: Alert) -> None:
        del alert
        os.kill(os.getpid(), signal.SIGKILL)


def opened(backend: str, place: str) -> Store:
    """Open the store that the processes share."""
    if backend == "sqlite":
        return open_store(StoreOptions(backend, Path(place)))
    host, instance = place.split(",")
    return open_store(StoreOptions(backend, Path(), "project", instance, emulator_host=host))


async def deliver(store: Store, url: str, lease_seconds: float, then: str) -> bool:
    """Deliver the message as far as one try goes."""
    channel: Channel = DeadlyChannel() if then == "die" else WebhookChannel(url)
    try:
        cells = StoredCells(store, f"{TABLE}_collectors")
        board = Board(Place("BTC/USDT", TABLE, "here", "here"), cells, Dispatcher([channel]), lease_seconds)
        return await board.tell(KEY, NEWS)
    finally:
        await store.close()


if __name__ == "__main__":
    _, backend, place, url, lease, then = sys.argv
    store = opened(backend, place)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(f"{asyncio.run(deliver(store, url, float(lease), then))}\n")
