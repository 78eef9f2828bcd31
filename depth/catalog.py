"""Which tables a store holds, and what is sampled into them."""

from collections.abc import Collection
from dataclasses import dataclass

from depth import tables
from depth.epochs import Grid
from depth.storage.base import Store
from depth.tables import META_KEY, TableMeta

_DEFAULT_SYMBOL = "BTC/USDT"


@dataclass(frozen=True, slots=True)
class DepthTable:
    """One table of rows.

    Attributes:
        name: ``binance_btc_depth``.
        symbol: ``BTC/USDT``.
        grid: what is sampled into it.
    """

    name: str
    symbol: str
    grid: Grid


async def find(store: Store, symbols: Collection[str] = ()) -> list[DepthTable]:
    """Find the tables of some symbols.

    Args:
        store: where to look.
        symbols: ``BASE/QUOTE``; none for every table that a collector has begun, or BTC/USDT where none has.

    Returns:
        The tables by name, those with a suffix too. A symbol that has none gets its table's usual name and the usual
        grid: whoever reads it is told that it is missing.

    Raises:
        StoreUnavailable: no answer.
        StoreRefused: a person must act, for example a missing database file.
        MalformedRow: another program wrote a `_meta`.
        UsageError: a symbol that no table can have.
    """
    begun = await _begun(store)
    wanted = set(symbols) or {table.symbol for table in begun} or {_DEFAULT_SYMBOL}
    found = [table for table in begun if table.symbol in wanted]
    missing = wanted.difference(table.symbol for table in found)
    found += [DepthTable(tables.depth_table(symbol), symbol, Grid()) for symbol in missing]
    return sorted(found, key=lambda table: table.name)


async def _begun(store: Store) -> list[DepthTable]:
    names = set(await store.tables())
    found = []
    for name in sorted(names):
        if tables.collectors_table(name) in names:
            record = await store.get(tables.collectors_table(name), META_KEY)
            if record is not None:
                meta = TableMeta.parse(record.columns.get("value", ""))
                found.append(DepthTable(name, meta.symbol, meta.grid))
    return found
