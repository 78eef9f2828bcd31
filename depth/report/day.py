"""A day of rows cut into minutes: how many there are, what they cost to cross, where the money rests. Pure."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from depth import epochs, gaps
from depth.arrow.rows import epochs_of
from depth.epochs import Grid
from depth.gaps import Interval

DAY_SECONDS = 86_400

_BASIS_POINTS = 10_000
_MOST_BINS = 40

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Minutes:
    """A day by minutes, or by the whole minutes that an interval of more than one takes; NaN where nothing is known.

    Attributes:
        day: first UTC second.
        seconds: length of a slot, a multiple of 60.
        due: epochs in each slot.
        count: of these, with a row.
        mid: mean mid price.
        spread_bps: mean spread.
        imbalance: mean of (bid - ask) / (bid + ask) of the two sides' money, over rows that know all of it.
        bin_bps: width of a bin.
        shift: bins between the mid and the best prices.
        bids: money by distance from the mid in quote currency, mean of the rows that know it; by bin, then slot.
        asks: same of the other side.
    """

    day: int
    seconds: int
    due: Counts
    count: Counts
    mid: Numbers
    spread_bps: Numbers
    imbalance: Numbers
    bin_bps: float
    shift: Counts
    bids: Numbers
    asks: Numbers


class _Means:
    """Means by slot; rows come in order, what is NaN does not count."""

    def __init__(self, slots: int, *shape: int) -> None:
        self._sums = np.zeros((slots, *shape))
        self._counts = np.zeros((slots, *shape), np.int64)

    def add(self, starts: Counts, slots: Counts, values: Numbers) -> None:
        """Take rows: those from each of `starts` to the next are of the slot beside it."""
        known = ~np.isnan(values)
        self._sums[slots] += np.add.reduceat(np.where(known, values, 0.0), starts, axis=0)
        self._counts[slots] += np.add.reduceat(known.astype(np.int64), starts, axis=0)

    def means(self) -> Numbers:
        with np.errstate(invalid="ignore"):
            return self._sums / self._counts


class Day:
    """Takes a day's rows batch by batch; holds minutes, not rows."""

    def __init__(self, day: int, grid: Grid) -> None:
        """Begin.

        Args:
            day: first UTC second.
            grid: what is sampled.
        """
        self._day = day
        self._grid = grid
        self._seconds = 60 * math.ceil(grid.interval / 60)
        slots = math.ceil(DAY_SECONDS / self._seconds)
        self._group = math.ceil(grid.steps / _MOST_BINS)
        bins = math.ceil(grid.steps / self._group)
        self._present: list[Counts] = []
        self._mid, self._spread, self._half, self._imbalance = (_Means(slots) for _ in range(4))
        self._bids, self._asks = _Means(slots, bins), _Means(slots, bins)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows, later than those before."""
        present = epochs_of(batch.column("time"))
        self._present.append(present)
        slots, starts = np.unique((present - self._day) // self._seconds, return_index=True)
        bid, ask = batch.column("best_bid").to_numpy(), batch.column("best_ask").to_numpy()
        bids, asks = _money(batch.column("bid_buckets")), _money(batch.column("ask_buckets"))
        mid = (bid + ask) / 2
        self._mid.add(starts, slots, mid)
        self._spread.add(starts, slots, _BASIS_POINTS * (ask - bid) / mid)
        self._half.add(starts, slots, np.log(ask / bid) / 2)
        bid_total, ask_total = bids.sum(axis=1), asks.sum(axis=1)
        with np.errstate(invalid="ignore"):
            self._imbalance.add(starts, slots, (bid_total - ask_total) / (bid_total + ask_total))
        self._bids.add(starts, slots, self._grouped(bids))
        self._asks.add(starts, slots, self._grouped(asks))

    def present(self) -> Counts:
        """Give the epochs that were taken, sorted."""
        return np.concatenate([np.empty(0, np.int64), *self._present])

    def minutes(self, due: Interval) -> Minutes:
        """Sum up.

        Args:
            due: where rows are expected.
        """
        width = self._grid.step * self._group
        bids, asks = self._bids.means(), self._asks.means()
        shift = np.minimum(np.nan_to_num(np.round(self._half.means() / width)), bids.shape[1]).astype(np.int64)
        wanted = epochs.expected(*gaps.on_grid(*due, self._grid.interval), self._grid.interval)
        return Minutes(
            day=self._day,
            seconds=self._seconds,
            due=self._counts(np.arange(wanted.start, wanted.stop, wanted.step, dtype=np.int64)),
            count=self._counts(self.present()),
            mid=self._mid.means(),
            spread_bps=self._spread.means(),
            imbalance=self._imbalance.means(),
            bin_bps=_BASIS_POINTS * width,
            shift=shift,
            bids=_from_mid(bids, shift),
            asks=_from_mid(asks, shift),
        )

    def _counts(self, some: Counts) -> Counts:
        slots = math.ceil(DAY_SECONDS / self._seconds)
        return np.bincount((some - self._day) // self._seconds, minlength=slots)

    def _grouped(self, money: Numbers) -> Numbers:
        """Sum neighbouring buckets, so that no more than 40 bins are left; one that is not known makes its bin so."""
        if self._group == 1:
            return money
        return np.add.reduceat(money, np.arange(0, money.shape[1], self._group), axis=1)


def _money(buckets: pa.Array) -> Numbers:
    """Give buckets by row, then bucket, NaN where not known."""
    values: Numbers = buckets.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, buckets.type.list_size)


def _from_mid(money: Numbers, shift: Counts) -> Numbers:
    """Move money by distance from the best price to distance from the mid; NaN inside the spread. By bin, then slot."""
    slots, bins = money.shape
    moved = np.full((slots, bins + int(shift.max(initial=0))), np.nan)
    for by in np.unique(shift):
        moved[shift == by, by : by + bins] = money[shift == by]
    return moved.T
