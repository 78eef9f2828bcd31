"""Buckets: the literal index formula and exact sums, against Decimal."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from depth import buckets
from depth.epochs import Grid
from tests import oracle

QUICKLY = settings(max_examples=100, deadline=None)


def decimals(whole: int, digits: int) -> st.SearchStrategy[Decimal]:
    """Draw a positive decimal below 10**whole with so many digits behind the point."""
    return st.integers(1, 10 ** (whole + digits) - 1).map(lambda units: Decimal(units).scaleb(-digits))


# Prices and amounts as Binance has them: BTC, SHIB (amounts to 1e11), a tiny price, and the most digits there can be.
markets = st.sampled_from(
    [(6, 2, 4, 5), (0, 8, 12, 0), (0, 8, 11, 2), (1, 8, 7, 8), (7, 8, 7, 8), (8, 7, 9, 6), (14, 1, 14, 1)]
)


@st.composite
def sides(draw: st.DrawFn) -> tuple[dict[Decimal, Decimal], Decimal]:
    """Draw levels near one price of one market, and the best of them."""
    price_whole, price_digits, amount_whole, amount_digits = draw(markets)
    centre = draw(decimals(price_whole, price_digits))
    tick = Decimal(1).scaleb(-price_digits)
    away = draw(st.lists(st.integers(0, 40) | st.integers(0, 5000), min_size=1, max_size=30, unique=True))
    prices = [price for distance in away if (price := centre - distance * tick) > 0]
    assume(prices)
    amounts = [draw(decimals(amount_whole, amount_digits)) for _ in prices]
    return dict(zip(prices, amounts, strict=True)), max(prices)


@QUICKLY
@given(sides(), st.sampled_from([0.00002, 0.001, 0.1, 1.0]), st.sampled_from([1, 3, 40]), st.data())
def test_values_are_the_exact_sums_in_any_order_of_the_levels(
    side: tuple[dict[Decimal, Decimal], Decimal], step: float, steps: int, data: st.DataObject
) -> None:
    """Literal index, Decimal sum, half-even to cents or to 8 decimals; None from the edge price's bucket on."""
    levels, best = side
    edge = data.draw(st.none() | st.sampled_from(sorted(levels)))
    places = data.draw(st.sampled_from([2, 8]))
    floats = data.draw(st.permutations([(float(price), float(amount)) for price, amount in levels.items()]))
    grid = Grid(step, steps)
    known = buckets.known(float(best), None if edge is None else float(edge), grid)
    got = buckets.values(floats, float(best), grid, known, places)
    assert list(got) == oracle.buckets(levels, best, edge, oracle.Shape(step, steps, places))


@QUICKLY
@given(decimals(6, 2), decimals(6, 2), st.sampled_from([0.00002, 0.001, 0.07]))
def test_an_index_is_the_literal_formula(best: Decimal, price: Decimal, step: float) -> None:
    """int(abs(ln(best) - ln(price)) / step), the same for bids and asks."""
    one, other = float(best), float(price)
    literal = int(abs(math.log(one) - math.log(other)) / step)
    assert buckets.index(one, other, step) == buckets.index(other, one, step) == literal


@QUICKLY
@given(
    st.one_of(
        decimals(7, 8),
        decimals(8, 7),
        decimals(9, 6),
        decimals(11, 4),
        decimals(14, 1),
        decimals(15, 0),
        decimals(0, 8),
    )
)
@example(Decimal("0.00000001"))
@example(Decimal("11258999.06842624"))  # 2**50 units: where the second way begins
@example(Decimal("11258999.06842623"))
@example(Decimal("89048401.7592924"))  # float64 times 1e8 is another integer
@example(Decimal("14282070318.5278"))
@example(Decimal(999_999_999_999_999))
def test_a_float_gives_back_the_integer_that_was_written(value: Decimal) -> None:
    """Up to 15 digits and 8 decimals, times 1e8 is exact."""
    assert buckets.scaled(float(value)) == value.scaleb(8)


