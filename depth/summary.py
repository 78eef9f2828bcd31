"""One hour of stored seconds in some numbers.

Pure: rows in, a JSON-safe dict out. A bucket that is not known never counts as zero, a second that is missing is never
bridged, and rows that an audit did not confirm (`suspect`) are counted apart: they are in `count`, in no statistic.
"""

import math
import statistics
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypedDict

from depth.epochs import Grid, expected

HOUR_SECONDS = 3600
NOTIONALS = (100_000, 1_000_000)

_BASIS_POINTS = 10_000


class Row(Protocol):
    """What is looked at of a stored row: a `Snapshot`, or the `OrderBook` in it."""

    @property
    def epoch(self) -> int:
        """UTC second."""
        ...

    @property
    def best_bid(self) -> float:
        """Best bid price."""
        ...

    @property
    def best_ask(self) -> float:
        """Best ask price."""
        ...

    @property
    def bid_buckets(self) -> tuple[float | None, ...]:
        """Money in quote currency by distance from the best bid; None where not known."""
        ...

    @property
    def ask_buckets(self) -> tuple[float | None, ...]:
        """Same from the best ask."""
        ...


class Mid(TypedDict):
    """First, highest, lowest and last mid price; the mid is (best bid + best ask) / 2, in quote currency."""

    open: float | None
    high: float | None
    low: float | None
    close: float | None


class Spread(TypedDict):
    """Distribution over the rows of 10,000 * (best ask - best bid) / mid, in bps."""

    mean: float | None
    p50: float | None
    p95: float | None
    max: float | None


class Depth(TypedDict):
    """Distribution over the rows of one side's money in all buckets, in quote currency."""

    mean: float | None
    min: float | None
    p5: float | None
    p50: float | None
    p95: float | None


class Imbalance(TypedDict):
    """Distribution over the rows of (bid - ask) / (bid + ask) of the two sides' money, -1 to 1."""

    mean: float | None
    p5: float | None
    p50: float | None
    p95: float | None


class Cost(TypedDict):
    """Cost of a market order against the mid, in bps, by its size in quote currency."""

    buy: dict[str, float | None]
    sell: dict[str, float | None]


class Summary(TypedDict):
    """What `summarise` makes of an hour; the keys stand in the order in which they are stored."""

    symbol: str
    hour: int
    count: int
    expected: int
    coverage: float | None
    gaps: list[list[int]]
    mid: Mid
    realized_volatility: float | None
    spread_bps: Spread
    bid_depth: Depth
    ask_depth: Depth
    imbalance: Imbalance
    bid_profile: list[float | None]
    ask_profile: list[float | None]
    cost_bps: Cost
    suspect: int


def summarise(symbol: str, hour: int, grid: Grid, rows: Iterable[Row], suspects: Container[int] = ()) -> Summary:
    """Sum up the rows of one hour.

    - `count` rows of `expected` epochs, `coverage` = count / expected (0 to 1; None where no epoch is due).
    - `gaps`: the epochs without a row as ``[start, end]``, half-open, sorted, disjoint; `end` is an epoch of the grid.
    - `mid`: open, high, low, close of the mid price.
    - `realized_volatility`: sqrt(sum of r^2) with r = ln(mid / mid one interval before), both inside this hour; no
      return across a gap or a suspect row. A fraction per the time covered, not annualised; None without a return.
      Source: https://doi.org/10.1111/1468-0262.00418
    - `spread_bps`, `imbalance`, `bid_depth`, `ask_depth`: see their types. A side's depth is taken from the rows that
      know every bucket of it, the imbalance from those that know every bucket of both and hold any money.
    - `bid_profile`, `ask_profile`: mean money by bucket in quote currency, each over the rows that know the bucket;
      None where none does.
    - `cost_bps`: see `cost`; over the mean profile of the rows that count for the side's depth.
    - `suspect`: of `count`, the rows that are in doubt.

    Quantiles are linear interpolations between order statistics (Hyndman-Fan type 7, as in numpy and Excel).
    Source: https://doi.org/10.1080/00031305.1996.10473566

    Args:
        symbol: ``BTC/USDT``.
        hour: its first UTC second, a multiple of 3600.
        grid: width and number of the buckets; epochs are the multiples of its interval.
        rows: the hour's rows, of this symbol and grid, oldest first, each epoch once; read once.
        suspects: epochs whose rows are in doubt.

    Returns:
        The summary; every number is finite, what no row tells is None.
    """
    seen = _Seen(hour, grid)
    for row in rows:
        seen.add(row, suspect=row.epoch in suspects)
    due = expected(hour, hour + HOUR_SECONDS, grid.interval)
    spread = _Distribution(seen.spreads)
    imbalance = _Distribution(seen.imbalances)
    mids = seen.mids
    return {
        "symbol": symbol,
        "hour": hour,
        "count": seen.count,
        "expected": len(due),
        "coverage": seen.count / len(due) if due else None,
        "gaps": seen.gaps_until(due.start + len(due) * grid.interval),
        "mid": {
            "open": mids[0] if mids else None,
            "high": max(mids, default=None),
            "low": min(mids, default=None),
            "close": mids[-1] if mids else None,
        },
        "realized_volatility": math.sqrt(math.fsum(seen.squared_returns)) if seen.squared_returns else None,
        "spread_bps": {"mean": spread.mean, "p50": spread.at(50), "p95": spread.at(95), "max": spread.at(100)},
        "bid_depth": _depth(seen.bids.totals),
        "ask_depth": _depth(seen.asks.totals),
        "imbalance": {
            "mean": imbalance.mean,
            "p5": imbalance.at(5),
            "p50": imbalance.at(50),
            "p95": imbalance.at(95),
        },
        "bid_profile": seen.bids.profile(),
        "ask_profile": seen.asks.profile(),
        "cost_bps": {
            "buy": _costs(seen.asks.whole_profile(), grid.step, spread.mean),
            "sell": _costs(seen.bids.whole_profile(), grid.step, spread.mean),
        },
        "suspect": seen.suspect,
    }


