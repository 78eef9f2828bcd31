"""What a check of a table tells people: gaps, and that no row is stored any more."""

import logging
from collections.abc import Mapping

from depth import continuity, freshness, times
from depth.alerts import symptoms
from depth.alerts.base import News
from depth.alerts.board import Board
from depth.continuity import Continuity
from depth.due import Due, Event
from depth.errors import DepthError
from depth.storage.base import Store

logger = logging.getLogger(__name__)

_WORDING: Mapping[Event, str] = {
    "opened": "{missing} epochs are missing, {start} to {end}: {cause}",
    "growing": "epochs go on missing, {missing} since {start}: {cause}",
    "resolved": "the {missing} epochs that were missing, {start} to {end}, have come after all",
    "lost": "{missing} epochs are lost, {start} to {end}: {cause}",
}


async def announce(board: Board, store: Store, found: Continuity, now: int, *, present: bool) -> None:
    """Tell what is due, and mark in the ledger what was told; what fails is said in one line and tried by the next.

    Args:
        board: of the table.
        store: holds the table.
        found: what a check of it found.
        now: UTC second.
        present: whether it was checked up to now: only then is a late table news.
    """
    table = found.table
    try:
        await board.flush()
        for message in found.due:
            if await board.tell(message.key(table.name), _news(message)):
                await continuity.mark(store, table, message, now)
        await board.report("audit-mismatch", None)  # what a collector that is gone did not get told
        newest = await freshness.newest(store, table, now) if present else None
        if newest is not None:
            cause = found.gaps[-1].cause if found.gaps and found.gaps[-1].end == found.window.end else "unknown"
            await board.report("stale", symptoms.stale(newest, table.grid.interval, now, cause))
    except DepthError as error:
        logger.warning("%s: not all that is due was told, the next check goes on: %s", table.symbol, error)


def _news(message: Due) -> News:
    said = _WORDING[message.event].format(
        missing=message.missing,
        start=times.show(message.start),
        end=times.show(message.end),
        cause=message.cause,
    )
    return News(f"gap.{message.event}", message.start, message.end, message.missing, message.cause, said)
