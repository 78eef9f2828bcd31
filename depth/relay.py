"""Runs that hand over: each says that it is there, and a run that is over stops when later ones have taken over."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from depth import presence, tables
from depth.errors import DepthError, MalformedRow
from depth.presence import BEACON_SECONDS, Neighbours, Presence
from depth.storage.base import Store

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_READ_SECONDS = 5.0
_SAY_EVERY = 300.0
_NEWEST = 100  # presence rows that are looked at; a live run that started before the last hundred is not found


class Relay:
    """One run's part in the relay, for one table."""

    def __init__(self, store: Store, table: str, myself: Callable[[], Awaitable[Presence]]) -> None:
        """Prepare.

        Args:
            store: where presence is written.
            table: the depth table; presence goes into its companion.
            myself: says how this run is now.
        """
        self._store = store
        self._table = tables.collectors_table(table)
        self._myself = myself
        self._neighbours = Neighbours()
        self._failing: set[str] = set()

    async def beacon(self) -> None:
        """Say every 5 s that this run is there, until cancelled; what fails is tried again."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            with self._kept_up("presence of this run cannot be written"):
                async with asyncio.timeout(BEACON_SECONDS):
                    await self._store.write(self._table, [presence.encode(await self._myself())])
            await asyncio.sleep(max(0.0, began + BEACON_SECONDS - clock()))

    async def farewell(self) -> None:
        """Say what this run leaves in its spool, and that it brings no more; if that fails the last beacon stays."""
        try:
            leaving = msgspec.structs.replace(await self._myself(), state="stopped")
            await self._store.write(self._table, [presence.encode(leaving)])
        except DepthError as error:
            logger.debug("the end of this run is not written: %s", error)

    async def successors(self) -> int:
        """Count the later collectors that have taken over, as far as the store says within 5 s."""
        with self._kept_up("presence of the others cannot be read"):
            async with asyncio.timeout(_READ_SECONDS):
                found = await read(self._store, self._table)
                mine = await self._myself()
            now = asyncio.get_running_loop().time()
            self._neighbours.observe(found, now)
            return self._neighbours.successors(mine, now)
        return 0

    @contextmanager
    def _kept_up(self, what: str) -> Iterator[None]:
        """Go on after a failure: a store that is away is shipping's to tell; anything else is told once."""
        try:
            yield
            self._failing.discard(what)
        except (TimeoutError, DepthError) as error:
            logger.debug("%s: %s", what, str(error) or "no answer in time")
        except Exception as error:  # a mistake of ours must not make a run invisible, or immortal
            level = logging.DEBUG if what in self._failing else logging.ERROR
            logger.log(level, "%s, it is tried again", what, exc_info=error)
            self._failing.add(what)


async def hand_over(relays: Sequence[Relay], replicas: int) -> None:
    """Wait until enough later collectors are live in every table at the same time; without them, say so and go on.

    Args:
        relays: this run's part in each table.
        replicas: later collectors that must be live, 1 or 2.
    """
    clock = asyncio.get_running_loop().time
    said = clock()
    while True:
        found = min(await asyncio.gather(*(relay.successors() for relay in relays)))
        if found >= replicas:
            logger.info("%d later collectors have taken over: this run stops", found)
            return
        if clock() - said > _SAY_EVERY:
            said = clock()
            logger.warning("%d of %d successors: this run goes on until there are enough", found, replicas)
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
