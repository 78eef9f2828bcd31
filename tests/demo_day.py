"""A made-up day of BTC/USDT with everything that can go wrong in it, for the report and its pictures.

`python tests/demo_day.py FILE` stores it.
"""

import asyncio
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from depth import buckets, rowkey, tables
from depth.epochs import Grid
from depth.exchange.simulated.source import SCALE
from depth.exchange.simulated.walk import Side, Walk
from depth.ledger import Entry
from depth.record import Record
from depth.snapshot import Snapshot
from depth.summary import Summary
from tests import archive
from tests.archive import DAY
from tests.stored_rows import SYMBOL, TABLE

GRID = Grid()
LOST = [
    Entry(DAY + 11_000, DAY + 11_047, 47, "sequence break", DAY + 11_100),
    Entry(DAY + 34_220, DAY + 35_950, 1730, "disconnect", DAY + 34_400),
    Entry(DAY + 72_000, DAY + 72_003, 3, "unanchored", DAY + 72_100),
]
FILLED = Entry(DAY + 50_000, DAY + 50_120, 120, "store late", DAY + 50_200, resolved_at=DAY + 50_500)
DOUBTED = Entry(DAY + 61_200, DAY + 63_000, 0, "suspect", DAY + 63_100)
# The book is known less far before a new anchor.
SHALLOW = range(DAY + 40_000, DAY + 41_500)
_EVERY = 30
_SLOTS = 12


def rows() -> Iterator[Snapshot]:
    """Make 86,400 seconds but for those lost: a cut of the simulated market every thirty, some noise between."""
    chance = Random(5)  # noqa: S311  # repeatable, not secret
    walk = Walk(chance, 90_000 * SCALE, SCALE // 100, SCALE // 100_000)
    for begin in range(DAY, DAY + 86_400, _EVERY):
        for _ in range(_SLOTS):
            walk.step()
        bids, asks = _side(walk.bids), _side(walk.asks)
        for epoch in range(begin, begin + _EVERY):
            if any(gap.start <= epoch < gap.end for gap in LOST):
                continue
            row = Snapshot(
                symbol=SYMBOL,
                epoch=epoch,
                best_bid=bids[0],
                best_ask=asks[0],
                bid_buckets=tuple(round(money * chance.uniform(0.97, 1.03), 2) for money in bids[1]),
                ask_buckets=tuple(round(money * chance.uniform(0.97, 1.03), 2) for money in asks[1]),
                step=GRID.step,
                timestamp=epoch + 0.21,
                event_time=epoch * 1000 - 40,
                update_id=epoch * 40,
                collector="demo-1",
            )
            yield replace(row, ask_buckets=row.ask_buckets[:28] + (None,) * 12) if epoch in SHALLOW else row


def make(path: Path) -> Path:
    """Store the day, its ledger and its summaries."""
    asyncio.run(_make(path))
    return path


async def _make(path: Path) -> None:
    async with archive.opened(path) as store:
        await archive.fill(store, rows(), [*LOST, FILLED, DOUBTED])
        rolled = await archive.roll_up(store, DAY, DAY + 86_400)
        await store.write(tables.hourly_table(TABLE.name), list(_earlier([hour.summary for hour in rolled])))


def _earlier(hours: Sequence[Summary]) -> Iterator[Record]:
    """Make summaries of the days before, with other counts, for the calendar."""
    chance = Random(3)  # noqa: S311  # repeatable, not secret
    for day in range(1, 9):
        lost = chance.choice((0, 0, 0, 12, 900, 7_000))
        for number, hour in enumerate(hours):
            begin = hour["hour"] - 86_400 * day
            taken = min(3600, max(0, lost - 3600 * number))
            summary = {**hour, "hour": begin, "count": 3600 - taken, "coverage": 1 - taken / 3600}
            yield Record(rowkey.encode(begin, SYMBOL), {"summary": json.dumps(summary)})


def _side(side: Side) -> tuple[float, list[float]]:
    """Give the best price, and what lies in each bucket."""
    best = side.keys[-1] * side.sign / SCALE
    edge = best * math.exp(-side.sign * GRID.window)
    near = []
    for key in reversed(side.keys):
        price = key * side.sign / SCALE
        if (price - edge) * side.sign < 0:
            break
        near.append((price, side.amounts[key * side.sign] / SCALE))
    found = buckets.values(near, best, GRID, GRID.steps, places=2)
    return best, [value or 0.0 for value in found]


if __name__ == "__main__":
    make(Path(sys.argv[1]))
