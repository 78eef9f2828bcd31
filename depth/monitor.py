"""What a collector tells people of itself, beside its capture: nothing here holds up a second.

Two places: the tables, told of in the store, where every collector and check of an installation sees what was told;
and this run's end of the spool, told of in the spool file, since the store may be the very thing that is away.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from depth import freshness
from depth.alerts import symptoms
from depth.alerts.board import Board
from depth.alerts.conditions import Bad
from depth.alerts.delivery import Dispatcher, Notify
from depth.alerts.open import Boards, open_channels, open_heartbeat
from depth.alerts.options import AlertOptions
from depth.alerts.symptoms import LATE_SECONDS, Audits
from depth.catalog import DepthTable
from depth.collector import Progress
from depth.errors import DepthError, TerminalError
from depth.shipping import Destination, Shipper
from depth.sinks import SpoolSink
from depth.storage.sqlite import SqliteStore

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0
_LONGEST_LOOK_SECONDS = 180.0
_HEARTBEAT_SECONDS = 60.0
_LAST_WORDS_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Sights:
    """What a monitor looks at.

    Attributes:
        tables: of the run.
        progress: says how far the capture of a symbol is.
        sink: puts rows into the spool.
        shipper: takes them to the store.
        destination: the store.
        spool_used: measures the spool, as a share of its limit.
    """

    tables: Sequence[DepthTable]
    progress: Callable[[str], Progress]
    sink: SpoolSink
    shipper: Shipper
    destination: Destination
    spool_used: Callable[[], Awaitable[float]]


class Monitor:
    """The alerts and the heartbeat of one run."""

    def __init__(
        self,
        options: AlertOptions,
        spool_path: Path,
        symbols: Iterable[str],
        notify: Notify,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            options: who is told.
            spool_path: the spool file.
            symbols: of the run.
            notify: sends one message, with the retries of whoever runs the flow.
            clock: UTC seconds.

        Raises:
            UsageError: an address that is none.
        """
        self._clock = clock
        self._boards = Boards(options, Dispatcher(open_channels(options), notify), clock)
        self._heartbeat = open_heartbeat(options)
        self._heard = True
        self._spool_store = SqliteStore(spool_path)
        self._spool = self._boards.of_spool(self._spool_store, symbols)
        self._stored: dict[str, int] = {}  # by symbol: newest epoch
        self._began = int(clock())

    def watch(self, sights: Sights) -> list[Coroutine[object, object, None]]:
        """Give what is to run beside the capture, each for ever; nothing where nobody is to be told."""
        loops = []
        if self._boards.dispatcher:
            loops.append(_every(_LOOK_SECONDS, partial(self.look_at_spool, sights)))
        if self._boards.dispatcher or self._heartbeat is not None:
            for table in sights.tables:
                board = self._boards.of_table(sights.destination.store, table.name, table.symbol)
                audits = Audits(table.grid.interval)
                loops.append(_every(_LOOK_SECONDS, partial(self.look_at_table, sights, table, board, audits)))
        if self._heartbeat is not None:
            loops.append(_every(_HEARTBEAT_SECONDS, partial(self.beat, sights)))
        return loops

    async def look_at_spool(self, sights: Sights) -> None:
        """Tell what there is to tell of the spool and of the way from it."""
        now, trouble, shipped_at = int(self._clock()), sights.shipper.trouble, sights.shipper.shipped_at
        board = self._spool
        await board.flush()
        await board.report("refused", symptoms.refused(trouble, shipped_at))
        await board.report("store-failing", symptoms.store_failing(trouble, shipped_at, now))
        await board.report("spool-full", symptoms.spool_full(sights.sink.trouble, now))
        await board.report("spool-high", symptoms.spool_high(await sights.spool_used(), now))

    async def look_at_table(self, sights: Sights, table: DepthTable, board: Board, audits: Audits) -> None:
        """Tell what there is to tell of one table, and remember for the heartbeat how far it is."""
        now, progress = int(self._clock()), sights.progress(table.symbol)
        newest = sights.destination.acknowledged.get(table.name)
        if newest is None or now - newest >= LATE_SECONDS:  # another collector may have stored newer ones
            newest = await freshness.newest(sights.destination.store, table, now)
        if newest is not None:
            self._stored[table.symbol] = newest
        await board.flush()
        await board.report("audit-mismatch", audits.seen(progress.audits_agreed, progress.suspect, now))
        seen = symptoms.stale(
            self._began if newest is None else newest, table.grid.interval, now, _cause(sights, progress)
        )
        if isinstance(seen, Bad) and now - self._began < LATE_SECONDS:
            seen = None  # a run that has just begun is given the minute that a row may take
        await board.report("stale", seen)

    async def beat(self, sights: Sights) -> None:
        """Let the watchdog outside know that all is well, if it is and there is one."""
        now = self._clock()
        late = [
            table.symbol
            for table in sights.tables
            if now - self._stored.get(table.symbol, 0) - table.grid.interval >= LATE_SECONDS
        ]
        if late or self._heartbeat is None:
            logger.debug("no heartbeat, late: %s", ", ".join(late))
            return
        try:
            await self._heartbeat.request("GET")
            self._heard = True
        except DepthError as error:
            logger.log(logging.DEBUG if not self._heard else logging.WARNING, "%s", error)
            self._heard = False

    async def ended(self, error: TerminalError) -> None:
        """Tell what ends this run; bounded, and what fails is said in one line."""
        now = int(self._clock())
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._spool.report("refused", Bad(now, now, str(error)))
        except (TimeoutError, DepthError) as failed:
            logger.warning("the next run tells it: %s", str(failed) or "nobody took it in time")

    async def close(self) -> None:
        """Let go of the spool file."""
        await self._spool_store.close()


def _cause(sights: Sights, progress: Progress) -> str:
    """Say why no row is stored, as far as this run knows."""
    if sights.sink.trouble or sights.shipper.trouble:
        return "rows wait in the spool"
    return "silent" if progress.chained else "unanchored"


async def _every(seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            async with asyncio.timeout(_LONGEST_LOOK_SECONDS):
                await look()
        except (TimeoutError, DepthError) as error:
            logger.debug("a look at what is to be told failed: %s", str(error) or "it took too long")
        except Exception:  # a mistake here must end neither the capture nor the looks that come
            logger.exception("a look at what is to be told failed in a way that nobody thought of")
        await asyncio.sleep(seconds)