@pytest.mark.parametrize(
    ("amounts", "value"),
    [
        (["0.005"], 0.0),
        (["0.015"], 0.02),
        (["0.025"], 0.02),
        (["0.02500001"], 0.03),
        (["0.02499999"], 0.02),
        (["2.675"], 2.68),
        (["0.1", "0.2", "0.005"], 0.3),  # ties of a sum, not of its terms
        (["0.1", "0.2", "0.015"], 0.32),
        (["1.005"], 1.0),
    ],
)
def test_half_cents_go_to_the_even_cent(amounts: list[str], value: float) -> None:
    """At a price of 1 the sum of the amounts is the value; ties by decimal digits, not by binary neighbours."""
    levels = [(1.0 - number * 1e-8, float(amount)) for number, amount in enumerate(amounts)]
    exact = sum((Decimal(repr(price)) * Decimal(repr(amount)) for price, amount in levels), Decimal(0))
    if len(amounts) == 1:
        assert oracle.value(exact) == value
    assert buckets.values(levels, 1.0, Grid(1.0, 1), 1, 2) == (oracle.value(exact),)


def test_half_cents_of_large_amounts_are_ties_too() -> None:
    """1e11 units at a price of 1e-5: a float64 of the amount times 1e8 is no longer the integer."""
    for amount in range(98_765_000_500, 98_766_000_000, 10_000):
        [value] = buckets.values([(0.00001, float(amount))], 0.00001, Grid(1.0, 1), 1, 2)
        assert value == oracle.value(Decimal("0.00001") * amount)


@pytest.mark.parametrize(
    ("price", "amount", "value"),
    [
        ("0.5", "0.00000001", 0.0),
        ("0.5", "0.00000003", 2e-08),
        ("0.5", "0.00000005", 2e-08),
        ("0.50000001", "0.00000001", 1e-08),
        ("0.00001234", "98765432109", 1218765.43222506),
    ],
)
def test_a_quote_without_cents_has_eight_decimals(price: str, amount: str, value: float) -> None:
    """Half-even at 1e-8."""
    assert buckets.values([(float(price), float(amount))], float(price), Grid(1.0, 1), 1, 8) == (value,)


def test_a_value_is_whole_cents_divided_once() -> None:
    """A sum that no float can hold exactly is still the float nearest to its cents."""
    levels = [(0.00001999, float(11 * 10**10 - number)) for number in range(1000)]
    cents = round(sum(Fraction(1999, 10**8) * (11 * 10**10 - number) for number in range(1000)) * 100)
    assert buckets.values(levels, 0.00001999, Grid(), 1, 2)[0] == cents / 100


@pytest.mark.parametrize(
    ("edge", "known"),
    [(None, 4), (100.0, 0), (99.995, 0), (99.98, 2), (99.985, 1), (99.961, 3), (99.96, 4), (50.0, 4)],
)
def test_buckets_before_the_edge_prices_own_are_known(edge: float | None, known: int) -> None:
    """From best 100 with buckets of 0.0001: the edge's own bucket is not known, none is beyond `steps`."""
    grid = Grid(0.0001, 4)
    assert buckets.known(100.0, edge, grid) == known
    values = buckets.values([(100.0, 1.0), (99.9, 1.0)], 100.0, grid, known, 2)
    assert [value is None for value in values] == [False] * known + [True] * (4 - known)


@pytest.mark.parametrize("known", [1, 7, 40])
@pytest.mark.parametrize("side", [-1, 1])
def test_the_last_known_bucket_is_summed_to_its_very_end(known: int, side: int) -> None:
    """Of two neighbouring prices on the bucket's far end the nearer one counts and the other does not."""
    best, grid = 100_000.0, Grid(0.001, 40)
    price = best * math.exp(side * known * grid.step)
    while buckets.index(best, price, grid.step) < known:
        price = math.nextafter(price, side * math.inf)
    while buckets.index(best, price, grid.step) >= known:
        price = math.nextafter(price, best)
    levels = [(price, 1.0), (math.nextafter(price, side * math.inf), 1.0)]
    values = buckets.values(levels, best, grid, known, 2)
    assert values[known - 1] == pytest.approx(price, abs=0.01)
    assert sum(value for value in values if value) == values[known - 1]


@pytest.mark.parametrize("quote", ["USDT", "USDC", "FDUSD", "TUSD", "DAI", "USD", "EUR"])
def test_money_has_cents(quote: str) -> None:
    """The seven quotes of DESIGN."""
    assert buckets.places(quote) == 2


@pytest.mark.parametrize("quote", ["BTC", "ETH", "BNB", "TRY", "JPY", "usdt", ""])
def test_other_quotes_have_eight_decimals(quote: str) -> None:
    """Whatever is not listed."""
    assert buckets.places(quote) == 8
