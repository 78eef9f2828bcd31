"""What a collector tells of itself: real spools, stores in trouble, a real receiver; and the heartbeat."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depth import snapshot, tables
from depth.alerts.delivery import Delivery
from depth.alerts.options import AlertOptions
from depth.alerts.symptoms import Audits
from depth.catalog import DepthTable
from depth.collector import Progress
from depth.epochs import Grid
from depth.errors import DepthError, StoreRefused, UsageError
from depth.losses import Incident
from depth.monitor import Monitor, Sights
from depth.sinks import SpoolSink
from depth.storage.spool import Spool
from tests import docks, stored_rows
from tests.alerts.fakes import Clock
from tests.docks import ONE, START, Dock
from tests.live import until
from tests.receivers import Receiver, receiving

SYMBOL = "BTC/USDT"
TABLE = DepthTable(ONE, SYMBOL, Grid())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with docks.opened(tmp_path) as opened:
        yield opened


class Scene:
    """A run whose parts are moved by hand; its monitor looks when it is told to.

    Attributes:
        clock: of the monitor.
        used: share of the spool's limit.
        progress: of the capture.
    """

    def __init__(self, dock: Dock, options: AlertOptions) -> None:
        self.dock = dock
        self.clock = Clock(START + 100)
        self.options = options
        self.used = 0.0
        self.progress = Progress(chained=True)
        self.shipper = dock.shipper()
        self.sink = SpoolSink(dock.spool, dock.thread, "memory", {SYMBOL: ONE}, "mine")
        self.audits = Audits(1)
        self.monitor = self.restarted()

    def restarted(self) -> Monitor:
        """Give the monitor of a run that begins now."""
        self.monitor = Monitor(self.options, self.dock.path, [SYMBOL], Delivery.send, self.clock)
        return self.monitor

    @property
    def sights(self) -> Sights:
        async def used() -> float:
            return self.used

        parts = (lambda _: self.progress, self.sink, self.shipper, self.dock.destination, used)
        return Sights([TABLE], *parts)

    async def look(self, seconds: float = 0) -> None:
        """Look at everything, some seconds later."""
        self.clock.now += seconds
        sights, store = self.sights, self.dock.store
        await self.monitor.look_at_spool(sights)
        await self.monitor.look_at_table(sights, TABLE, self.monitor._boards.of_table(store, ONE, SYMBOL), self.audits)

    async def store_seconds(self, start: int, end: int) -> None:
        """Let another collector store ``[start, end)`` after START."""
        rows = [snapshot.encode(row) for row in stored_rows.rows(START + start, START + end)]
        await self.dock.store.write(ONE, rows)


@asynccontextmanager
async def begun(dock: Dock, **urls: str) -> AsyncIterator[Scene]:
    """Begin a run over tables that are there."""
    scene = Scene(dock, AlertOptions("here/memory", "here/memory", **urls))
    await dock.destination.prepare()
    try:
        yield scene
    finally:
        await scene.monitor.close()


@pytest.fixture
async def scene(dock: Dock, receiver: Receiver) -> AsyncIterator[Scene]:
    async with begun(dock, webhook_url=receiver.url) as running:
        yield running


async def fail(scene: Scene, mood: str, seconds: float = 0.3) -> None:
    """Let the shipper try to ship a second to a store in a mood."""
    scene.dock.store.moods[ONE] = mood
    scene.dock.capture(ONE, 0, 1)
    shipping = asyncio.create_task(scene.shipper.run())
    await asyncio.sleep(seconds)
    shipping.cancel()


async def ship(scene: Scene) -> None:
    """Let the shipper ship what waits."""
    scene.dock.store.moods.clear()
    await scene.shipper.flush()
    scene.shipper.trouble = None


def since(scene: Scene, seconds: float) -> None:
    """Let the trouble of the shipper have begun so long ago by the monitor's clock."""
    assert scene.shipper.trouble is not None
    scene.shipper.trouble = scene.shipper.trouble._replace(since=int(scene.clock.now - seconds))


async def test_while_all_is_well_nobody_is_told_anything(scene: Scene, receiver: Receiver) -> None:
    for second in range(0, 300, 10):
        await scene.store_seconds(second + 100, second + 110)
        await scene.look(10)
    assert receiver.got == []


async def test_no_row_for_a_minute_is_told_and_so_is_the_next_row(scene: Scene, receiver: Receiver) -> None:
    """Once each, though a second collector looks too."""
    await scene.store_seconds(0, 100)
    for _ in range(12):
        await scene.look(10)
    assert receiver.events == ["stale.opened"]
    assert receiver.got[0].json["start"] == START + 100
    await scene.store_seconds(210, 225)
    await scene.look(10)
    scene.restarted()
    await scene.look(10)
    assert receiver.events == ["stale.opened", "stale.resolved"]
    assert receiver.got[1].json["end"] == START + 224


