"""Summaries computed the slow and obvious way from DESIGN section 5: Decimal, plain loops, everything kept.

It shares no code with `depth`. A row is what stands in the column `orderbook`, as a dict.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

Row = Mapping[str, Any]
Numbers = Sequence[Decimal]


def summary(  # noqa: PLR0913, PLR0917  (what the store says of a table, and the rows)
    symbol: str, hour: int, interval: int, step: float, steps: int, rows: Mapping[int, Row], suspects: set[int]
) -> dict[str, Any]:
    """Return the summary of one hour; numbers that are no counts are Decimal.

    Args:
        symbol: ``BTC/USDT``.
        hour: its first second.
        interval: seconds between epochs.
        step: width of a bucket.
        steps: buckets a side.
        rows: the column `orderbook` by epoch.
        suspects: epochs of the rows that are counted apart.
    """
    with localcontext(prec=40):
        due = [epoch for epoch in range(hour, hour + 3600) if epoch % interval == 0]
        good = {epoch: rows[epoch] for epoch in due if epoch in rows and epoch not in suspects}
        mids = {epoch: (Decimal(row["best_bid"]) + Decimal(row["best_ask"])) / 2 for epoch, row in good.items()}
        squares = [
            (mids[epoch] / mids[epoch - interval]).ln() ** 2 for epoch in due if {epoch, epoch - interval} <= set(mids)
        ]
        spreads = [
            10_000 * (Decimal(row["best_ask"]) - Decimal(row["best_bid"])) / mids[epoch] for epoch, row in good.items()
        ]
        bids = {epoch: total for epoch, row in good.items() if (total := money(row["bid_buckets"])) is not None}
        asks = {epoch: total for epoch, row in good.items() if (total := money(row["ask_buckets"])) is not None}
        tilts = [
            (bids[epoch] - asks[epoch]) / (bids[epoch] + asks[epoch])
            for epoch in due
            if epoch in bids and epoch in asks and bids[epoch] + asks[epoch] != 0
        ]
        listed = list(mids.values())
        count = len([epoch for epoch in due if epoch in rows])
        return {
            "symbol": symbol,
            "hour": hour,
            "count": count,
            "expected": len(due),
            "coverage": Decimal(count) / len(due),
            "gaps": gaps(due, rows, interval),
            "mid": {
                "open": listed[0] if listed else None,
                "high": max(listed, default=None),
                "low": min(listed, default=None),
                "close": listed[-1] if listed else None,
            },
            "realized_volatility": sum(squares).sqrt() if squares else None,  # type: ignore[union-attr]
            "spread_bps": {
                "mean": mean(spreads),
                "p50": quantile(spreads, 50),
                "p95": quantile(spreads, 95),
                "max": max(spreads, default=None),
            },
            "bid_depth": depth(list(bids.values())),
            "ask_depth": depth(list(asks.values())),
            "imbalance": {"mean": mean(tilts)} | {f"p{percent}": quantile(tilts, percent) for percent in (5, 50, 95)},
            "bid_profile": profile([row["bid_buckets"] for row in good.values()], steps),
            "ask_profile": profile([row["ask_buckets"] for row in good.values()], steps),
            "cost_bps": {
                "buy": costs([good[epoch]["ask_buckets"] for epoch in asks], steps, step, mean(spreads)),
                "sell": costs([good[epoch]["bid_buckets"] for epoch in bids], steps, step, mean(spreads)),
            },
            "suspect": len([epoch for epoch in due if epoch in rows and epoch in suspects]),
        }


def gaps(due: Sequence[int], rows: Mapping[int, Row], interval: int) -> list[list[int]]:
    """Return the runs of epochs without a row, half-open."""
    found: list[list[int]] = []
    for epoch in due:
        if epoch in rows:
            continue
        if found and found[-1][1] == epoch:
            found[-1][1] += interval
        else:
            found.append([epoch, epoch + interval])
    return found


def money(buckets: Sequence[float | None]) -> Decimal | None:
    """Return a side's money, None where a bucket is not known."""
    known = [Decimal(value) for value in buckets if value is not None]
    return sum(known, Decimal(0)) if len(known) == len(buckets) else None


def mean(values: Numbers) -> Decimal | None:
    """Return the mean, None of nothing."""
    return sum(values, Decimal(0)) / len(values) if values else None


def quantile(values: Numbers, percent: int) -> Decimal | None:
    """Return the value at `percent` of the way through the sorted values, on straight lines between them."""
    if not values:
        return None
    ordered = sorted(values)
    place = Decimal(percent) / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] * (1 - (place - below)) + ordered[above] * (place - below)


def depth(values: Numbers) -> dict[str, Decimal | None]:
    """Return one side's depth."""
    quantiles = {f"p{percent}": quantile(values, percent) for percent in (5, 50, 95)}
    return {"mean": mean(values), "min": min(values, default=None)} | quantiles


def profile(sides: Sequence[Sequence[float | None]], steps: int) -> list[Decimal | None]:
    """Return each bucket's mean over the rows that know it."""
    return [mean([Decimal(value) for side in sides if (value := side[i]) is not None]) for i in range(steps)]


def costs(
    sides: Sequence[Sequence[float | None]], steps: int, step: float, spread: Decimal | None
) -> dict[str, Decimal | None]:
    """Return the cost in bps of 100,000 and 1,000,000, of the mean of sides that know every bucket."""
    found: dict[str, Decimal | None] = {}
    for size in (100_000, 1_000_000):
        ladder = [money or Decimal(0) for money in profile(sides, steps)]
        if spread is None or sum(ladder) < size:
            found[str(size)] = None
            continue
        paid, filled = Decimal(0), Decimal(0)
        for place, money in enumerate(ladder):
            distance = (place + Decimal("0.5")) * Decimal(step) * 10_000
            part = min(money, size - filled)
            paid += part * (spread / 2 + distance)
            filled += part
        found[str(size)] = paid / size
    return found
