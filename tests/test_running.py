"""Whole runs in this process: exchange, spool, store and shipping together, and the ways they end."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from depth import relay, rowkey
from depth.errors import CaptureStalled, UnknownSymbol
from depth.exchange.simulated import SyntheticSource
from depth.outcome import Outcome
from depth.plan import Plan
from depth.presence import Presence
from depth.running import Upload, run, stop_on_signals, upload_directly
from depth.shipping import Shipment
from depth.storage.open import open_store
from tests import plans
from tests.live import Exchange, until

TABLE = "binance_btc_depth"


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with Exchange(SyntheticSource(), None) as running:
        yield running


@pytest.fixture
def plan(exchange: Exchange, tmp_path: Path) -> Plan:
    """BTC/USDT from that exchange into a database of its own."""
    return plans.plan(exchange.rest_url, exchange.ws_url, tmp_path)


def read(path: Path, statement: str) -> list[int]:
    """Ask a database that may not be there yet."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return [value for (value,) in db.execute(statement)]
    return []


def stored(plan: Plan) -> list[int]:
    """Give the epochs in the database, oldest first."""
    keys = read(plan.store.sqlite_path, f"SELECT row_key FROM {TABLE} ORDER BY row_key DESC")  # noqa: S608  # ours
    return [rowkey.decode(str(key))[0] for key in keys]


def waiting(plan: Plan) -> list[int]:
    """Give the epochs in the spool, in the order in which they came."""
    keys = read(plan.spool_path, "SELECT row_key FROM spooled WHERE row_key GLOB '[0-9]*' ORDER BY id")
    return [rowkey.decode(str(key))[0] for key in keys]


def without_holes(epochs: list[int]) -> bool:
    return epochs == list(range(epochs[0], epochs[0] + len(epochs)))


async def run_until(
    plan: Plan, condition: Callable[[], object], upload: Upload = upload_directly, seconds: float = 30
) -> tuple[Outcome, float]:
    """Run until a condition holds; give the outcome and how long the end took."""
    stop = asyncio.Event()
    running = asyncio.create_task(run(plan, stop, upload))
    try:
        await until(lambda: running.done() or condition(), seconds)
        began = time.monotonic()
        stop.set()
        return await asyncio.wait_for(running, 15), time.monotonic() - began
    finally:
        running.cancel()


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Hold the database as another writer would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("BEGIN IMMEDIATE")
        yield


async def hang(shipment: Shipment) -> None:
    """Upload for ever."""
    del shipment
    await asyncio.sleep(3600)


async def test_a_run_stores_every_second_and_leaves_the_spool_empty(plan: Plan) -> None:
    """What the outcome counts is what the database has."""
    outcome, _ = await run_until(plan, lambda: len(stored(plan)) >= 3)
    epochs = stored(plan)
    assert without_holes(epochs)
    assert outcome.symbols[0].rows == len(epochs)
    assert (outcome.waiting, waiting(plan)) == (0, [])


async def presences(plan: Plan) -> list[Presence]:
    store = open_store(plan.store)
    try:
        return await relay.read(store, f"{TABLE}_collectors")
    finally:
        await store.close()


async def test_a_run_says_last_what_it_leaves_behind(plan: Plan) -> None:
    """Its presence stays: from when to when it was there, and that nothing waits and nothing more comes."""
    began = time.time()
    await run_until(plan, lambda: len(stored(plan)) >= 3)
    [last] = await presences(plan)
    assert (last.state, last.oldest_spooled, last.spool_count) == ("stopped", None, 0)
    assert last.began is not None
    assert int(began) <= last.began < last.seen_at <= time.time()
    assert last.last_epoch == last.captured_epoch == stored(plan)[-1]
    assert last.spool


async def test_a_duration_ends_the_run(plan: Plan) -> None:
    """After so many seconds it ends by itself, and well."""
    began = time.monotonic()
    outcome = await run(replace(plan, duration=4), asyncio.Event())
    assert time.monotonic() - began >= 4
    assert outcome.symbols[0].rows == len(stored(plan)) >= 1


