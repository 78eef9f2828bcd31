"""Summaries of hours, held against the slow computation of `slow_summary` and against what always holds."""

import json
import math
import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import snapshot
from depth.capture import Capture
from depth.epochs import Grid
from depth.events import parse, parse_anchor
from depth.snapshot import Snapshot
from depth.summary import Summary, cost, summarise
from tests import oracle, recordings, slow_summary
from tests.replay import SHAPE, first_anchor_only

HOUR = 1_768_053_600
SYMBOL = "BTC/USDT"
QUICKLY = settings(max_examples=60, deadline=None)

EMPTY = (
    '{"symbol":"BTC/USDT","hour":1768053600,"count":0,"expected":3600,"coverage":0.0,'
    '"gaps":[[1768053600,1768057200]],"mid":{"open":null,"high":null,"low":null,"close":null},'
    '"realized_volatility":null,"spread_bps":{"mean":null,"p50":null,"p95":null,"max":null},'
    '"bid_depth":{"mean":null,"min":null,"p5":null,"p50":null,"p95":null},'
    '"ask_depth":{"mean":null,"min":null,"p5":null,"p50":null,"p95":null},'
    '"imbalance":{"mean":null,"p5":null,"p50":null,"p95":null},"bid_profile":[null,null],"ask_profile":[null,null],'
    '"cost_bps":{"buy":{"100000":null,"1000000":null},"sell":{"100000":null,"1000000":null}},"suspect":0}'
)


def row(second: int, bid: float = 99.5, ask: float = 100.5, **fields: Any) -> Snapshot:
    """Make the row of a second of the hour: mid 100, spread 100 bps, a million in each of two buckets."""
    made = Snapshot(
        symbol=SYMBOL,
        epoch=HOUR + second,
        best_bid=bid,
        best_ask=ask,
        bid_buckets=(1e6, 1e6),
        ask_buckets=(1e6, 1e6),
        step=0.001,
        timestamp=HOUR + second + 0.2,
        event_time=(HOUR + second) * 1000 - 7,
        update_id=second,
        collector="mine",
    )
    return replace(made, **fields)


def summed(rows: Iterable[Snapshot], suspects: Collection[int] = (), interval: int = 1) -> Summary:
    """Sum up rows of two buckets of 0.001."""
    return summarise(SYMBOL, HOUR, Grid(0.001, 2, interval), rows, suspects)


def slowly(
    rows: Mapping[int, Snapshot] | Mapping[int, oracle.OracleRow], hour: int, grid: Grid, suspects: Collection[int] = ()
) -> dict[str, Any]:
    """Sum up the same rows slowly, from their JSON alone."""
    books = {
        epoch: json.loads(
            row.orderbook if isinstance(row, oracle.OracleRow) else snapshot.encode(row).columns["orderbook"]
        )
        for epoch, row in rows.items()
    }
    return slow_summary.summary(SYMBOL, hour, grid.interval, grid.step, grid.steps, books, set(suspects))


def differences(fast: Any, slow: Any, path: str = "") -> list[str]:
    """List where a summary is not the slow one: keys and their order, counts exactly, other numbers to 12 digits."""
    if isinstance(slow, dict):
        if not isinstance(fast, dict) or list(fast) != list(slow):
            return [f"{path}: {fast} has not the keys {list(slow)}"]
        return [found for key in slow for found in differences(fast[key], slow[key], f"{path}.{key}")]
    if isinstance(slow, list):
        if not isinstance(fast, list) or len(fast) != len(slow):
            return [f"{path}: {fast} and not {slow}"]
        pairs = enumerate(zip(fast, slow, strict=True))
        return [found for i, (one, other) in pairs for found in differences(one, other, f"{path}[{i}]")]
    if isinstance(slow, Decimal):
        same = isinstance(fast, float) and math.isclose(fast, slow, rel_tol=1e-9, abs_tol=1e-13)
    else:
        same = type(fast) is type(slow) and fast == slow
    return [] if same else [f"{path}: {fast!r} and not {slow!r}"]


