"""A day by minutes, held against the same sums in plain Python."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from depth import snapshot
from depth.arrow.rows import Shape
from depth.epochs import Grid
from depth.gaps import Interval
from depth.report.day import Day, Minutes
from depth.snapshot import Snapshot
from tests.archive import DAY
from tests.stored_rows import SYMBOL, rows, shallow


def minutes(made: Sequence[Snapshot], grid: Grid | None = None, cut: int = 37, due: Interval | None = None) -> Minutes:
    """Take rows in small batches."""
    grid = grid or Grid()
    shape = Shape(SYMBOL, grid, None, fill_gaps=False)
    day = Day(DAY, grid)
    for begin in range(0, len(made), cut):
        found = [(row.epoch, snapshot.encode(row)) for row in made[begin : begin + cut]]
        day.add(shape.batch(found)[0])
    assert list(day.present()) == [row.epoch for row in made]
    return day.minutes(due or Interval(DAY, DAY + 86_400))


@pytest.mark.parametrize("cut", [1, 37, 1000])
def test_every_minute_is_a_mean_of_its_rows(cut: int) -> None:
    """However the rows are cut into batches."""
    made = [row for row in rows(DAY + 90, DAY + 250) if row.epoch % 7]
    found = minutes(made, cut=cut)
    assert (found.seconds, len(found.count)) == (60, 1440)
    assert found.bin_bps == pytest.approx(0.2)
    for slot in range(6):
        inside = [row for row in made if (row.epoch - DAY) // 60 == slot]
        assert found.count[slot] == len(inside)
        if not inside:
            assert math.isnan(found.mid[slot])
            assert np.isnan(found.bids[:, slot]).all()
            continue
        assert found.mid[slot] == pytest.approx(statistics.fmean(row.mid for row in inside), rel=1e-12)
        spreads = [10_000 * (row.best_ask - row.best_bid) / row.mid for row in inside]
        assert found.spread_bps[slot] == pytest.approx(statistics.fmean(spreads))
        totals = [(math.fsum(row.bid_buckets), math.fsum(row.ask_buckets)) for row in inside]  # type: ignore[arg-type]  # all known
        assert found.imbalance[slot] == pytest.approx(
            statistics.fmean((bid - ask) / (bid + ask) for bid, ask in totals)
        )
        for side, name in ((found.bids, "bid_buckets"), (found.asks, "ask_buckets")):
            for index in range(40):
                mean = statistics.fmean(getattr(row, name)[index] for row in inside)
                assert side[index, slot] == pytest.approx(mean)


def test_what_is_not_known_is_not_zero() -> None:
    """A bucket is a mean of the rows that know it; an imbalance of those that know all."""
    made = list(rows(DAY, DAY + 4))
    made[1:] = [shallow(row, 25) for row in made[1:]]
    found = minutes(made)
    assert found.bids[30, 0] == made[0].bid_buckets[30]
    assert found.bids[3, 0] == pytest.approx(statistics.fmean(row.bid_buckets[3] for row in made if row.bid_buckets[3] is not None))  # fmt: skip  # noqa: E501
    alone = minutes(made[:1])
    assert found.imbalance[0] == alone.imbalance[0]
    assert np.isnan(minutes(made[1:]).bids[30, 0])
    assert math.isnan(minutes(made[1:]).imbalance[0])


def test_money_lies_at_its_distance_from_the_mid() -> None:
    """A wide spread moves it outwards; between the best prices nothing is."""
    [row] = rows(DAY, DAY + 1)
    half = 3 * 0.00002
    wide = replace(row, best_bid=90_000 * math.exp(-half), best_ask=90_000 * math.exp(half))
    found = minutes([wide, replace(row, epoch=DAY + 60)])
    assert list(found.shift[:2]) == [3, 0]
    assert np.isnan(found.bids[:3, 0]).all()
    assert list(found.bids[3:, 0]) == list(wide.bid_buckets)
    assert list(found.asks[:40, 1]) == list(row.ask_buckets)
    assert np.isnan(found.asks[40:, 1]).all()


def test_many_buckets_become_forty_bins() -> None:
    """Neighbours are summed; one that is not known makes its bin so."""
    grid = Grid(steps=100)
    [row] = rows(DAY, DAY + 1)
    many = replace(row, bid_buckets=(1.0,) * 98 + (None,) * 2, ask_buckets=(2.0,) * 100)
    found = minutes([many], grid)
    assert found.bin_bps == pytest.approx(0.6)
    assert list(found.asks[:, 0]) == [6.0] * 33 + [2.0]
    assert list(found.bids[:32, 0]) == [3.0] * 32
    assert np.isnan(found.bids[32:, 0]).all()


@pytest.mark.parametrize(("interval", "seconds", "due"), [(1, 60, 60), (7, 60, 9), (60, 60, 1), (90, 120, 2), (3600, 3600, 1)])  # fmt: skip  # noqa: E501
def test_a_slot_holds_at_least_an_epoch(interval: int, seconds: int, due: int) -> None:
    """Minutes, or as many of them as an interval takes."""
    found = minutes([], Grid(interval=interval))
    assert found.seconds == seconds
    assert found.due.max() == due
    assert found.due.min() >= 1
    assert found.due.sum() == len([epoch for epoch in range(DAY, DAY + 86_400) if epoch % interval == 0])


def test_only_what_is_due_is_expected() -> None:
    """Before the first row, and after what is settled, nothing."""
    found = minutes(list(rows(DAY + 90, DAY + 100)), due=Interval(DAY + 90, DAY + 130))
    assert list(found.due[:4]) == [0, 30, 10, 0]
    assert found.due.sum() == 40
