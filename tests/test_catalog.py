"""Which tables there are; every test runs on SQLite and on the Bigtable emulator."""

import pytest

from depth import catalog, tables
from depth.catalog import DepthTable
from depth.epochs import Grid
from depth.errors import MalformedRow
from depth.record import Record
from depth.storage.base import Store
from depth.tables import META_KEY, TableMeta

COARSE = Grid(0.001, 10, 5)


async def begin(store: Store, symbol: str, grid: Grid, suffix: str = "") -> str:
    """Leave what a collector leaves at its start."""
    name = tables.depth_table(symbol, suffix)
    for table in (name, tables.collectors_table(name)):
        await store.ensure_table(table, tables.columns(table))
    meta = TableMeta(symbol, "binance", grid)
    await store.create(tables.collectors_table(name), Record(META_KEY, {"value": meta.text()}))
    return name


async def test_every_table_that_was_begun_is_found(store: Store) -> None:
    """Whatever its quote and its suffix; other tables are not ours."""
    await begin(store, "BTC/USDC", Grid())
    await begin(store, "BTC/USDT", Grid())
    await begin(store, "BTC/USDT", COARSE, "_5s")
    await store.ensure_table("binance_eth_depth", tables.DEPTH_COLUMNS)
    await store.ensure_table("another_collectors", ("value",))
    assert await catalog.find(store) == [
        DepthTable("binance_btc_depth", "BTC/USDT", Grid()),
        DepthTable("binance_btc_depth_5s", "BTC/USDT", COARSE),
        DepthTable("binance_btcusdc_depth", "BTC/USDC", Grid()),
    ]


async def test_symbols_choose_their_tables(store: Store) -> None:
    """All of them; one that was never collected gets the name that its table would have."""
    await begin(store, "BTC/USDC", Grid())
    await begin(store, "BTC/USDT", COARSE, "_5s")
    assert await catalog.find(store, ["BTC/USDT", "ETH/BTC"]) == [
        DepthTable("binance_btc_depth_5s", "BTC/USDT", COARSE),
        DepthTable("binance_ethbtc_depth", "ETH/BTC", Grid()),
    ]


async def test_where_nothing_was_begun_bitcoin_is_meant(store: Store) -> None:
    """Whoever reads it is told that it is missing."""
    await store.ensure_table("another", ("value",))
    assert await catalog.find(store) == [DepthTable("binance_btc_depth", "BTC/USDT", Grid())]


async def test_what_another_program_wrote_is_no_table_of_ours(store: Store) -> None:
    """It is said, not guessed."""
    name = await begin(store, "BTC/USDT", Grid())
    await store.write(tables.collectors_table(name), [Record(META_KEY, {"value": '{"step":1}'})])
    with pytest.raises(MalformedRow, match="row _meta holds"):
        await catalog.find(store)