@cache
def captured() -> dict[int, Snapshot]:
    """Give the rows that the collector's own book makes of the 650 s recording."""
    recordings.require()
    recording = recordings.load(recordings.GOLDEN)
    capture = Capture(SYMBOL, Grid(), 2, "test", first_anchor_only())
    capture.opened("a")
    for number, frame in enumerate(recording.frames):
        received = (recording.received[number] or 0.0) / 1000
        capture.delivered("a", parse(frame), received, received)
        if number == 0:
            capture.anchored(parse_anchor(json.dumps(recording.snapshot)), "start", received)
    return {row.epoch: row for row in capture.rows}


@cache
def true() -> dict[int, oracle.OracleRow]:
    """Give the oracle's rows of the recording."""
    recording = recordings.load(recordings.GOLDEN)
    return oracle.rows(recording.events, recording.snapshot, SHAPE.step, SHAPE.steps)


@pytest.mark.parametrize("hour", [1_723_158_000, 1_723_161_600])
def test_the_recording_is_summed_up_as_slowly_by_the_oracle(hour: int) -> None:
    """Both hours that the 650 s touch: real rows through the real book, the oracle's rows through plain loops."""
    recordings.require()
    mine = [row for epoch, row in captured().items() if hour <= epoch < hour + 3600]
    summary = summarise(SYMBOL, hour, Grid(), mine)
    assert differences(summary, slowly(true(), hour, Grid())) == []
    assert summary["count"] == len(mine) > 100


def test_the_recording_has_what_makes_it_worth_it() -> None:
    """Rows that do not know all their bids, and a gap inside: the hour is no plain one."""
    rows = [row for epoch, row in captured().items() if epoch >= 1_723_161_600]
    known = {row.covered[0] for row in rows}
    assert min(known) < 40 <= max(known)
    summary = summarise(SYMBOL, 1_723_161_600, Grid(), rows)
    assert summary["bid_depth"]["p50"] is not None
    assert summary["cost_bps"]["buy"]["100000"] is not None


