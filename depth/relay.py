"""Runs that hand over: each says that it is there, and a run that is over stops when a later one has taken over."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from depth import presence, tables
from depth.errors import DepthError, MalformedRow
from depth.presence import BEACON_SECONDS, Neighbours, Presence
from depth.storage.base import Store

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_SAY_EVERY = 300.0
_NEWEST = 100  # presence rows that are looked at; a live run that started before the last hundred is not found


class Relay:
    """One run's part in the relay, for one table."""

    def __init__(self, store: Store, table: str, replicas: int, myself: Callable[[], Awaitable[Presence]]) -> None:
        """Prepare.

        Args:
            store: where presence is written.
            table: the depth table; presence goes into its companion.
            replicas: later collectors that must be live before this one stops, 1 or 2.
            myself: says how this run is now.
        """
        self._store = store
        self._table = tables.collectors_table(table)
        self._replicas = replicas
        self._myself = myself

    async def beacon(self) -> None:
        """Say every 5 s that this run is there, until cancelled; a store that fails is tried again."""
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(BEACON_SECONDS):
                    await self._store.write(self._table, [presence.encode(await self._myself())])
            except (TimeoutError, DepthError) as error:
                logger.debug("presence of this run is not written: %s", str(error) or "no answer in time")
            await asyncio.sleep(max(0.0, began + BEACON_SECONDS - time.monotonic()))

    async def farewell(self) -> None:
        """Say what this run leaves in its spool, and that it brings no more; if that fails the last beacon stays."""
        try:
            leaving = msgspec.structs.replace(await self._myself(), state="unchained")
            await self._store.write(self._table, [presence.encode(leaving)])
        except DepthError as error:
            logger.debug("the end of this run is not written: %s", error)

    async def successors(self) -> None:
        """Wait until enough later collectors have taken over; without one, say so and go on."""
        neighbours, said = Neighbours(), time.monotonic()
        while True:
            now = time.monotonic()
            try:
                neighbours.observe(await read(self._store, self._table), now)
            except DepthError as error:
                logger.debug("presence cannot be read: %s", error)
            if (found := neighbours.successors(await self._myself(), now)) >= self._replicas:
                logger.info("%d later collectors have taken over: this run stops", found)
                return
            if now - said > _SAY_EVERY:
                said = now
                logger.warning("%d of %d successors: this run goes on until there are enough", found, self._replicas)
            await asyncio.sleep(_LOOK_SECONDS)


async def read(store: Store, companion: str) -> list[Presence]:
    """Read the presence rows of the latest runs; rows that another program wrote are skipped."""
    found = []
    async for record in store.scan(companion, presence.PREFIX, presence.END, limit=_NEWEST):
        try:
            found.append(presence.decode(record))
        except MalformedRow as error:
            logger.debug("%s", error)
    return found
