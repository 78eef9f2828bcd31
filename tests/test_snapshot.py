"""One stored second: the bytes that DESIGN 5 promises, and what they give back."""

import json
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from depth import rowkey
from depth.errors import MalformedRow
from depth.record import Record
from depth.snapshot import Snapshot, decode, encode, line

QUICKLY = settings(max_examples=100, deadline=None)

ROW = Snapshot(
    symbol="BTC/USDT",
    epoch=1768054365,
    best_bid=90538.46,
    best_ask=90538.47,
    bid_buckets=(1_500_000.5, 0.0, None),
    ask_buckets=(2_000_000.25, None, None),
    step=0.00002,
    timestamp=1768054365.25,
    event_time=1768054364999,
    update_id=50093239218,
    collector="here-1",
)

prices = st.floats(1e-8, 1e15)
values = st.integers(0, 10**13).map(lambda cents: cents / 100)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def side(steps: int) -> st.SearchStrategy[tuple[float | None, ...]]:
    """Draw one side: known buckets first."""
    return st.integers(0, steps).flatmap(
        lambda known: st.lists(values, min_size=known, max_size=known).map(
            lambda drawn: (*drawn, *(None,) * (steps - known))
        )
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Draw any row of BTC/USDT."""
    steps = draw(st.integers(1, 40))
    return Snapshot(
        symbol="BTC/USDT",
        epoch=draw(st.integers(0, 9_999_999_999)),
        best_bid=draw(prices),
        best_ask=draw(prices),
        bid_buckets=draw(side(steps)),
        ask_buckets=draw(side(steps)),
        step=draw(st.floats(1e-9, 1.0)),
        timestamp=draw(st.floats(0, 1e10)),
        event_time=draw(st.integers(0, 10**13)),
        update_id=draw(st.integers(0, 2**63 - 1)),
        collector=draw(st.text(max_size=10)),
    )


def version(epoch: int, bids: int, asks: int, steps: int = 40) -> int:
    """Give the version of a row with so many known buckets."""
    known = [(0.0,) * count + (None,) * (steps - count) for count in (bids, asks)]
    stored = encode(replace(ROW, epoch=epoch, bid_buckets=known[0], ask_buckets=known[1])).version
    assert stored is not None
    return stored


@QUICKLY
@given(snapshots())
def test_a_row_comes_back_as_it_went_in(snapshot: Snapshot) -> None:
    """Decode is the inverse of encode, to the last bit."""
    record = encode(snapshot)
    assert decode(record.key, record.columns, "BTC/USDT") == snapshot


def test_the_text_of_every_column() -> None:
    """Columns, their order, the JSON's keys and its spaces: exactly DESIGN 5."""
    record = encode(ROW)
    assert list(record.columns.items()) == [
        ("price", "90538.465"),
        (
            "orderbook",
            (
                '{"epoch":1768054365,"bid_buckets":[1500000.5,0.0,null],"ask_buckets":[2000000.25,null,null],'
                '"best_bid":90538.46,"best_ask":90538.47,"step_pct":2e-05,"num_steps":3}'
            ),
        ),
        ("timestamp", "1768054365.25"),
        ("event_time", "1768054364999"),
        ("update_id", "50093239218"),
        ("covered", "2,1"),
        ("collector", "here-1"),
    ]
    assert record.key == "8231945634#BTCUSDT"


@QUICKLY
@given(snapshots())
def test_the_columns_are_what_design_says(snapshot: Snapshot) -> None:
    """Price by repr of the mid, compact JSON in one order of keys, covered as the known buckets of each side."""
    columns = encode(snapshot).columns
    assert columns["price"] == repr((snapshot.best_bid + snapshot.best_ask) / 2)
    book = {
        "epoch": snapshot.epoch,
        "bid_buckets": list(snapshot.bid_buckets),
        "ask_buckets": list(snapshot.ask_buckets),
        "best_bid": snapshot.best_bid,
        "best_ask": snapshot.best_ask,
        "step_pct": snapshot.step,
        "num_steps": len(snapshot.bid_buckets),
    }
    assert columns["orderbook"] == json.dumps(book, separators=(",", ":"))
    known = [sum(value is not None for value in values) for values in (snapshot.bid_buckets, snapshot.ask_buckets)]
    assert columns["covered"] == "{},{}".format(*known)


@pytest.mark.parametrize(
    ("bid", "ask", "price"),
    [(0.00001234, 0.00001236, "1.235e-05"), (1e-8, 1e-8, "1e-08"), (0.1, 0.2, "0.15000000000000002"), (1, 2, "1.5")],
)
def test_a_price_may_have_an_exponent(bid: float, ask: float, price: str) -> None:
    """Repr of a float is the format, whatever it looks like."""
    record = encode(replace(ROW, best_bid=bid, best_ask=ask))
    assert record.columns["price"] == price
    assert decode(record.key, record.columns, "BTC/USDT").mid == float(price)


@QUICKLY
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 9_999_999_998))
def test_a_row_that_knows_more_has_the_higher_version(
    bids: int, asks: int, other_bids: int, other_asks: int, epoch: int
) -> None:
    """Within one second by known buckets, and never as high as the next second's."""
    one, other = version(epoch, bids, asks), version(epoch, other_bids, other_asks)
    assert (one < other) == (bids + asks < other_bids + other_asks)
    assert one < version(epoch + 1, 0, 0)


