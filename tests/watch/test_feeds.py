"""What a store tells, while it is written, while it is away, and when it is back; on both backends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from depth import presence, tables
from depth.epochs import GRACE_SECONDS
from depth.errors import StoreRefused, UsageError
from depth.presence import Presence
from depth.storage.base import Store
from depth.storage.open import StoreOptions, open_store
from depth.storage.spool import Spool
from depth.watch.feeds import Place, StoreFeed
from depth.watch.view import Spool as SpoolView
from tests import archive, emulator
from tests.stored_rows import SYMBOL, TABLE, rows, store_rows

NOW = 1_768_003_200


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(options: StoreOptions) -> AsyncIterator[Store]:
    store = open_store(options)
    try:
        yield store
    finally:
        await store.close()


def sqlite(folder: Path) -> StoreOptions:
    return StoreOptions("sqlite", folder / "depth.db")


def place(options: StoreOptions, folder: Path) -> Place:
    return Place(options, folder / "spool.db")


async def follow(options: StoreOptions, folder: Path) -> None:
    """A collector that begins, goes on, leaves a gap, and is gone; the same on every store."""
    clock = Clock()
    async with opened(options) as writer, opened(options) as store:
        await store_rows(writer, [])
        await archive.begin(writer)
        feed = StoreFeed(store, place(options, folder), SYMBOL, clock=clock)
        empty = await feed.look()
        assert (empty.row, empty.rows, empty.coverage.due) == (None, (), 0)
        assert empty.note(NOW) == "no row is stored yet: is a collector running?"

        await store_rows(writer, rows(NOW - 50, NOW))
        run = Presence("mine", "g", NOW - 60, "chained", NOW + 1.0, spool_count=3)
        await writer.write(tables.collectors_table(TABLE.name), [presence.encode(run)])
        clock.now = NOW + 6
        view = await feed.look()
        assert view.row == next(iter(rows(NOW - 1, NOW)))
        assert [row.epoch for row in view.rows] == [NOW - 1]
        assert view.runs == (run,)
        assert (view.coverage.present, view.coverage.due) == (50, 50)

        await store_rows(writer, rows(NOW + 10, NOW + 20))
        clock.now = NOW + 20
        view = await feed.look()
        assert [row.epoch for row in view.rows] == list(range(NOW + 10, NOW + 20))
        assert (view.coverage.present, view.coverage.due) == (60, 70)
        assert (await feed.look()).rows == ()

        await store_rows(writer, rows(NOW, NOW + 10))
        view = await feed.look()
        assert view.coverage.share == 1
        assert view.row is not None
        assert view.row.epoch == NOW + 19

        clock.now = NOW + 20 + GRACE_SECONDS + 70
        view = await feed.look()
        assert (view.coverage.present, view.coverage.due) == (70, 140)
        assert "no new row since 2026-01-10T00:00:19Z" in (view.note(clock.now) or "")


async def test_a_sqlite_file_is_followed(tmp_path: Path) -> None:
    await follow(sqlite(tmp_path), tmp_path)


@pytest.mark.alone
async def test_bigtable_is_followed(tmp_path: Path) -> None:
    """On its emulator; a project of its own."""
    with emulator.running() as host:
        options = StoreOptions("bigtable", tmp_path, f"p-{uuid4().hex[:8]}", "i", emulator_host=host)
        await follow(options, tmp_path)


async def test_rows_before_the_hour_make_the_whole_hour_due(tmp_path: Path) -> None:
    """A collector that began two hours ago and lost the last thirty minutes but one."""
    options = sqlite(tmp_path)
    async with opened(options) as store:
        await archive.fill(store, [*rows(NOW - 4000, NOW - 1800), *rows(NOW - 60, NOW)])
        view = await StoreFeed(store, place(options, tmp_path), SYMBOL, clock=Clock()).look()
    assert view.coverage.due == 3600
    assert view.coverage.present == 1800 + 60


async def test_a_store_that_goes_away_comes_back(tmp_path: Path) -> None:
    """What was seen stays, one line says why, and the next look finds it."""
    options, away = sqlite(tmp_path), tmp_path / "away.db"
    async with opened(options) as writer:
        await archive.fill(writer, rows(NOW - 50, NOW))
    async with opened(options) as store:
        feed = StoreFeed(store, place(options, tmp_path), SYMBOL, clock=Clock())
        well = await feed.look()
        options.sqlite_path.rename(away)
        gone = await feed.look()
        assert gone.row == well.row
        assert gone.rows == ()
        assert gone.note(NOW) == gone.trouble
        assert f"no database {options.sqlite_path}" in (gone.trouble or "")
        assert "\n" not in (gone.trouble or "")
        away.rename(options.sqlite_path)
        back = await feed.look()
    assert back.trouble is None
    assert back.coverage == well.coverage


async def test_a_store_that_is_not_there_at_first_is_an_error(tmp_path: Path) -> None:
    """A wrong path is told, not waited for; nothing is made there."""
    options = sqlite(tmp_path)
    async with opened(options) as store:
        with pytest.raises(StoreRefused, match="no database"):
            await StoreFeed(store, place(options, tmp_path), SYMBOL).look()
    assert list(tmp_path.iterdir()) == []


async def test_a_symbol_that_was_never_collected_is_an_error(tmp_path: Path) -> None:
    """It names those that were."""
    options = sqlite(tmp_path)
    async with opened(options) as store:
        await archive.fill(store, rows(NOW - 5, NOW))
        with pytest.raises(UsageError, match=r"DOGE/USDT was never collected.*: there is binance_btc_depth"):
            await StoreFeed(store, place(options, tmp_path), "DOGE/USDT").look()
        with pytest.raises(UsageError, match="no table binance_btc_depth_5s"):
            await StoreFeed(store, place(options, tmp_path), SYMBOL, "_5s").look()


async def test_a_torn_row_is_passed_over(tmp_path: Path) -> None:
    """The row before it is shown."""
    options = sqlite(tmp_path)
    async with opened(options) as store:
        await archive.fill(store, rows(NOW - 5, NOW))
        feed = StoreFeed(store, place(options, tmp_path), SYMBOL, clock=Clock())
        await feed.look()
        *_, torn, last = rows(NOW, NOW + 3)
        await store_rows(store, [last])
        await store.swap(TABLE.name, record_key(torn.epoch), "orderbook", None, "{")
        view = await feed.look()
    assert [row.epoch for row in view.rows] == [last.epoch]


def record_key(epoch: int) -> str:
    return f"{9_999_999_999 - epoch}#BTCUSDT"


async def test_the_spool_file_tells_how_far_this_machine_is(tmp_path: Path) -> None:
    options = sqlite(tmp_path)
    spool = Spool(tmp_path / "spool.db", "mine", 2**30)
    spool.open()
    try:
        spool.append("sqlite", [], {TABLE.name: NOW - 1})
        spool.acknowledge("sqlite", [], {TABLE.name: NOW - 9})
        async with opened(options) as store:
            await archive.fill(store, rows(NOW - 50, NOW - 8))
            feed = StoreFeed(store, place(options, tmp_path), SYMBOL, clock=Clock())
            assert (await feed.look()).spool == SpoolView(NOW - 1, NOW - 9)
    finally:
        spool.close()
