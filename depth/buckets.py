"""Money by distance from the best price: log-spaced buckets with exact sums."""

import math
from collections.abc import Iterable
from decimal import Decimal

from depth.epochs import Grid

# Below this a float64 with 8 decimals, times 1e8, lands within half a unit of its integer.
_EXACT = 2.0**50
# price and amount each carry 1e8
_PRODUCT_PLACES = 16
_LARGEST_EXPONENT = 300.0

CENT_QUOTES = frozenset({"USDT", "USDC", "FDUSD", "TUSD", "DAI", "USD", "EUR"})


def places(quote: str) -> int:
    """Give the decimals of a bucket's value: 2 for a quote currency that has cents, else 8."""
    return 2 if quote in CENT_QUOTES else 8


def scaled(value: float) -> int:
    """Turn a parsed price or amount back into its exact integer.

    Args:
        value: float64 parsed from a decimal of at most 15 significant digits and 8 decimals.

    Returns:
        The decimal times 1e8.
    """
    units = value * 1e8
    if units < _EXACT:
        return round(units)
    return int(Decimal(repr(value)).scaleb(8))


def index(best: float, price: float, step: float) -> int:
    """Give the bucket of a price.

    Args:
        best: best price of the same side.
        price: price of the level.
        step: width of a bucket in log price, for example 0.00002 (0.002 %).

    Returns:
        ``int(abs(ln(best) - ln(price)) / step)``, 0 at the best. This formula in float64 is the specification.
    """
    return int(abs(math.log(best) - math.log(price)) / step)


def known(best: float, edge: float | None, grid: Grid) -> int:
    """Count the buckets of a side that lie wholly inside the known range.

    Args:
        best: best price of the side, inside the known range.
        edge: last known price of the side, None where the side is known without end.
        grid: width and number of the buckets.

    Returns:
        0 to `grid.steps`: buckets before the edge price's own are known, that one and those beyond are not.
    """
    return grid.steps if edge is None else min(grid.steps, index(best, edge, grid.step))


def values(
    levels: Iterable[tuple[float, float]], best: float, grid: Grid, known: int, places: int
) -> tuple[float | None, ...]:
    """Sum the money of each bucket.

    Args:
        levels: price and amount, in any order; levels beyond the last known bucket are skipped.
        best: best price of the side.
        grid: width and number of the buckets.
        known: how many of them are known, from `known`.
        places: decimals of the result in quote currency, 2 or 8.

    Returns:
        `grid.steps` values in quote currency: the exact sum of price*amount, rounded half-even to `places`; None where
        the book is not known.
    """
    sums = [0] * known
    log, top, step, exact = math.log, math.log(best), grid.step, _EXACT
    # A little beyond the last known bucket on either side: most levels are far, and a comparison is cheaper than a log.
    reach = math.exp(min(step * known * 1.001, _LARGEST_EXPONENT))
    lowest, highest = best / reach, best * reach
    for price, amount in levels:
        if lowest <= price <= highest:
            bucket = int(abs(top - log(price)) / step)
            if bucket < known:
                # scaled() written out for the common case: a call a level is half of the time
                p, a = price * 1e8, amount * 1e8
                if p < exact and a < exact:
                    sums[bucket] += int(p + 0.5) * int(a + 0.5)
                else:
                    sums[bucket] += scaled(price) * scaled(amount)
    unit, shown = 10 ** (_PRODUCT_PLACES - places), 10**places
    return (*(_half_even(total, unit) / shown for total in sums), *(None,) * (grid.steps - known))


def _half_even(total: int, unit: int) -> int:
    whole, rest = divmod(total, unit)
    return whole + (2 * rest > unit or (2 * rest == unit and whole & 1))
