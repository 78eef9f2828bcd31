"""A whole run in trouble, in real time: exchange, capture, spool, shipping and store, and what must be true at the end.

The fault is the store's, the spool's or the disk's. Not one captured second may be lost by it.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from logging import LogRecord
from pathlib import Path

from depth import continuity, snapshot
from depth.alerts.options import AlertOptions
from depth.continuity import Check, Continuity
from depth.epochs import Grid
from depth.errors import DepthError
from depth.exchange.simulated import Options, SyntheticSource
from depth.outcome import Outcome
from depth.plan import Plan
from depth.running import run
from depth.snapshot import Snapshot
from depth.storage.open import StoreOptions, open_store
from depth.storage.spool_state import read_state
from tests import emulator
from tests.faults import disks, measure
from tests.faults.doors import Door, Front, door, front
from tests.faults.fault import Fault, Finding
from tests.faults.measure import until
from tests.live import Exchange, errors_in
from tests.receivers import Receiver, receiving
from tests.stored_rows import TABLE

_FIRST_ROWS = 4
_FIRST_SECONDS = 40.0
_BACKOFF_SECONDS = 31.0  # the longest that shipping waits after a failure
_MOST_MEGABYTES = 60.0  # the exchange, in this process, keeps all it told: 0.2 MB a second
_GRACE_SECONDS = 3
_PROOF_SECONDS = 2  # the event that proves a second comes after it
_DISK_MEGABYTES = 64  # the spool keeps 32 free


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A fault of the way from the capture to the store.

    Attributes:
        name: what is done.
        do: does it and takes it back, once some rows are stored.
        backend: of the store.
        says: what must be logged while it lasts: a pattern.
        told: a person must act; an alert must say so while it lasts, with the same words.
        forgets: the store loses what it had; what is captured from then on must be there.
        disk: folder that is a small file system: ``store`` or ``spool``.
        recovery: seconds after the fault within which everything captured must be stored.
    """

    name: str
    do: Callable[["Scene"], Awaitable[object]]
    backend: str = "bigtable"
    says: str = ""
    told: bool = False
    forgets: bool = False
    disk: str = ""
    recovery: float = _BACKOFF_SECONDS + 10

    @property
    def must(self) -> str:
        """What must happen, in words."""
        what = "what is captured from then on is stored" if self.forgets else "no captured second lost"
        told = ", a person is told at once what to do" if self.told else ""
        return f"{what}, by {self.recovery:g} s after it{told}"

    def fault(self, section: str) -> Fault:
        """Make it a row of the table."""
        return Fault(section, self.name, self.must, self.play, idle=True)

    def play(self, folder: Path) -> Finding:
        """Let it happen."""
        folder.mkdir(exist_ok=True)
        disk = disks.small(folder / self.disk, _DISK_MEGABYTES) if self.disk else nullcontext()
        with measure.logs() as logs, receiving() as receiver, disk:
            return asyncio.run(_play(self, folder, logs, receiver))