@pytest.mark.parametrize(
    ("progress", "cause"), [(Progress(chained=True), "silent"), (Progress(chained=False), "unanchored")]
)
async def test_a_late_table_says_what_is_known_of_its_cause(
    scene: Scene, receiver: Receiver, progress: Progress, cause: str
) -> None:
    scene.progress = progress
    await scene.store_seconds(0, 100)
    await scene.look(70)
    assert [got.json["cause"] for got in receiver.got] == [cause]


async def test_a_run_that_has_just_begun_is_given_a_minute(scene: Scene, receiver: Receiver) -> None:
    """The outage before it is not its own; a table that stays empty is."""
    await scene.look(50)
    assert receiver.got == []
    await scene.look(12)
    assert receiver.events == ["stale.opened"]


async def test_rows_of_another_collector_are_rows(scene: Scene, receiver: Receiver) -> None:
    """This one stores none, and the table is whole."""
    scene.dock.destination.acknowledged[ONE] = START
    await scene.store_seconds(0, 200)
    await scene.look(100)
    assert receiver.got == []


async def test_a_store_that_fails_for_a_minute_is_told_though_it_is_away(scene: Scene, receiver: Receiver) -> None:
    """The state is in the spool file: a restart does not repeat it, and knows that it is over."""
    await fail(scene, "away")
    since(scene, 59)
    await scene.monitor.look_at_spool(scene.sights)
    assert receiver.got == []
    since(scene, 61)
    began = scene.shipper.trouble.since if scene.shipper.trouble else 0
    await scene.monitor.look_at_spool(scene.sights)
    await scene.monitor.close()
    scene.restarted()
    await scene.monitor.look_at_spool(scene.sights)
    assert receiver.events == ["store-failing.opened"]
    assert (receiver.got[0].json["start"], receiver.got[0].json["cause"]) == (began, "the store is away")
    await ship(scene)
    await scene.monitor.look_at_spool(scene.sights)
    assert receiver.events == ["store-failing.opened", "store-failing.resolved"]


async def test_a_refusal_is_told_at_once_with_what_to_do(scene: Scene, receiver: Receiver) -> None:
    """It blocks the run without ending it; it is over once rows are stored."""
    await fail(scene, "refuses")
    await scene.monitor.look_at_spool(scene.sights)
    assert receiver.events == ["refused.opened"]
    assert receiver.got[0].json["text"] == (
        f"here/memory: BTC/USDT: a person must act: no right to write {ONE}: ask somebody"
    )
    await ship(scene)
    await scene.monitor.look_at_spool(scene.sights)
    assert receiver.events == ["refused.opened", "refused.resolved"]


async def test_what_ends_a_run_is_told_by_its_first_run_alone(scene: Scene, receiver: Receiver) -> None:
    """A schedule starts it again and again; once one stores rows, that is told."""
    for _ in range(3):
        await scene.monitor.ended(StoreRefused("no right: ask somebody"))
        await scene.monitor.close()
        scene.clock.now += 3600
        scene.restarted()
    assert receiver.events == ["refused.opened"]
    assert receiver.got[0].json["cause"] == "no right: ask somebody"
    scene.shipper.shipped_at = int(scene.clock.now)
    await scene.look()
    assert receiver.events == ["refused.opened", "refused.resolved"]


async def test_a_spool_that_fills_is_told_from_80_percent_on(scene: Scene, receiver: Receiver) -> None:
    """Not again and again at the edge."""
    for used in (0.79, 0.81, 0.79, 0.81, 0.71):
        scene.used = used
        await scene.monitor.look_at_spool(scene.sights)
        scene.clock.now += 10
    assert receiver.events == ["spool-high.opened"]
    scene.used = 0.5
    await scene.monitor.look_at_spool(scene.sights)
    assert receiver.events == ["spool-high.opened", "spool-high.resolved"]


