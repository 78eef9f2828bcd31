"""Collectors in processes of their own, which are killed, stopped and held up; a witness of what they committed.

A process is forked from one that has everything imported, so it is at work in a tenth of a second. It runs the real run
(`depth.running`); nothing is changed in it, but that its spool also writes down each row that it has committed.
"""

import asyncio
import json
import logging
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from depth import continuity, rowkey, running, snapshot
from depth.continuity import Check, Continuity
from depth.exchange.simulated import Options, SyntheticSource
from depth.plan import Plan
from depth.record import Record
from depth.snapshot import Snapshot
from depth.storage.open import StoreOptions, open_store
from depth.storage.spool import Spool
from tests import emulator, plans
from tests.faults.measure import until
from tests.live import Exchange, errors_in
from tests.stored_rows import TABLE

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["depth.exchange.binance", "depth.storage.bigtable", __name__])
# What two collectors that received the same events agree on; the others tell who wrote the row and when.
_PROOF = ("price", "orderbook", "event_time", "update_id", "covered")
_END_SECONDS = 30.0
_DRAIN_SECONDS = 60.0
_ROWS_SECONDS = 40.0


class _Witnessed(Spool):
    """The spool; what it has committed is also told to a file that survives the process."""

    witness: int

    def append(self, backend: str, rows: Sequence[tuple[str, Record]], captured: Mapping[str, int]) -> None:
        super().append(backend, rows, captured)
        told = [json.dumps([record.key, dict(record.columns)]) for table, record in rows if table == TABLE.name]
        os.write(self.witness, "".join(f"{line}\n" for line in told).encode())


def _collect(plan: Plan, witness: Path) -> None:
    """Be a collector until a signal comes; this is the process."""
    with witness.open("ab") as file, witness.with_suffix(".log").open("w") as log, redirect_stderr(log):
        logging.basicConfig(stream=log, level=logging.INFO)
        _Witnessed.witness = file.fileno()
        setattr(running, "Spool", _Witnessed)  # noqa: B010  # the run makes its own; mypy knows no other way
        raise SystemExit(asyncio.run(running.run_directly(plan)))


@dataclass(frozen=True)
class Process:
    """A collector's process.

    Attributes:
        child: the process.
        witness: file in which it says what it has committed.
    """

    child: ForkServerProcess
    witness: Path

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.child.is_alive():
            os.kill(self.child.pid or 0, number)

    @property
    def epochs(self) -> list[int]:
        """Seconds that it has committed, in order."""
        return [rowkey.decode(record.key)[0] for record in self.told]

    @property
    def told(self) -> list[Record]:
        """Rows that it has committed; a last line that was cut short tells nothing."""
        lines = self.witness.read_text(encoding="utf-8").splitlines(keepends=True) if self.witness.exists() else []
        return [Record(*json.loads(line)) for line in lines if line.endswith("\n")]


@dataclass
class Scene:
    """What a fault has at hand.

    Attributes:
        plan: of the first collector.
        exchange: that is collected.
        folder: of everything.
        emulator_host: of the Bigtable emulator, empty for SQLite.
        collectors: processes, also those that have ended.
    """

    plan: Plan
    exchange: Exchange
    folder: Path
    emulator_host: str = ""
    collectors: list[Process] = field(default_factory=list)

    def start(self, plan: Plan | None = None) -> Process:
        """Start a collector."""
        witness = self.folder / f"witness-{len(self.collectors)}"
        child = _FORKS.Process(target=_collect, args=(plan or self.plan, witness))
        child.start()
        self.collectors.append(Process(child, witness))
        return self.collectors[-1]

    def elsewhere(self, name: str) -> Plan:
        """Give the plan of another collector: the same store, a spool of its own."""
        return replace(self.plan, spool_path=self.folder / name / "spool.db")

    def waiting(self, plan: Plan | None = None) -> int:
        """Count the rows in a spool."""
        path = (plan or self.plan).spool_path
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM spooled").fetchone()[0])
        return 0

    async def more(self, collector: Process, rows: int) -> bool:
        """Wait until a collector has committed so many rows more."""
        wanted = len(collector.told) + rows
        return await until(lambda: len(collector.told) >= wanted, _ROWS_SECONDS)

    async def ended(self, collector: Process) -> bool:
        """Wait for the end of a collector; one that does not come is forced."""
        came = await until(lambda: not collector.child.is_alive(), _END_SECONDS)
        if not came:
            collector.child.kill()
        collector.child.join()
        return came

    async def drain(self, plan: Plan | None = None) -> list[str]:
        """Let one more collector ship what waits, and end it; say what is not as it must be."""
        last = self.start(plan)
        came = await self.more(last, 3) and await until(lambda: not self.waiting(plan), _DRAIN_SECONDS)
        broken = [] if came else [f"{self.waiting(plan)} rows still wait"]
        last.send(signal.SIGTERM)
        if not await self.ended(last):
            broken.append("the last collector did not end")
        elif last.child.exitcode:
            broken.append(f"the last collector ended with {last.child.exitcode}")
        if left := self.waiting(plan):
            broken.append(f"{left} rows are left in the spool")
        return broken