def cost(notional: float, profile: Sequence[float], step: float, spread_bps: float) -> float | None:
    """Estimate what a market order costs against the mid, fees apart.

    Model: the order eats the profile from the best price outwards; money in bucket i is had at the middle of the
    bucket, ``(i + 0.5) * step`` in log price from the best, and the best is half the spread from the mid. So the cost
    is ``spread_bps / 2 + 10,000 * sum(taken_i * (i + 0.5) * step) / notional``.

    Args:
        notional: size of the order in quote currency.
        profile: money by bucket of the side that the order takes, in quote currency.
        step: width of a bucket in log price.
        spread_bps: mean spread in bps.

    Returns:
        bps of the notional; None where the buckets hold less than it.
    """
    left, weighted = notional, 0.0
    for index, money in enumerate(profile):
        taken = min(left, money)
        weighted += taken * (index + 0.5)
        left -= taken
        if left <= 0:
            return spread_bps / 2 + _BASIS_POINTS * step * weighted / notional
    return None


@dataclass(slots=True)
class _Side:
    """What is kept of one side's buckets.

    Attributes:
        steps: number of buckets.
        totals: money of each row that knows every bucket.
        whole: sums by bucket over those rows.
        partial: sums by bucket over the others.
        known: how many of the others know the bucket.
    """

    steps: int
    totals: list[float] = field(default_factory=list)
    whole: list[float] = field(init=False)
    partial: list[float] = field(init=False)
    known: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.whole, self.partial, self.known = [0.0] * self.steps, [0.0] * self.steps, [0] * self.steps

    def add(self, buckets: Sequence[float | None]) -> float | None:
        """Take one row's side; give its money, None where a bucket is not known."""
        values = [value for value in buckets if value is not None]
        if len(values) < self.steps:
            for index, value in enumerate(buckets):
                if value is not None:
                    self.partial[index] += value
                    self.known[index] += 1
            return None
        self.whole = [total + value for total, value in zip(self.whole, values, strict=True)]
        self.totals.append(math.fsum(values))
        return self.totals[-1]

    def profile(self) -> list[float | None]:
        counts = [len(self.totals) + known for known in self.known]
        sums = zip(self.whole, self.partial, counts, strict=True)
        return [(whole + partial) / count if count else None for whole, partial, count in sums]

    def whole_profile(self) -> list[float]:
        return [total / len(self.totals) for total in self.whole] if self.totals else []


class _Seen:
    """What is kept of the rows: four floats each, and sums by bucket."""

    def __init__(self, hour: int, grid: Grid) -> None:
        self._interval = grid.interval
        self._next = expected(hour, hour + HOUR_SECONDS, grid.interval).start
        self._gaps: list[list[int]] = []
        self._before: tuple[int, float] | None = None  # epoch and mid of the last row that was not suspect
        self.count = self.suspect = 0
        self.mids: list[float] = []
        self.squared_returns: list[float] = []
        self.spreads: list[float] = []
        self.imbalances: list[float] = []
        self.bids, self.asks = _Side(grid.steps), _Side(grid.steps)

    def add(self, row: Row, *, suspect: bool) -> None:
        self.count += 1
        self._present(row.epoch)
        if suspect:
            self.suspect += 1
            return
        mid = (row.best_bid + row.best_ask) / 2
        if self._before is not None and self._before[0] == row.epoch - self._interval:
            # ln(mid / before); a tick is 1e-7 of the price, which a rounded quotient would keep to nine digits only
            self.squared_returns.append(math.log1p((mid - self._before[1]) / self._before[1]) ** 2)
        self._before = row.epoch, mid
        self.mids.append(mid)
        self.spreads.append(_BASIS_POINTS * (row.best_ask - row.best_bid) / mid)
        bid, ask = self.bids.add(row.bid_buckets), self.asks.add(row.ask_buckets)
        if bid is not None and ask is not None and bid + ask > 0:
            self.imbalances.append((bid - ask) / (bid + ask))

    def gaps_until(self, end: int) -> list[list[int]]:
        """Give the gaps of the hour; nothing more comes before `end`."""
        return self._gaps + [[self._next, end]] * (self._next < end)

    def _present(self, epoch: int) -> None:
        if epoch > self._next:
            self._gaps.append([self._next, epoch])
        self._next = epoch + self._interval


class _Distribution:
    """Mean and quantiles of some numbers; None where there are none."""

    def __init__(self, values: Iterable[float]) -> None:
        self._ordered = sorted(values)

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self._ordered) if self._ordered else None

    def at(self, percent: int) -> float | None:
        """Give a percentile: 0 is the minimum, 100 the maximum, linear in between."""
        if not self._ordered:
            return None
        below, hundredths = divmod(percent * (len(self._ordered) - 1), 100)
        if not hundredths:
            return self._ordered[below]
        low, high = self._ordered[below : below + 2]
        return low + (high - low) * hundredths / 100


def _depth(totals: list[float]) -> Depth:
    depth = _Distribution(totals)
    return {"mean": depth.mean, "min": depth.at(0), "p5": depth.at(5), "p50": depth.at(50), "p95": depth.at(95)}


def _costs(profile: list[float], step: float, spread_bps: float | None) -> dict[str, float | None]:
    return {
        str(notional): None if spread_bps is None else cost(notional, profile, step, spread_bps)
        for notional in NOTIONALS
    }
