"""Whole runs that tell people what goes wrong, in this process: exchange, spool, store, monitor and a receiver."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from depth import rowkey
from depth.alerts.options import AlertOptions
from depth.epochs import Grid
from depth.errors import StoreRefused, TableMismatch, UnknownSymbol
from depth.exchange.simulated import SyntheticSource
from depth.plan import Plan
from depth.running import run
from depth.storage.open import StoreOptions
from tests.live import Exchange, until
from tests.receivers import Receiver, receiving

TABLE = "binance_btc_depth"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
async def plan(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Plan]:
    """BTC/USDT from a simulated exchange into a database of its own; the receiver is told."""
    async with Exchange(SyntheticSource(), None) as exchange:
        yield Plan(
            symbols=("BTC/USDT",),
            grid=Grid(),
            rest_url=exchange.rest_url,
            ws_url=exchange.ws_url,
            connections=2,
            store=StoreOptions("sqlite", tmp_path / "depth.db"),
            spool_path=tmp_path / "spool.db",
            spool_limit_bytes=2**30,
            flush_seconds=0.2,
            group="here",
            alerts=AlertOptions("here/sqlite", "here/sqlite", receiver.url),
        )


def stored(plan: Plan) -> list[int]:
    """Give the epochs in the database, oldest first."""
    uri = f"{plan.store.sqlite_path.as_uri()}?mode=ro"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(uri, uri=True)) as db:
        keys = db.execute(f"SELECT row_key FROM {TABLE} ORDER BY row_key DESC")  # noqa: S608  # ours
        return [rowkey.decode(key)[0] for (key,) in keys]
    return []


async def test_a_table_of_another_grid_is_told_once_until_a_run_stores_again(
    plan: Plan, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, saying what to change; a schedule that fails each hour repeats nothing."""
    monkeypatch.setattr("depth.monitor._LOOK_SECONDS", 0.2)
    await run(replace(plan, duration=3), asyncio.Event())
    assert receiver.got == []
    for _ in range(2):
        with pytest.raises(TableMismatch):
            await run(replace(plan, grid=Grid(steps=20)), asyncio.Event())
    assert receiver.events == ["refused.opened"]
    [told] = receiver.got
    assert told.json["text"].startswith("here/sqlite: BTC/USDT: a person must act: table ")
    assert told.json["cause"].endswith("start a new table with --table-suffix")

    stop = asyncio.Event()
    running = asyncio.create_task(run(plan, stop))
    await until(lambda: len(receiver.got) > 1)
    stop.set()
    await running
    assert receiver.events == ["refused.opened", "refused.resolved"]


async def test_an_unknown_symbol_is_told_and_a_dry_run_tells_nobody(plan: Plan, receiver: Receiver) -> None:
    for dry_run in (True, False):
        with pytest.raises(UnknownSymbol):
            await run(replace(plan, symbols=("FOO/USDT",), dry_run=dry_run), asyncio.Event())
    assert [(got.json["event"], got.json["symbol"]) for got in receiver.got] == [("refused.opened", "FOO/USDT")]


async def test_a_spool_that_cannot_be_opened_is_told_though_nothing_can_be_kept(plan: Plan, receiver: Receiver) -> None:
    """The file is no database; who must do what is in the message."""
    plan.spool_path.write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StoreRefused):
        await run(plan, asyncio.Event())
    assert receiver.events == ["refused.opened"]
    assert str(plan.spool_path) in receiver.got[0].json["cause"]


async def test_a_receiver_that_hangs_holds_up_no_second(
    plan: Plan, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second is stored while the first message waits for its answer; the end does not wait either."""
    monkeypatch.setattr("depth.monitor._LOOK_SECONDS", 0.1)
    monkeypatch.setattr("depth.alerts.symptoms._HIGH", 0.0)
    receiver.delay = 3.0
    stop = asyncio.Event()
    running = asyncio.create_task(run(plan, stop))
    await until(lambda: receiver.got)
    before = len(stored(plan))
    await until(lambda: len(stored(plan)) >= before + 3)
    stop.set()
    await asyncio.wait_for(running, 5)
    epochs = stored(plan)
    assert epochs == list(range(epochs[0], epochs[-1] + 1))
    assert receiver.events == ["spool-high.opened"]


async def test_the_heartbeat_beats_once_rows_are_stored(
    plan: Plan, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any channel, and not before the first row."""
    for name in ("_LOOK_SECONDS", "_HEARTBEAT_SECONDS"):
        monkeypatch.setattr(f"depth.monitor.{name}", 0.1)
    stop, begun = asyncio.Event(), []
    quiet = replace(plan, alerts=AlertOptions("here", "here", heartbeat_url=receiver.url))
    running = asyncio.create_task(run(quiet, stop))
    await until(lambda: receiver.got)
    begun = stored(plan)
    stop.set()
    await running
    assert begun
    assert {(got.method, got.path) for got in receiver.got} == {("GET", "/services/s3cr3t-path")}