@asynccontextmanager
async def staged(folder: Path, *, backend: str = "sqlite", speed: float = 1.0) -> AsyncIterator[Scene]:
    """Set up an exchange and a plan; nothing is collected yet. No process is left behind.

    Args:
        folder: for everything.
        backend: of the store.
        speed: of the market: seconds a second.
    """
    with _emulator(backend) as host:
        async with Exchange(SyntheticSource(), Options(speed=speed, weight_limit=10**6)) as exchange:
            plan = plans.plan(exchange.rest_url, exchange.ws_url, folder)
            if host:
                store = StoreOptions("bigtable", folder / "none", "bench", "bench", None, host)
                plan = replace(plan, store=store)
            scene = Scene(plan, exchange, folder, host)
            try:
                yield scene
            finally:
                for collector in scene.collectors:
                    collector.child.kill()
                    collector.child.join()


@contextmanager
def _emulator(backend: str) -> Iterator[str]:
    if backend == "sqlite":
        yield ""
    else:
        with emulator.running() as host:
            yield host


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds at the end.

    Attributes:
        rows: read back, newest first.
        found: of the check, from the first row to the last.
        committed: seconds that the witnesses saw committed.
        broken: what is false, torn, or was committed and is not there.
    """

    rows: list[Snapshot]
    found: Continuity
    committed: int
    broken: list[str]

    @property
    def missing(self) -> int:
        """Epochs without a row between the first and the last."""
        return self.found.coverage.missing


async def stored(scene: Scene) -> Stored:
    """Read everything back and hold it against the witnesses and the exchange's own book."""
    scene.exchange.faults.halt()  # it shares this loop
    store = open_store(scene.plan.store)
    try:
        records = {record.key: record async for record in store.scan(TABLE.name, "0", "9" * 11)}
        rows = [snapshot.decode(record.key, record.columns, TABLE.symbol) for record in records.values()]
        first, last = min(row.epoch for row in rows), max(row.epoch for row in rows)
        found = await continuity.verify(store, TABLE, Check(first, last + 1, now=last + 60, by_hand=True))
    finally:
        await store.close()
    told = [record for collector in scene.collectors for record in collector.told]
    broken = _unlike(told, records)[:3] + errors_in(rows, scene.exchange)[:3]
    broken += [f"[{gap.start}, {gap.end}) is missing without a cause" for gap in found.gaps if not gap.cause][:3]
    return Stored(rows, found, len({record.key for record in told}), broken + _mistakes(scene))


def _unlike(witnessed: Sequence[Record], records: Mapping[str, Record]) -> list[str]:
    """Find what was committed and is not stored, or not as it was, and no better row is in its place."""
    broken = []
    for told in witnessed:
        there = records.get(told.key)
        if there is None:
            broken.append(f"{told.key} was committed and is not stored")
        elif there.columns["covered"] == told.columns["covered"]:
            broken += [f"{told.key}: another {name}" for name in _PROOF if there.columns[name] != told.columns[name]]
    return broken


def _mistakes(scene: Scene) -> list[str]:
    logs = "".join(path.read_text(encoding="utf-8") for path in scene.folder.glob("witness-*.log"))
    return ["a traceback was logged: " + logs.split("Traceback", 1)[1][-300:]] if "Traceback" in logs else []
