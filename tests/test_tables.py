"""Names of tables and their columns."""

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from depth import tables
from depth.epochs import Grid
from depth.errors import MalformedRow, UsageError
from depth.snapshot import Snapshot, encode
from depth.tables import TableMeta

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def damaged(key: str, value: object) -> str:
    """Write a good beginning with one other value."""
    return json.dumps(json.loads(TableMeta("BTC/USDT", "binance", Grid()).text()) | {key: value})


@pytest.mark.parametrize(
    ("symbol", "suffix", "table"),
    [
        ("BTC/USDT", "", "binance_btc_depth"),
        ("ETH/USDT", "", "binance_eth_depth"),
        ("BTC/USDC", "", "binance_btcusdc_depth"),
        ("ETH/BTC", "", "binance_ethbtc_depth"),
        ("1000SATS/USDT", "", "binance_1000sats_depth"),
        ("BTC/USDT", "_5s", "binance_btc_depth_5s"),
    ],
)
def test_a_symbol_names_its_table(symbol: str, suffix: str, table: str) -> None:
    """The base alone for USDT, base and quote for others; the suffix makes another table."""
    assert tables.depth_table(symbol, suffix) == table


@pytest.mark.parametrize(
    "symbol", ["币安人生/USDT", "BTC", "BTC/", "/USDT", "", "B TC/USDT", "A" * 40 + "/USDT", "BTC/USDT\n"]
)
def test_a_name_that_bigtable_cannot_hold_is_a_usage_error(symbol: str) -> None:
    """In the table or in its companions, which have longer names; the message names the symbol."""
    with pytest.raises(UsageError, match=f"symbol {symbol}"):
        tables.depth_table(symbol)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=45), st.text(max_size=8))
def test_whatever_is_accepted_bigtable_can_hold(base: str, suffix: str) -> None:
    """1 to 50 of letters, digits, dot, dash and underscore, for the longest companion too."""
    try:
        table = tables.collectors_table(tables.depth_table(f"{base}/USDT", suffix))
    except UsageError:
        return
    assert len(table) <= 50
    assert table.isascii()
    assert all(letter.isalnum() or letter in "._-" for letter in table)


def test_the_columns_are_those_that_a_row_has() -> None:
    """What ensure_table makes is what encode writes, in DESIGN's order."""
    row = Snapshot("BTC/USDT", 1, 1.0, 2.0, (1.0,), (1.0,), 0.1, 1.0, 1000, 1, "c")
    assert tables.columns(tables.depth_table("BTC/USDT")) == tuple(encode(row).columns)
    assert tables.columns(tables.collectors_table(tables.depth_table("BTC/USDT"))) == ("value",)


@pytest.mark.parametrize("suffix", ["_hourly", "_gaps", "_collectors", "_x_hourly"])
def test_no_table_stands_in_for_another_s_companion(suffix: str) -> None:
    """--table-suffix _hourly would write rows among the summaries."""
    with pytest.raises(UsageError, match="choose another --table-suffix"):
        tables.depth_table("BTC/USDT", suffix)


@pytest.mark.parametrize(
    ("companion", "columns"),
    [
        (tables.hourly_table, "summary count covered coverage"),
        (tables.collectors_table, "value"),
        (
            tables.gaps_table,
            (
                "start end missing cause detected_at opened_alert_at growing_alert_at resolved_at "
                "resolved_alert_at lost_at first_start"
            ),
        ),
    ],
)
def test_a_companion_has_columns_of_its_own(companion: Callable[[str], str], columns: str) -> None:
    """Those of DESIGN 5."""
    assert tables.columns(companion("binance_btc_depth")) == tuple(columns.split())


def test_what_a_table_was_begun_with_comes_back() -> None:
    """As text for a person and for the row alike."""
    meta = TableMeta("BTC/USDT", "binance", Grid(0.00002, 40, 5))
    assert meta.text() == '{"symbol":"BTC/USDT","source":"binance","step":2e-05,"steps":40,"interval":5}'
    assert TableMeta.parse(meta.text()) == meta


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"symbol":1,"source":2,"step":"x","steps":1,"interval":1}'])
def test_what_is_no_beginning_is_malformed(text: str) -> None:
    """Another program's row."""
    with pytest.raises(MalformedRow, match="row _meta holds"):
        TableMeta.parse(text)


@pytest.mark.parametrize("symbol", ["", "BTC", "A|B/USDT", "BTC/<img src=x>", "`/USDT", "BTC/USDT\n"])
def test_a_beginning_names_a_symbol_that_a_table_can_have(symbol: str) -> None:
    """Reports show it: whoever can write the store writes nothing else into them."""
    with pytest.raises(MalformedRow, match="row _meta holds"):
        TableMeta.parse(TableMeta(symbol, "binance", Grid()).text())


@settings(max_examples=100, deadline=None)
@given(
    st.text() | anything.map(json.dumps) | st.builds(damaged, st.sampled_from(["step", "steps", "interval"]), anything)
)
@example(damaged("steps", float("inf")))
@example(damaged("step", 10**400))
def test_any_text_is_a_beginning_or_malformed(text: str) -> None:
    """No other exception, and what is accepted can be written again."""
    try:
        meta = TableMeta.parse(text)
    except MalformedRow:
        return
    assert TableMeta.parse(meta.text()) == meta
