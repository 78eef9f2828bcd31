"""Rows as order book snapshots in the CSV format of Tardis, which nautilus_trader loads.

Source: https://docs.tardis.dev/downloadable-csv-files#book_snapshot_25

A bucket stands for a level: its price is the bucket's edge nearer to the best price, so the first level is at the best
price itself; its amount is the bucket's money by that price. A bucket that is not known is empty, one without money has
a price and the amount 0. The first 25 buckets are written; a market of fewer has empty ones.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from depth.arrow.rows import MICROSECONDS, epochs_of
from depth.epochs import Grid

NAME = "book_snapshot_25"

_LEVELS = 25
_DIGITS = 10
_AMOUNT_PLACES = 8


def converter(symbol: str, grid: Grid) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Make what turns rows of one market into snapshots.

    Columns: exchange, symbol, timestamp (the epoch, µs), local_timestamp (when the proof of it was received, µs), then
    for each level asks[i].price, asks[i].amount, bids[i].price, bids[i].amount.
    """
    market = symbol.replace("/", "")
    count = min(_LEVELS, grid.steps)
    away = np.exp(grid.step * np.arange(count))

    def convert(batch: pa.RecordBatch) -> pa.RecordBatch:
        epochs = epochs_of(batch.column("time")) * MICROSECONDS
        received = pc.coalesce(batch.column("received_at").cast(pa.int64()), pa.array(epochs))
        columns = {
            "exchange": pa.array(["binance"] * len(epochs), pa.string()),
            "symbol": pa.array([market] * len(epochs), pa.string()),
            "timestamp": pa.array(epochs),
            "local_timestamp": received,
        }
        asks = _levels(batch, "ask", count, away)
        bids = _levels(batch, "bid", count, 1 / away)
        for level in range(_LEVELS):
            for side, (prices, amounts) in (("asks", asks), ("bids", bids)):
                columns[f"{side}[{level}].price"] = _column(prices, level)
                columns[f"{side}[{level}].amount"] = _column(amounts, level)
        return pa.RecordBatch.from_pydict(columns)

    return convert


def _levels(
    batch: pa.RecordBatch, side: str, count: int, away: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give prices and amounts by row and level; NaN where not known.

    Prices have ten digits at least, and the best price all of its own.
    """
    best = batch.column(f"best_{side}").to_numpy()[:, None]
    buckets = batch.column(f"{side}_buckets")
    money = buckets.flatten().to_numpy(zero_copy_only=False).reshape(-1, buckets.type.list_size)[:, :count]
    scale = 10.0 ** np.maximum(2, _DIGITS - np.ceil(np.log10(best)))
    prices = np.where(np.isnan(money), np.nan, np.round(best * away * scale) / scale)
    return prices, np.round(money / prices, _AMOUNT_PLACES)


def _column(values: npt.NDArray[np.float64], level: int) -> pa.Array:
    if level >= values.shape[1]:
        return pa.nulls(len(values), pa.float64())
    return pa.array(values[:, level], mask=np.isnan(values[:, level]))
