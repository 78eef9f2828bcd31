"""Names and columns of the stored tables."""

import re

from depth.errors import UsageError

FAMILY = "data"
DEPTH_COLUMNS = ("price", "orderbook", "timestamp", "event_time", "update_id", "covered", "collector")
COLLECTOR_COLUMNS = ("value",)

# https://cloud.google.com/bigtable/docs/reference/admin/rpc/google.bigtable.admin.v2#createtablerequest
_TABLE_ID = re.compile(r"[_a-zA-Z0-9][-_.a-zA-Z0-9]{0,49}")
_COLLECTORS = "_collectors"


def depth_table(symbol: str, suffix: str = "") -> str:
    """Name the table of one symbol.

    Args:
        symbol: ``BASE/QUOTE``.
        suffix: of ``--table-suffix``; starts another table for other parameters.

    Returns:
        ``binance_btc_depth`` for BTC/USDT, ``binance_btcusdc_depth`` for BTC/USDC.

    Raises:
        UsageError: Bigtable cannot hold the name.
    """
    base, _, quote = symbol.partition("/")
    market = base if quote == "USDT" else base + quote
    table = f"binance_{market.lower()}_depth{suffix}"
    if not quote or not _TABLE_ID.fullmatch(table + _COLLECTORS):
        raise UsageError(f"symbol {symbol} gives the table name {table}, which Bigtable cannot hold: choose another")
    return table


def collectors_table(table: str) -> str:
    """Name the companion that holds `_meta`, presence and incidents."""
    return table + _COLLECTORS


def columns(table: str) -> tuple[str, ...]:
    """Give the columns of a depth table or of its companion."""
    return COLLECTOR_COLUMNS if table.endswith(_COLLECTORS) else DEPTH_COLUMNS
