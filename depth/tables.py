"""Names and columns of the stored tables, and what a table was begun with."""

import json
import math
import re
from dataclasses import dataclass

from depth.epochs import Grid
from depth.errors import MalformedRow, UsageError

FAMILY = "data"
DEPTH_COLUMNS = ("price", "orderbook", "timestamp", "event_time", "update_id", "covered", "collector")
COLLECTOR_COLUMNS = ("value",)
GAP_COLUMNS = (
    "start",
    "end",
    "missing",
    "cause",
    "detected_at",
    "opened_alert_at",
    "growing_alert_at",
    "resolved_at",
    "resolved_alert_at",
    "lost_at",
    "first_start",
)
HOURLY_COLUMNS = ("summary", "count", "covered", "coverage")
META_KEY = "_meta"

# https://cloud.google.com/bigtable/docs/reference/admin/rpc/google.bigtable.admin.v2#createtablerequest
_TABLE_ID = re.compile(r"[_a-zA-Z0-9][-_.a-zA-Z0-9]{0,49}")
_COLLECTORS = "_collectors"
_GAPS = "_gaps"
_HOURLY = "_hourly"
_COMPANIONS = {_COLLECTORS: COLLECTOR_COLUMNS, _GAPS: GAP_COLUMNS, _HOURLY: HOURLY_COLUMNS}


@dataclass(frozen=True, slots=True)
class TableMeta:
    """What a table was begun with, as its row `_meta` says; rows of another symbol, source or grid do not go into it.

    Attributes:
        symbol: ``BTC/USDT``.
        source: exchange and market, by the host.
        grid: what is sampled.
    """

    symbol: str
    source: str
    grid: Grid

    def text(self) -> str:
        """Write it for a person and for the `_meta` row alike."""
        grid = {"step": self.grid.step, "steps": self.grid.steps, "interval": self.grid.interval}
        return json.dumps({"symbol": self.symbol, "source": self.source, **grid}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> "TableMeta":
        """Read what `text` wrote.

        Raises:
            MalformedRow: it is something else.
        """
        try:
            meta = json.loads(text)
            grid = Grid(float(meta["step"]), int(meta["steps"]), int(meta["interval"]))
            begun = cls(str(meta["symbol"]), str(meta["source"]), grid)
            depth_table(begun.symbol)  # pages and reports show it: no text that could mean something there
        except (KeyError, ValueError, TypeError, OverflowError, RecursionError, UsageError) as error:
            raise MalformedRow(f"row {META_KEY} holds {text!r} ({error!r}): another program wrote it") from error
        if not (0 < grid.step < math.inf and grid.steps > 0 and grid.interval > 0):
            raise MalformedRow(f"row {META_KEY} holds {text!r}, which samples nothing: another program wrote it")
        return begun


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
    if not (base and quote) or not _TABLE_ID.fullmatch(table + _COLLECTORS):
        raise UsageError(f"symbol {symbol} gives the table name {table}, which Bigtable cannot hold: choose another")
    if table.endswith(tuple(_COMPANIONS)):
        raise UsageError(f"table {table} would stand in for another's companion: choose another --table-suffix")
    return table


def gaps_table(table: str) -> str:
    """Name the companion that holds the gap ledger."""
    return table + _GAPS


def hourly_table(table: str) -> str:
    """Name the companion that holds the summaries of whole hours."""
    return table + _HOURLY


def collectors_table(table: str) -> str:
    """Name the companion that holds `_meta`, presence and incidents."""
    return table + _COLLECTORS


def owner(table: str) -> str:
    """Name the depth table of a companion; a depth table is its own."""
    suffix = next((suffix for suffix in _COMPANIONS if table.endswith(suffix)), "")
    return table.removesuffix(suffix)


def columns(table: str) -> tuple[str, ...]:
    """Give the columns of a depth table or of a companion."""
    return next((names for suffix, names in _COMPANIONS.items() if table.endswith(suffix)), DEPTH_COLUMNS)