@pytest.mark.parametrize("interval", [1, 7])
def test_a_generated_hour_is_summed_up_as_slowly(interval: int) -> None:
    """Gaps at both ends and inside, rows that do not know all, suspect rows, a jump over a gap."""
    chance, grid = Random(7), Grid(0.00002, 40, interval)  # noqa: S311  # repeatable, not secret
    rows: dict[int, Snapshot] = {}
    price = 90_000.0
    for epoch in range(-(-HOUR // interval) * interval, HOUR + 3600, interval):
        price = round(price * math.exp(chance.gauss(0, 2e-5)), 2)
        if epoch < HOUR + 30 or HOUR + 1000 <= epoch < HOUR + 1100 or epoch > HOUR + 3550 or chance.random() < 0.01:
            continue
        sides = [
            tuple(
                round(chance.expovariate(1e-5), 2) if bucket < known else None
                for known in [chance.choice([40, 40, 40, 35, 0])]
                for bucket in range(40)
            )
            for _ in range(2)
        ]
        wide = chance.choice([0.01, 0.01, 0.5])
        rows[epoch] = replace(
            row(epoch - HOUR, price, round(price + wide, 2)),
            bid_buckets=sides[0],
            ask_buckets=sides[1],
            step=grid.step,
        )
    doubted = [epoch for epoch in rows if HOUR + 2000 <= epoch < HOUR + 2200 and chance.random() < 0.5]
    summary = summarise(SYMBOL, HOUR, grid, rows.values(), doubted)
    assert differences(summary, slowly(rows, HOUR, grid, doubted)) == []
    assert summary["suspect"] == len(doubted) > 5
    assert len(summary["gaps"]) > 3


def test_an_hour_without_rows_says_so() -> None:
    """Count 0, one gap, everything else null; and this is the stored text, key by key."""
    assert json.dumps(summed([]), separators=(",", ":")) == EMPTY


def test_one_row_is_open_and_close() -> None:
    """No return, quantiles of one value."""
    summary = summed([row(5)])
    assert summary["mid"] == {"open": 100.0, "high": 100.0, "low": 100.0, "close": 100.0}
    assert summary["realized_volatility"] is None
    assert summary["spread_bps"] == {"mean": 100.0, "p50": 100.0, "p95": 100.0, "max": 100.0}
    assert summary["bid_depth"] == {"mean": 2e6, "min": 2e6, "p5": 2e6, "p50": 2e6, "p95": 2e6}
    assert summary["imbalance"] == {"mean": 0.0, "p5": 0.0, "p50": 0.0, "p95": 0.0}
    assert summary["gaps"] == [[HOUR, HOUR + 5], [HOUR + 6, HOUR + 3600]]
    assert summary["coverage"] == 1 / 3600


def test_a_side_that_is_never_known_has_no_numbers() -> None:
    """Null is not zero: depth, imbalance, profile and cost of that side are null, the other side's are not."""
    summary = summed([row(second, bid_buckets=(None, None)) for second in range(10)])
    assert set(summary["bid_depth"].values()) == {None}
    assert set(summary["imbalance"].values()) == {None}
    assert summary["bid_profile"] == [None, None]
    assert summary["cost_bps"]["sell"] == {"100000": None, "1000000": None}
    assert summary["ask_depth"]["mean"] == 2e6
    assert summary["cost_bps"]["buy"] == {"100000": 55.0, "1000000": 55.0}


def test_a_bucket_counts_where_it_is_known() -> None:
    """The profile takes each bucket's own rows, the depth and the cost the whole rows alone."""
    summary = summed([row(0), row(1, ask_buckets=(5e6, None)), row(2, ask_buckets=(None, None))])
    assert summary["ask_profile"] == [3e6, 1e6]
    assert summary["ask_depth"]["mean"] == 2e6
    assert summary["cost_bps"]["buy"]["1000000"] == 55.0


def test_no_return_is_taken_across_a_gap() -> None:
    """The price doubles while nobody looks: that is no volatility."""
    quiet = [row(0), row(1, 99.6, 100.6), row(3, 199.5, 200.5), row(4, 199.5, 200.5)]
    assert summed(quiet)["realized_volatility"] == pytest.approx(math.log(100.1 / 100), rel=1e-12)


def test_volatility_is_the_root_of_the_summed_squares() -> None:
    """Up 1 % and back, not annualised, not averaged."""
    there_and_back = [row(0), row(1, 100.5, 101.5), row(2)]
    assert summed(there_and_back)["realized_volatility"] == pytest.approx(math.sqrt(2) * math.log(1.01), rel=1e-12)


def test_a_return_spans_one_interval() -> None:
    """With epochs 60 s apart, neighbours are 60 s apart."""
    summary = summed([row(0), row(60, 100.5, 101.5)], interval=60)
    assert summary["realized_volatility"] == pytest.approx(math.log(1.01), rel=1e-12)
    assert summary["expected"] == 60
    assert summary["gaps"] == [[HOUR + 120, HOUR + 3600]]


def test_gaps_end_on_the_grid() -> None:
    """An interval that does not divide the hour: the gap ends at the next epoch due, in the next hour."""
    first = -(-HOUR // 7) * 7
    summary = summarise(SYMBOL, HOUR, Grid(0.001, 2, 7), [row(first - HOUR)])
    assert summary["gaps"] == [[first + 7, first + 7 * summary["expected"]]]
    assert summary["gaps"][0][1] % 7 == 0


def test_an_hour_in_which_no_epoch_is_due_has_no_coverage() -> None:
    """One row a day: 23 hours of it expect nothing."""
    summary = summarise(SYMBOL, HOUR, Grid(0.001, 2, 86_400), [])
    assert (summary["count"], summary["expected"], summary["coverage"], summary["gaps"]) == (0, 0, None, [])


def test_a_row_without_money_has_no_imbalance() -> None:
    """Both sides round to zero cents: the quotient does not exist, the depth does."""
    summary = summed([row(0, bid_buckets=(0.0, 0.0), ask_buckets=(0.0, 0.0))])
    assert summary["imbalance"]["mean"] is None
    assert summary["bid_depth"]["mean"] == 0.0


def test_suspect_rows_are_counted_apart() -> None:
    """They are stored, so no gap; but no number is taken from them, and no return across them."""
    rows = [row(0), row(1, 49.5, 50.5), row(2, 99.6, 100.6)]
    summary = summed(rows, {HOUR + 1})
    assert (summary["count"], summary["suspect"]) == (3, 1)
    assert summary["gaps"] == [[HOUR + 3, HOUR + 3600]]
    assert summary["mid"]["low"] == 100.0
    assert summary["realized_volatility"] is None


def test_a_book_that_is_too_thin_has_no_cost() -> None:
    """900,000 rest there: an order of 100,000 has a price, one of a million has none."""
    costs = summed([row(0, ask_buckets=(5e5, 4e5))])["cost_bps"]
    assert costs["buy"] == {"100000": 55.0, "1000000": None}


def test_the_cost_of_an_order_by_hand() -> None:
    """60,000 at 5 bps and 40,000 at 15 bps from the best, which is 1 bps from the mid: 10 bps."""
    assert cost(100_000, [60_000.0, 80_000.0], 0.001, 2.0) == pytest.approx(10.0, rel=1e-12)


values = st.integers(0, 10**10).map(lambda cents: cents / 100)
sides = st.tuples(values, values) | st.tuples(values, st.none()) | st.just((None, None))
prices = st.integers(10**6, 10**9).map(lambda cents: cents / 100)


@st.composite
def hours(draw: st.DrawFn) -> list[Snapshot]:
    """Draw some rows of an hour."""
    return [
        row(second, bid, bid + draw(prices), bid_buckets=draw(sides), ask_buckets=draw(sides))
        for second in sorted(draw(st.sets(st.integers(0, 3599) | st.integers(0, 20), max_size=12)))
        for bid in [draw(prices)]
    ]


@QUICKLY
@given(hours())
def test_what_always_holds(rows: list[Snapshot]) -> None:
    """Order of the quantiles, ranges, gaps plus rows are the hour; JSON takes it, and so does the slow computation."""
    summary = summed(rows)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["count"] + sum(end - start for start, end in summary["gaps"]) == summary["expected"]
    for quantities in (summary["spread_bps"], summary["bid_depth"], summary["ask_depth"], summary["imbalance"]):
        ordered = [value for name, value in quantities.items() if name != "mean" and value is not None]
        assert ordered == sorted(ordered)  # type: ignore[type-var]
    if rows:
        low, opened, closed, high = (summary["mid"][key] for key in ("low", "open", "close", "high"))
        assert low <= min(opened, closed) <= max(opened, closed) <= high  # type: ignore[operator,type-var]
    assert all(value is None or -1 <= value <= 1 for value in summary["imbalance"].values())  # type: ignore[operator]
    for costs in summary["cost_bps"].values():
        small, large = costs["100000"], costs["1000000"]  # type: ignore[index]
        if large is not None:
            spread = summary["spread_bps"]["mean"]
            assert spread is not None
            assert spread / 2 <= small <= large * (1 + 1e-12)
    assert differences(summary, slowly({row.epoch: row for row in rows}, HOUR, Grid(0.001, 2))) == []


@QUICKLY
@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=50))
def test_quantiles_are_those_of_the_standard_library(cents: list[int]) -> None:
    """Linear interpolation, inclusive."""
    rows = [row(second, bid_buckets=(float(value), 0.0)) for second, value in enumerate(cents)]
    depth = summed(rows)["bid_depth"]
    cuts = statistics.quantiles(cents, n=100, method="inclusive")
    found = [depth["p5"], depth["p50"], depth["p95"]]
    assert found == [pytest.approx(cuts[percent - 1], rel=1e-12) for percent in (5, 50, 95)]


@QUICKLY
@given(hours(), st.integers(0, 3599))
def test_a_late_row_fills_its_gap_and_nothing_else(rows: list[Snapshot], late: int) -> None:
    """One row more, one missing second less; the spread's maximum never falls."""
    before = summed(rows)
    found = {row.epoch: row for row in [row(late), *rows]}
    after = summed(found[epoch] for epoch in sorted(found))
    filled = late not in {row.epoch - HOUR for row in rows}
    assert after["count"] == before["count"] + filled
    assert (after["spread_bps"]["max"] or 0) >= (before["spread_bps"]["max"] or 0)