class Emulator:
    """A Bigtable emulator that may be replaced by an empty one."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self.host = self._running.enter_context(emulator.running())

    def replace(self) -> None:
        """Kill it and start another one on its port."""
        self._running.close()
        self._running.enter_context(emulator.running(int(self.host.rpartition(":")[2])))

    def close(self) -> None:
        """Kill it."""
        self._running.close()


@dataclass
class Scene:
    """What a fault has at hand.

    Attributes:
        plan: of the run.
        exchange: that is collected.
        receiver: gets the alerts.
        logs: everything that was said.
        emulator: of a run on Bigtable.
        door: to it, by TCP.
        front: to the door, by gRPC; the run goes through both.
    """

    plan: Plan
    exchange: Exchange
    receiver: Receiver
    logs: list[LogRecord]
    emulator: Emulator | None = None
    door: Door | None = None
    front: Front | None = None

    def captured(self) -> int:
        """Give an epoch that is surely captured by now, wherever it is."""
        return self.exchange.market_ms() // 1000 - _PROOF_SECONDS

    def acknowledged(self) -> int:
        """Give the last epoch that the store has taken, 0 before."""
        with suppress(DepthError):  # there is no spool yet, or not all of it
            state = read_state(self.plan.spool_path)
            return max((each.acknowledged_epoch or 0 for each in state if each.table == TABLE.name), default=0)
        return 0


async def _play(trouble: Trouble, folder: Path, logs: list[LogRecord], receiver: Receiver) -> Finding:
    async with staged(folder, logs, receiver, trouble.backend) as scene:
        stop = asyncio.Event()
        running = asyncio.create_task(run(scene.plan, stop))
        try:
            await until(lambda: running.done() or scene.acknowledged(), _FIRST_SECONDS)
            assert not running.done(), "the run ended before it began"
            first = scene.acknowledged()
            await until(lambda: scene.acknowledged() >= first + _FIRST_ROWS, _FIRST_SECONDS)
            before = measure.held()
            said, told, since = len(logs), len(receiver.got), scene.exchange.market_ms() // 1000 + 1
            await trouble.do(scene)
            began, captured = time.monotonic(), scene.captured()
            recovered = await until(lambda: scene.acknowledged() >= captured, trouble.recovery)
            took = time.monotonic() - began
            await asyncio.sleep(_GRACE_SECONDS)
            after = measure.held()
            stop.set()
            outcome = await asyncio.wait_for(running, 20)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        rows, found = await stored(scene, since if trouble.forgets else first)
        broken = [
            *errors_in(rows, scene.exchange)[:3],
            *losses(found, outcome),
            *_uncounted(outcome, rows, forgets=trouble.forgets),
            *([] if recovered else [f"not everything is stored {took:.0f} s after it"]),
            *_words(trouble, logs[said:], receiver, told),
            *measure.mistakes(logs),
            *([f"{after.handles} handles instead of {before.handles}"] if after.handles > before.handles + 2 else []),
        ]
        grown = after.megabytes - before.megabytes
        broken += [f"{grown:.0f} MB more"] if grown > _MOST_MEGABYTES else []
        missing = found.coverage.missing
        figures = {"rows": len(rows), "missing": missing, "stored after s": round(took, 1), "MB": round(grown, 1)}
        happened = f"{missing} missing, all stored {took:.1f} s after it" if recovered else "not all is stored"
        return Finding(happened, figures, tuple(broken))


@asynccontextmanager
async def staged(folder: Path, logs: list[LogRecord], receiver: Receiver, backend: str) -> AsyncIterator[Scene]:
    """Set up an exchange, a plan and what the plan needs; nothing is collected yet."""
    store = StoreOptions(backend, folder / "store" / "depth.db", project="bench", instance="bench")
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(Exchange(SyntheticSource(), Options()))
        plan = Plan(
            symbols=(TABLE.symbol,),
            grid=Grid(),
            rest_url=exchange.rest_url,
            ws_url=exchange.ws_url,
            connections=2,
            store=store,
            spool_path=folder / "spool" / "spool.db",
            spool_limit_bytes=512 * 2**20,
            flush_seconds=0.5,
            group="bench",
            alerts=AlertOptions("bench", "bench", receiver.url),
        )
        scene = Scene(plan, exchange, receiver, logs)
        if backend == "bigtable":
            scene.emulator = Emulator()
            stack.callback(scene.emulator.close)
            scene.door = await stack.enter_async_context(door(scene.emulator.host))
            scene.front = await stack.enter_async_context(front(scene.door.host))
            scene.plan = replace(plan, store=replace(store, emulator_host=scene.front.host))
        yield scene


async def stored(scene: Scene, since: int) -> tuple[list[Snapshot], Continuity]:
    """Read back what the store holds, past every door, and check it as the flow does, from an epoch on."""
    options = scene.plan.store
    if scene.emulator is not None:
        options = replace(options, emulator_host=scene.emulator.host)
    store = open_store(options)
    try:
        rows = [
            snapshot.decode(record.key, record.columns, TABLE.symbol)
            async for record in store.scan(TABLE.name, "0", "9" * 11)
        ]
        last = max(row.epoch for row in rows)
        check = Check(since, last + 1, now=last + 60, by_hand=True)
        return rows, await continuity.verify(store, TABLE, check)
    finally:
        await store.close()


def losses(found: Continuity, outcome: Outcome) -> list[str]:
    """List what is missing, what the capture itself lost, and what still waits."""
    lost = {cause: count for cause, count in outcome.symbols[0].lost.items() if cause != "stopped"}
    broken = [f"[{gap.start}, {gap.end}) is missing ({gap.cause})" for gap in found.gaps]
    broken += [f"the capture lost {count} ({cause})" for cause, count in lost.items()]
    return broken + ([f"{outcome.waiting} rows still wait"] if outcome.waiting else [])


def _uncounted(outcome: Outcome, rows: list[Snapshot], *, forgets: bool) -> list[str]:
    captured = outcome.symbols[0].rows
    return [] if forgets or captured == len(rows) else [f"{len(rows)} rows of {captured} are stored"]


def _words(trouble: Trouble, logs: list[LogRecord], receiver: Receiver, told: int) -> list[str]:
    """What should have been said and was not."""
    broken = []
    if trouble.says and not any(re.search(trouble.says, record.getMessage()) for record in logs):
        broken.append(f"nobody said {trouble.says}")
    return broken + (untold(trouble.says, receiver, told) if trouble.told else [])


def untold(says: str, receiver: Receiver, since: int = 0) -> list[str]:
    """See that an alert, not one of the first `since`, has the words that a person needs."""
    alerts = [got.json for got in receiver.got[since:]]
    if any(re.search(says, str(alert.get("cause"))) for alert in alerts):
        return []
    return [f"nobody was told {says}: {[alert['event'] for alert in alerts]}"]
