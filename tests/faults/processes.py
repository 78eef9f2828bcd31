"""What can befall a collector's process."""

import asyncio
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.fault import Fault, Finding
from tests.faults.processes_stage import Process, Scene, staged, stored

_SECTION = "The process"
_SPEED = 5.0
_AT_ONCE = 3
_AT_WORK = 0.8  # share of the collectors that have committed a row when their last moments begin
_LONGEST_LIFE = 1.0
_STILL_SECONDS = 20
_TOGETHER_ROWS = 6


async def _kills(folder: Path, backend: str, kills: int) -> Finding:
    """Start and kill collectors on one spool, some at a time, at random moments before and after their first rows."""
    async with staged(folder, backend=backend, speed=_SPEED) as scene:
        chance = Random(kills)  # noqa: S311  # repeatable, not secret

        async def lives_and_deaths(number: int) -> None:
            for _ in range(number):
                collector = scene.start()
                if chance.random() < _AT_WORK:
                    await scene.more(collector, 1)
                await asyncio.sleep(chance.uniform(0.0, _LONGEST_LIFE))
                collector.send(signal.SIGKILL)
                await scene.ended(collector)

        share = [kills // _AT_ONCE + (turn < kills % _AT_ONCE) for turn in range(_AT_ONCE)]
        await asyncio.gather(*map(lives_and_deaths, share))
        killed = [collector for collector in scene.collectors if collector.told]
        broken = await scene.drain()
        end = await stored(scene)
    happened = (
        f"{end.committed:,} seconds committed, all stored; {len(killed)} had committed some when they were killed"
    )
    return Finding(happened, {"kills": kills, "rows": len(end.rows)}, tuple(broken + end.broken))


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("BEGIN IMMEDIATE")
        yield


@asynccontextmanager
async def _rest_hangs(scene: Scene, path: str) -> AsyncIterator[None]:
    scene.exchange.faults.rest_delay(60, count=100, path=path)
    yield
    scene.exchange.faults.clear()


@asynccontextmanager
async def _sockets_refused(scene: Scene) -> AsyncIterator[None]:
    scene.exchange.faults.refuse(60)
    yield
    scene.exchange.faults.clear()


@asynccontextmanager
async def _nothing(_: Scene) -> AsyncIterator[None]:
    yield


@dataclass(frozen=True, kw_only=True)
class Stop:
    """SIGTERM in one phase of a run.

    Attributes:
        phase: in words.
        during: what keeps the run in that phase.
        rows: that it has committed before.
        seconds: that it is in that phase before the signal.
        signals: that it gets, one after the other.
        within: seconds in which it must have ended.
    """

    phase: str
    during: Callable[[Scene], AbstractAsyncContextManager[None]]
    rows: int = 0
    seconds: float = 1.5
    signals: int = 1
    within: float = 8.0

    def fault(self) -> Fault:
        """Make it a row of the table."""
        must = f"it ends with 0 within {self.within:g} s, no committed second is lost"
        return Fault(_SECTION, f"SIGTERM {self.phase}", must, lambda folder: asyncio.run(self._play(folder)), idle=True)

    async def _play(self, folder: Path) -> Finding:
        async with staged(folder) as scene:
            if self.rows:
                collector = scene.start()
                began = await scene.more(collector, self.rows)
                async with self.during(scene):
                    took = await self._stop(scene, collector)
            else:
                async with self.during(scene):
                    collector, began = scene.start(), True
                    took = await self._stop(scene, collector)
            code = collector.child.exitcode
            broken = [] if began and code == 0 and took <= self.within else [f"exit code {code} after {took:.1f} s"]
            broken += await scene.drain()
            end = await stored(scene)
        happened = f"it ended with {code} after {took:.1f} s, {end.committed} seconds committed, all stored"
        return Finding(happened, {"ended after s": round(took, 1)}, tuple(broken + end.broken))

    async def _stop(self, scene: Scene, collector: Process) -> float:
        await asyncio.sleep(self.seconds)
        began = time.monotonic()
        for _ in range(self.signals):
            collector.send(signal.SIGTERM)
            await asyncio.sleep(0.1)
        await scene.ended(collector)
        return time.monotonic() - began


STOPS = (
    Stop(phase="while REST answers nothing", during=partial(_rest_hangs, path="/api/")),
    Stop(phase="while the first snapshot is awaited", during=partial(_rest_hangs, path="/api/v3/depth")),
    Stop(phase="while sockets are refused", during=_sockets_refused),
    Stop(phase="while rows are captured and shipped", during=_nothing, rows=3),
    Stop(phase="twice", during=_nothing, rows=3, signals=2),
    Stop(
        phase="while an upload waits for the locked database",
        during=lambda scene: _locked(scene.plan.store.sqlite_path),
        rows=3,
    ),
    Stop(
        phase="while a commit waits for the locked spool",
        during=lambda scene: _locked(scene.plan.spool_path),
        rows=3,
        within=15,  # two commits wait for 5 s each
    ),
)


async def _stand_still(folder: Path) -> Finding:
    """SIGSTOP, and SIGCONT later: what was sent meanwhile waits in the sockets."""
    async with staged(folder) as scene:
        collector = scene.start()
        broken = [] if await scene.more(collector, 4) else ["no row before"]
        collector.send(signal.SIGSTOP)
        await asyncio.sleep(_STILL_SECONDS)
        collector.send(signal.SIGCONT)
        began = time.monotonic()
        caught_up = await scene.more(collector, _STILL_SECONDS + 2)
        took = time.monotonic() - began
        collector.send(signal.SIGTERM)
        await scene.ended(collector)
        end = await stored(scene)
    broken += [] if caught_up else ["it did not catch up"]
    broken += [f"{end.missing} epochs are missing"] if end.missing else []
    figures = {"rows": len(end.rows), "caught up after s": round(took, 1)}
    return Finding(f"{end.missing} missing, {len(end.rows)} rows", figures, tuple(broken + end.broken))


async def _two(folder: Path, backend: str, *, one_spool: bool) -> Finding:
    """Two collectors at once; one of them is killed, the other goes on."""
    async with staged(folder, backend=backend) as scene:
        second = scene.plan if one_spool else scene.elsewhere("second")
        pair = scene.start(), scene.start(second)
        for each in pair:
            await scene.more(each, _TOGETHER_ROWS)
        pair[0].send(signal.SIGKILL)
        went_on = await scene.more(pair[1], _TOGETHER_ROWS)
        pair[1].send(signal.SIGTERM)
        await scene.ended(pair[1])
        broken = [] if went_on else ["the other did not go on"]
        broken += [f"the other ended with {pair[1].child.exitcode}"] if pair[1].child.exitcode else []
        broken += await scene.drain()
        end = await stored(scene)
    epochs = pair[1].epochs
    lost = {*range(epochs[0], epochs[-1] + 1)} - {row.epoch for row in end.rows}
    broken += [f"{len(lost)} epochs are missing while one of them lived"] if lost else []
    happened = f"{end.committed} seconds committed, {len(end.rows)} stored, {len(lost)} missing"
    return Finding(happened, {"rows": len(end.rows)}, tuple(broken + end.broken))


def _fault(name: str, must: str, play: Callable[[Path], Coroutine[Any, Any, Finding]], *, idle: bool = True) -> Fault:
    return Fault(_SECTION, name, must, lambda folder: asyncio.run(play(folder)), idle=idle)


_KEPT = "each row is stored that was committed to the spool, once and whole"
_SAME = "each second is stored once, and as either of them knew it"

FAULTS = (
    _fault(
        "200 collectors are killed with SIGKILL at random moments", _KEPT, partial(_kills, backend="sqlite", kills=200)
    ),
    _fault("the same on Bigtable, 50 of them", _KEPT, partial(_kills, backend="bigtable", kills=50)),
    *(stop.fault() for stop in STOPS),
    _fault(f"a process is stopped for {_STILL_SECONDS} s by SIGSTOP", "no epoch lost", _stand_still),
    *(
        _fault(
            f"two collectors on one {'spool file' if one_spool else 'store'} ({backend}), one is killed",
            _SAME,
            partial(_two, backend=backend, one_spool=one_spool),
        )
        for backend, one_spool in (("sqlite", True), ("sqlite", False), ("bigtable", True), ("bigtable", False))
    ),
)
