"""Rows as Tardis' order book snapshots."""

import csv
import gzip
import math
from dataclasses import replace
from pathlib import Path

import pytest

from depth import snapshot
from depth.arrow.rows import Shape
from depth.epochs import Grid
from depth.export.formats import FORMATS
from depth.snapshot import Snapshot
from tests.archive import DAY
from tests.stored_rows import SYMBOL, rows

[ROW] = rows(DAY, DAY + 1)


def written(folder: Path, made: list[Snapshot], grid: Grid | None = None) -> list[dict[str, str]]:
    """Write rows and read the file as text."""
    grid = grid or Grid()
    shape = Shape(SYMBOL, grid, None, fill_gaps=False)
    writer = FORMATS["tardis"].open(folder / "file", shape.schema, SYMBOL, grid)
    writer.write(shape.batch([(row.epoch, snapshot.encode(row)) for row in made])[0])
    writer.close()
    with gzip.open(folder / "file", "rt") as file:
        return list(csv.DictReader(file))


def test_the_columns_are_those_of_a_book_snapshot(tmp_path: Path) -> None:
    """In Tardis' order; times in µs, the epoch and when it was received."""
    [found] = written(tmp_path, [ROW])
    levels = [f"{side}[{i}].{what}" for i in range(25) for side in ("asks", "bids") for what in ("price", "amount")]
    assert list(found) == ["exchange", "symbol", "timestamp", "local_timestamp", *levels]
    assert list(found.values())[:4] == ["binance", "BTCUSDT", f"{DAY}000000", f"{DAY}250000"]


def test_levels_stand_for_buckets(tmp_path: Path) -> None:
    """The first at the best price itself, each a step further out; price times amount is the bucket's money."""
    [found] = written(tmp_path, [ROW])
    for side, best, sign, money in (("bids", ROW.best_bid, -1, ROW.bid_buckets), ("asks", ROW.best_ask, 1, ROW.ask_buckets)):  # fmt: skip  # noqa: E501
        prices = [float(found[f"{side}[{i}].price"]) for i in range(25)]
        assert prices[0] == best
        assert prices == pytest.approx([best * math.exp(sign * i * 0.00002) for i in range(25)], rel=1e-10)
        amounts = [float(found[f"{side}[{i}].amount"]) for i in range(25)]
        assert [price * amount for price, amount in zip(prices, amounts, strict=True)] == pytest.approx(
            money[:25], abs=0.001
        )


def test_not_known_is_empty_and_nothing_is_zero(tmp_path: Path) -> None:
    """The two never look the same; a missing second has no row."""
    [row, later] = replace(ROW, bid_buckets=(7.0, 0.0) + (None,) * 38), replace(ROW, epoch=DAY + 5)
    found, last = written(tmp_path, [row, later])
    assert (found["bids[1].price"], found["bids[1].amount"]) == ("90006.18986", "0")
    assert (found["bids[2].price"], found["bids[2].amount"]) == ("", "")
    assert last["timestamp"] == f"{DAY + 5}000000"


def test_a_coin_of_tiny_price_keeps_its_digits(tmp_path: Path) -> None:
    """Ten of them."""
    coin = replace(ROW, best_bid=0.00001234, best_ask=0.00001235)
    [found] = written(tmp_path, [coin])
    assert (float(found["bids[0].price"]), float(found["asks[0].price"])) == (0.00001234, 0.00001235)
    assert float(found["bids[24].price"]) == pytest.approx(0.00001234 * math.exp(-24 * 0.00002), rel=1e-10)
    amount = float(found["bids[0].amount"])
    assert amount * 0.00001234 == pytest.approx(ROW.bid_buckets[0])


def test_fewer_buckets_leave_levels_empty(tmp_path: Path) -> None:
    """The format has 25, whatever the grid has."""
    few = replace(ROW, bid_buckets=ROW.bid_buckets[:3], ask_buckets=ROW.ask_buckets[:3])
    [found] = written(tmp_path, [few], Grid(steps=3))
    assert [found[f"asks[{i}].price"] != "" for i in range(25)] == [True] * 3 + [False] * 22


def test_a_row_without_a_time_of_receipt_has_its_own(tmp_path: Path) -> None:
    """As Tardis does with exchanges that send none."""
    record = snapshot.encode(ROW)
    shape = Shape(SYMBOL, Grid(), None, fill_gaps=False)
    columns = {name: text for name, text in record.columns.items() if name != "timestamp"}
    writer = FORMATS["tardis"].open(tmp_path / "file", shape.schema, SYMBOL, Grid())
    writer.write(shape.batch([(DAY, replace(record, columns=columns))])[0])
    writer.close()
    with gzip.open(tmp_path / "file", "rt") as file:
        [found] = csv.DictReader(file)
    assert found["local_timestamp"] == f"{DAY}000000"