def test_a_version_is_whole_milliseconds_of_the_epoch() -> None:
    """The formula of DESIGN 5; Bigtable takes whole ms alone."""
    assert [version(7, known, 0) for known in (0, 1, 40)] == [7_000_000, 7_012_000, 7_499_000]
    assert version(7, 40, 40) == 7_999_000


@QUICKLY
@given(st.integers(1, 499), st.integers(0, 1000))
def test_up_to_499_buckets_one_more_always_counts(steps: int, known: int) -> None:
    """999 ranks hold 2*499 buckets; beyond, rows that know nearly the same may be equal."""
    known %= 2 * steps
    counts = [divmod(total, 2) for total in (known, known + 1)]
    lower, higher = (version(1, half + rest, half, steps) for half, rest in counts)
    assert lower < higher


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from([*encode(ROW).columns]),
    anything.map(json.dumps) | st.text() | st.sampled_from(["nan", "inf", "-inf", "1e999", "9" * 5000, ""]),
)
@example("orderbook", '{"epoch":' + "[" * 100_000)
def test_a_damaged_column_is_malformed_or_still_a_row(column: str, text: str) -> None:
    """Any text in any column: MalformedRow and no other exception, or a row that could be written again."""
    readable_or_malformed(encode(ROW).key, {**encode(ROW).columns, column: text})


@settings(max_examples=120, deadline=None)
@given(st.sampled_from([*json.loads(encode(ROW).columns["orderbook"])]), anything)
@example("best_bid", float("nan"))
@example("best_ask", float("inf"))
@example("best_bid", "Infinity")
@example("step_pct", float("-inf"))
@example("bid_buckets", [float("nan"), 1, 2])
@example("bid_buckets", [10**400, 1, 2])
@example("bid_buckets", [True, 1, 2])
@example("bid_buckets", {"a": 1, "b": 2, "c": 3})
@example("bid_buckets", "123")
@example("epoch", 1e308)
@example("num_steps", 4)
def test_a_damaged_order_book_is_malformed_or_still_a_row(key: str, value: object) -> None:
    """Any JSON under any key of it."""
    book = json.loads(encode(ROW).columns["orderbook"]) | {key: value}
    readable_or_malformed(encode(ROW).key, {**encode(ROW).columns, "orderbook": json.dumps(book)})


@QUICKLY
@given(st.text(), st.dictionaries(st.sampled_from([*encode(ROW).columns]) | st.text(), st.text()))
def test_a_foreign_row_is_malformed(key: str, columns: dict[str, str]) -> None:
    """Any key, any columns."""
    readable_or_malformed(key, columns)


def readable_or_malformed(key: str, columns: dict[str, str]) -> None:
    """Decode; what is accepted can be encoded and shown."""
    try:
        snapshot = decode(key, columns, "BTC/USDT")
    except MalformedRow:
        return
    assert isinstance(encode(snapshot), Record)
    assert line(snapshot)


@pytest.mark.parametrize("column", [name for name in encode(ROW).columns if name not in {"price", "covered"}])
def test_a_row_without_a_column_is_malformed(column: str) -> None:
    """All that cannot be worked out from the rest must be there."""
    columns = {name: text for name, text in encode(ROW).columns.items() if name != column}
    with pytest.raises(MalformedRow, match="cannot be read"):
        decode(encode(ROW).key, columns, "BTC/USDT")


@pytest.mark.parametrize(
    "book",
    [
        {"epoch": ROW.epoch + 1},
        {"num_steps": 2},
        {"bid_buckets": [1.0]},
        {"bid_buckets": [], "ask_buckets": []},
        {"num_steps": 0, "bid_buckets": [], "ask_buckets": []},
    ],
)
def test_a_row_that_contradicts_itself_is_malformed(book: dict[str, object]) -> None:
    """The key's epoch against the JSON's, the sides against num_steps."""
    columns = {**encode(ROW).columns}
    columns["orderbook"] = json.dumps(json.loads(columns["orderbook"]) | book)
    with pytest.raises(MalformedRow, match="contradicts itself"):
        decode(encode(ROW).key, columns, "BTC/USDT")


def test_bytes_of_a_row_read_under_another_key_are_malformed() -> None:
    """A row that stands under a wrong second is not believed."""
    with pytest.raises(MalformedRow, match="contradicts itself"):
        decode(rowkey.encode(ROW.epoch + 1, "BTC/USDT"), encode(ROW).columns, "BTC/USDT")


def test_the_log_line_is_the_originals() -> None:
    """The README's line, to the letter."""
    full = replace(ROW, bid_buckets=(8_000_000.0, 500_000.0), ask_buckets=(6_000_000.0, 49_999.99))
    assert line(full) == (
        "[14:12:45] (0.25s) | BTC/USDT $90,538.46/$90,538.47 | spread: 0.0bps | bids: $8.5M | asks: $6.0M | "
        "epoch: 1768054365"
    )


def test_the_log_line_says_where_a_sum_is_not_all() -> None:
    """A + behind a side with unknown buckets; 8 decimals below 1; a receive time before the epoch."""
    small = replace(ROW, symbol="SHIB/USDT", best_bid=0.00001234, best_ask=0.00001235, timestamp=ROW.epoch - 1.3)
    assert line(small) == (
        "[14:12:45] (-1.30s) | SHIB/USDT $0.00001234/$0.00001235 | spread: 8.1bps | bids: $1.5M+ | asks: $2.0M+ | "
        "epoch: 1768054365"
    )
