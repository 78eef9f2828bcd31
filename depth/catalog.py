"""Which tables a store holds, and what is sampled into them."""

from collections.abc import Collection
from dataclasses import dataclass

from depth import tables
from depth.epochs import Grid
from depth.errors import UsageError
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


async def collected(store: Store, symbols: Collection[str] = (), suffix: str | None = None) -> list[DepthTable]:
    """Find the tables of some symbols, all of which are there.

    Args:
        store: where to look.
        symbols: as for `find`.
        suffix: of ``--table-suffix``, "" for the usual tables; None for all.

    Returns:
        The tables by name.

    Raises:
        StoreUnavailable: no answer.
        StoreRefused: a person must act, for example a missing database file.
        MalformedRow: another program wrote a `_meta`.
        UsageError: a symbol has no such table; the text names those that are there.
    """
    there = set(await store.tables())
    found = await find(store, symbols)
    if suffix is not None:
        names = {tables.depth_table(table.symbol, suffix): table for table in found}
        begun = {table.name: table for table in found}
        found = [begun.get(name) or DepthTable(name, table.symbol, table.grid) for name, table in names.items()]
    for table in found:
        if table.name not in there:
            others = ", ".join(each.name for each in await find(store) if each.name in there)
            choice = f"there is {others}" if others else "start the collector once, or name another store"
            raise UsageError(f"{table.symbol} was never collected, there is no table {table.name}: {choice}")
    return found


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