async def test_a_full_spool_is_told_at_once(
    dock: Dock, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sink holds the rows in memory; the state is kept in the file that takes no rows."""
    caplog.set_level(logging.CRITICAL)
    full = Spool(tmp_path / "spool.db", "full", 1, dock.destination.metas())
    thread = ThreadPoolExecutor(1)
    thread.submit(full.open).result()
    async with begun(dock, webhook_url=receiver.url) as scene:
        scene.sink = SpoolSink(full, thread, "memory", {SYMBOL: ONE}, "full")
        await scene.sink.put(list(stored_rows.rows(START, START + 1)), [])
        await scene.monitor.look_at_spool(scene.sights)
        assert receiver.events == ["spool-full.opened"]
        assert "raise SPOOL_MAX_MB" in receiver.got[0].json["cause"]
        full._limit_bytes = 2**30
        await scene.sink.put([], [])
        await scene.sink.close()
        scene.clock.now += 10
        await scene.monitor.look_at_spool(scene.sights)
        assert receiver.events == ["spool-full.opened", "spool-full.resolved"]
    thread.submit(full.close).result()
    thread.shutdown()


async def test_a_confirmed_mismatch_is_told_and_so_is_the_next_audit_that_agrees(
    scene: Scene, receiver: Receiver
) -> None:
    """By another run too, should this one end before."""
    await scene.store_seconds(0, 500)
    scene.progress = replace(scene.progress, suspect=Incident(START + 10, START + 70, "suspect"))
    for _ in range(3):
        await scene.look(10)
    assert receiver.events == ["audit-mismatch.opened"]
    said = "two fresh snapshots contradict the book: 60 rows since 2023-11-14T22:13:30Z are marked suspect"
    assert said in receiver.got[0].json["text"]
    scene.progress, scene.audits = Progress(chained=True), Audits(1)
    scene.restarted()
    await scene.look(10)
    assert len(receiver.got) == 1
    scene.progress = Progress(chained=True, audits_agreed=1)
    await scene.look(10)
    assert receiver.events == ["audit-mismatch.opened", "audit-mismatch.resolved"]


async def test_a_dead_receiver_gets_what_it_missed_once(scene: Scene, receiver: Receiver) -> None:
    receiver.status = 503
    scene.used = 0.9
    await scene.monitor.look_at_spool(scene.sights)
    tried = len(receiver.got)
    receiver.status = 200
    scene.restarted()
    for _ in range(3):
        await scene.monitor.look_at_spool(scene.sights)
    assert receiver.events[tried:] == ["spool-high.opened"]


async def test_the_heartbeat_beats_while_every_symbol_is_stored(dock: Dock, receiver: Receiver) -> None:
    """And stops with the rows: that is what the watchdog outside waits for. No channel is needed for it."""
    async with begun(dock, heartbeat_url=receiver.url) as scene:
        await scene.monitor.beat(scene.sights)
        assert receiver.got == []  # nothing is known yet
        await scene.store_seconds(0, 100)
        for _ in range(3):
            await scene.look()
            await scene.monitor.beat(scene.sights)
        assert [got.method for got in receiver.got] == ["GET"] * 3
        await scene.look(70)
        await scene.monitor.beat(scene.sights)
        assert len(receiver.got) == 3
        await scene.store_seconds(100, 165)
        await scene.look()
        await scene.monitor.beat(scene.sights)
        assert len(receiver.got) == 4


async def test_a_store_that_is_away_stops_the_heartbeat(dock: Dock, receiver: Receiver) -> None:
    """What was known a minute ago does not count."""
    async with begun(dock, heartbeat_url=receiver.url) as scene:
        await scene.store_seconds(0, 100)
        await scene.look()
        scene.clock.now += 61
        await scene.monitor.beat(scene.sights)
        assert receiver.got == []


async def test_a_dead_watchdog_is_said_once_while_it_lasts(
    dock: Dock, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with begun(dock, heartbeat_url=receiver.url) as scene:
        await scene.store_seconds(0, 100)
        await scene.look()
        for status in (500, 500, 200, 404):
            receiver.status = status
            await scene.monitor.beat(scene.sights)
    assert caplog.messages == [
        "HEARTBEAT_URL answers HTTP 500",
        "HEARTBEAT_URL answers HTTP 404: see whether the address is still valid",
    ]


async def test_without_anybody_to_tell_nothing_runs_and_nothing_is_kept(dock: Dock) -> None:
    async with begun(dock) as scene:
        assert scene.monitor.watch(scene.sights) == []
        await scene.look(1000)
        await scene.monitor.ended(StoreRefused("no"))
        companion = dock.store.rows[tables.collectors_table(ONE)]
        assert set(companion) == {"_meta"}


@pytest.mark.parametrize("name", ["webhook_url", "chat_urls", "heartbeat_url"])
def test_an_address_that_is_none_is_refused_before_anything_runs(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        Monitor(AlertOptions(**{name: "s3cr3t"}), tmp_path / "spool.db", [SYMBOL], Delivery.send)
    assert "s3cr3t" not in str(refused.value)


async def test_a_look_that_fails_is_followed_by_the_next(
    dock: Dock, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the store is no news; a mistake of ours is logged, and ends nothing."""
    monkeypatch.setattr("depth.monitor._LOOK_SECONDS", 0.01)
    errors: list[Exception] = [StoreRefused("no"), TimeoutError(), KeyError("a mistake of ours")]
    async with begun(dock, webhook_url=receiver.url) as scene:
        looks = 0

        async def look(*_: Any) -> None:
            nonlocal looks
            looks += 1
            if errors:
                raise errors.pop(0)

        monkeypatch.setattr(scene.monitor, "look_at_spool", look)
        monkeypatch.setattr(scene.monitor, "look_at_table", look)
        loops = [asyncio.create_task(loop) for loop in scene.monitor.watch(scene.sights)]
        await until(lambda: looks >= 8, 10)
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
    said = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.exc_info is not None for record in said] == [True]
    assert not any(isinstance(error, DepthError) for error in errors)
