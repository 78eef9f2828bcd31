"""The column `orderbook` as columns says what `snapshot.decode_book` says of each row alone."""

import json
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from depth import snapshot
from depth.arrow import books
from depth.epochs import Grid
from depth.errors import MalformedRow
from depth.record import Record
from depth.snapshot import OrderBook
from tests.archive import DAY
from tests.stored_rows import rows

GRID = Grid(0.00002, 3)
[ROW] = (replace(row, bid_buckets=(0.1, 2.5, None), ask_buckets=(1e15, 0.0, 7)) for row in rows(DAY, DAY + 1))
BOOK = json.loads(snapshot.encode(ROW).columns["orderbook"])

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def alone(record: Record) -> OrderBook | None:
    """Read one row the other way; None where it is malformed, or of another grid."""
    try:
        book = snapshot.decode_book(record.key, record.columns)
    except MalformedRow:
        return None
    return book if (book.step_pct, book.num_steps) == (GRID.step, GRID.steps) else None


def agree(text: str) -> None:
    """Read a row both ways."""
    record = Record(snapshot.encode(ROW).key, {"orderbook": text})
    book = alone(record)
    if book is None:
        with pytest.raises(MalformedRow):
            books.read([(ROW.epoch, record)], GRID)
        return
    columns = books.read([(ROW.epoch, record)], GRID)
    assert {name: column.to_pylist() for name, column in columns.items()} == {
        "best_bid": [book.best_bid],
        "best_ask": [book.best_ask],
        "bid_buckets": [[*book.bid_buckets]],
        "ask_buckets": [[*book.ask_buckets]],
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | st.floats(0, 1e60) | st.integers(0, 10**15), min_size=3, max_size=3))
def test_every_sum_of_money_is_the_same_number(side: list[float | None]) -> None:
    """To the last bit, known or not."""
    agree(json.dumps(BOOK | {"bid_buckets": side}, separators=(",", ":")))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*BOOK]), anything)
@example("bid_buckets", [1, 2, "3"])
@example("bid_buckets", ["null", 1, 2])
@example("bid_buckets", [1, [2], 3])
@example("bid_buckets", [[1, 2, 3]])
@example("bid_buckets", "1,2,3")
@example("bid_buckets", [True, 1, 2])
@example("bid_buckets", [-1, 1, 2])
@example("bid_buckets", [-0.0, 1, 2])
@example("bid_buckets", [1e61, 1, 2])
@example("bid_buckets", [10**400, 1, 2])
@example("bid_buckets", [])
@example("bid_buckets", {"a": 1, "b": 2, "c": 3})
@example("bid_buckets", None)
@example("best_bid", 0)
@example("best_ask", float("nan"))
@example("num_steps", 4)
@example("step_pct", 0.5)
@example("epoch", DAY + 1)
def test_what_is_no_book_is_malformed_both_ways(key: str, value: object) -> None:
    """Any JSON under any key of it, in the spelling with spaces of an older tool."""
    agree(json.dumps(BOOK | {key: value}))


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"epoch":' + "[" * 100_000, json.dumps(BOOK, indent=2)])
def test_any_text_is_read_the_same(text: str) -> None:
    """Torn, of another kind, or spread over lines."""
    agree(text)


def test_no_rows_are_no_books() -> None:
    """Columns of the right types."""
    columns = books.read([], GRID)
    assert {len(column) for column in columns.values()} == {0}
    assert columns["bid_buckets"].type.list_size == GRID.steps


def test_a_row_without_the_column_is_malformed() -> None:
    """It says nothing of the book."""
    with pytest.raises(MalformedRow, match="cannot be read"):
        books.read([(ROW.epoch, Record(snapshot.encode(ROW).key, {"price": "1"}))], GRID)