async def test_a_dry_run_leaves_nothing(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """No store, no spool, no lock: the lines are all there is."""
    lines: list[str] = []

    def printed() -> bool:
        lines.extend(capsys.readouterr().out.splitlines())
        return len(lines) >= 2

    await run_until(replace(plan, dry_run=True), printed)
    assert list(plan.spool_path.parent.iterdir()) == []


async def test_a_run_leaves_no_lock_and_no_task(plan: Plan) -> None:
    """After its end the folder has the two databases alone, and the loop nothing to do."""
    await run_until(plan, lambda: len(stored(plan)) >= 1)
    assert {path.name for path in plan.spool_path.parent.iterdir()} == {"depth.db", "spool.db"}
    ours = [task for task in asyncio.all_tasks() if "depth/" in str(task.get_coro()) and "simulated" not in str(task)]
    assert [task for task in ours if task is not asyncio.current_task()] == []


async def test_the_last_upload_gets_three_seconds(plan: Plan, caplog: pytest.LogCaptureFixture) -> None:
    """A store that hangs does not keep a stopped run: it ends in time, and its rows wait for the next one."""
    outcome, took = await run_until(plan, lambda: len(waiting(plan)) >= 2, hang)
    assert 3.0 <= took < 6.0
    assert outcome.waiting == len(waiting(plan)) >= 2
    assert without_holes(waiting(plan))
    assert stored(plan) == []
    assert caplog.messages[-1] == "the last rows wait in the spool for the next run: no answer in time"


async def test_rows_of_a_run_that_could_not_ship_are_stored_by_the_next(plan: Plan) -> None:
    """They are adopted and shipped; not one is lost."""
    await run_until(plan, lambda: len(waiting(plan)) >= 2, hang)
    left = waiting(plan)
    await run_until(plan, lambda: len(stored(plan)) > len(left))
    assert waiting(plan) == []
    assert set(left) < set(stored(plan))


async def test_a_locked_store_delays_no_second(plan: Plan) -> None:
    """Capture begins and goes on while another process holds the database; then every row is stored, oldest first."""
    async with locked(plan.store.sqlite_path):
        stop = asyncio.Event()
        running = asyncio.create_task(run(plan, stop))
        began = time.time()
        await until(lambda: len(waiting(plan)) >= 4)
        first = waiting(plan)[0]
        assert first < began + 3 + 4
    await until(lambda: len(stored(plan)) >= 5)
    stop.set()
    await running
    assert stored(plan)[0] == first
    assert without_holes(stored(plan))
    assert waiting(plan) == []


async def test_two_collectors_share_a_spool_and_a_store(plan: Plan) -> None:
    """At the same time in the same files: each second is there once, neither waits for the other."""
    (one, _), (two, _) = await asyncio.gather(
        run_until(plan, lambda: len(stored(plan)) >= 5), run_until(plan, lambda: len(stored(plan)) >= 5)
    )
    assert without_holes(stored(plan))
    assert (one.waiting, two.waiting, waiting(plan)) == (0, 0, [])
    assert one.collector != two.collector
    assert {part.rows > 0 for part in (*one.symbols, *two.symbols)} == {True}


async def test_an_unknown_symbol_ends_a_run_before_anything_is_captured(plan: Plan) -> None:
    """The error is raised to the caller; the spool is closed and can be opened by the next run."""
    with pytest.raises(UnknownSymbol):
        await run(replace(plan, symbols=("BTC/USDT", "FOO/USDT")), asyncio.Event())
    assert waiting(plan) == []
    assert list(plan.spool_path.parent.glob("*.lock")) == []
    assert not plan.store.sqlite_path.exists()  # no table is begun for a market that may be mistyped


async def test_a_duration_without_a_row_is_a_failure(plan: Plan, exchange: Exchange) -> None:
    """Nobody takes an empty run for a good one; no table is begun either."""
    exchange.faults.rest_status(503, seconds=60)
    with pytest.raises(CaptureStalled, match="nothing was captured for 1 s"):
        await run(replace(plan, duration=1), asyncio.Event())
    assert not plan.store.sqlite_path.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_stop_and_is_remembered(number: signal.Signals) -> None:
    """Whoever ended the run is known afterwards, and the handlers of before are back."""
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with stop_on_signals() as stop:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.event.wait(), 5)
    assert stop.ended_by is number
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


async def test_outside_the_main_thread_signals_are_left_alone() -> None:
    """A flow that a thread runs has the stop without the handlers."""

    async def begin() -> bool:
        with stop_on_signals() as stop:
            return stop.event.is_set()

    assert await asyncio.to_thread(asyncio.run, begin()) is False


async def test_a_run_without_a_stream_gives_itself_up(plan: Plan, exchange: Exchange) -> None:
    """REST answers, the streams do not come back: the run ends by an error, and its rows are stored."""
    running = asyncio.create_task(run(replace(plan, stall_seconds=4), asyncio.Event()))
    await until(lambda: len(stored(plan)) >= 2)
    exchange.faults.refuse(60)
    exchange.faults.reset()
    began = time.monotonic()
    with pytest.raises(CaptureStalled, match="nothing was captured for 4 s"):
        await asyncio.wait_for(running, 30)
    assert time.monotonic() - began >= 3
    assert without_holes(stored(plan))
    assert waiting(plan) == []


async def test_a_dry_run_gives_itself_up_too(plan: Plan) -> None:
    """An exchange that cannot be reached at all."""
    nowhere = replace(plan, dry_run=True, rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9", stall_seconds=1)
    with pytest.raises(CaptureStalled):
        await asyncio.wait_for(run(nowhere, asyncio.Event()), 20)


async def test_a_silent_market_ends_no_run(plan: Plan, exchange: Exchange) -> None:
    """Its sockets answer when they are asked: the silence is the market's, and its seconds are kept."""
    stop = asyncio.Event()
    running = asyncio.create_task(run(replace(plan, stall_seconds=7), stop))
    await until(lambda: len(stored(plan)) >= 2)
    exchange.faults.halt()
    await asyncio.sleep(12)
    exchange.faults.resume()
    count = len(stored(plan))
    await until(lambda: len(stored(plan)) >= count + 3)
    stop.set()
    await running
    assert without_holes(stored(plan))
