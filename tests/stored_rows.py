"""Rows of BTC/USDT for tests over a store: made up, cheap, all buckets known."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

from depth import snapshot, tables
from depth.catalog import DepthTable
from depth.epochs import Grid
from depth.snapshot import Snapshot
from depth.storage.base import Store

SYMBOL = "BTC/USDT"
TABLE = DepthTable("binance_btc_depth", SYMBOL, Grid())


def rows(start: int, end: int, collector: str = "mine") -> Iterator[Snapshot]:
    """Make the rows of ``[start, end)``; those of an epoch are always the same."""
    chance = Random(7)  # noqa: S311  # repeatable, not secret
    bids, asks = (tuple(round(chance.expovariate(1e-5), 2) for _ in range(40)) for _ in range(2))
    for epoch in range(start, end):
        mid = 90_000 + (epoch * 7919 % 1000) / 100
        turn = epoch % 40
        yield Snapshot(
            symbol=SYMBOL,
            epoch=epoch,
            best_bid=round(mid - 0.01, 2),
            best_ask=round(mid + 0.01, 2),
            bid_buckets=bids[turn:] + bids[:turn],
            ask_buckets=asks[turn:] + asks[:turn],
            step=0.00002,
            timestamp=epoch + 0.25,
            event_time=epoch * 1000 - 7,
            update_id=epoch,
            collector=collector,
        )


def shallow(row: Snapshot, known: int) -> Snapshot:
    """Give the same row as a collector writes it that knows fewer bids."""
    return replace(row, bid_buckets=row.bid_buckets[:known] + (None,) * (40 - known))


async def store_rows(store: Store, made: Iterable[Snapshot]) -> None:
    """Write rows as a collector does, tables and all."""
    await store.ensure_table(TABLE.name, tables.DEPTH_COLUMNS)
    await store.ensure_table(tables.collectors_table(TABLE.name), tables.COLLECTOR_COLUMNS)
    written = await store.write(TABLE.name, [snapshot.encode(row) for row in made])
    assert not written.failures
