"""One collector in trouble, in virtual time: what is done to its exchange, and what must be true afterwards."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from depth import continuity, snapshot, tables
from depth.anchoring import Schedule
from depth.continuity import Check, Continuity
from depth.exchange.simulated import Options, Source
from depth.incidents import Report
from depth.storage.sqlite import SqliteStore
from tests import stored_rows
from tests.faults import measure
from tests.faults.fault import Fault, Finding
from tests.faults.measure import Held
from tests.live import Exchange, Run, collecting, errors_in
from tests.stored_rows import TABLE
from tests.virtual import STEP_SECONDS, VirtualLoop, clocks, run

_START = 1000.0
_LATE_SECONDS = 2
_LOOK_SECONDS = 60.0  # nobody here asks what is seen between times
# Where in a second a fault begins decides how many epochs it touches.
_MOMENTS = (0.0, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A fault of the exchange.

    Attributes:
        name: what is done.
        do: does it, once the collector has three rows.
        seconds: of virtual time, after that.
        lost: epochs that may be missing.
        causes: that the ledger may give for them.
        suspect: rows that the collector itself may call into doubt.
        as_told: rows that may hold the event whose time both sockets told wrongly: by that time it belongs there.
        options: of the exchange.
        source: of the market.
        before: done before the collector starts.
        schedule: of the collector's snapshots.
        connections: of the collector.
        also: says what else is not as it must be.
    """

    name: str
    do: Callable[["Scene"], object] = lambda _: None
    seconds: float = 15.0
    lost: int = 0
    causes: tuple[str, ...] = ()
    suspect: int = 0
    as_told: int = 0
    options: Options | None = None
    source: Source | None = None
    before: Callable[[Exchange], object] = lambda _: None
    schedule: Callable[[], Schedule] = Schedule
    connections: int = 2
    also: Callable[["Scene"], Sequence[str]] = lambda _: ()
    quick: bool = True

    @property
    def must(self) -> str:
        """What must happen, in words."""
        lost = f"at most {self.lost} {'epoch' if self.lost == 1 else 'epochs'} lost ({', '.join(self.causes)})"
        told = f"; at most {self.as_told} row by the time that was told" if self.as_told else ""
        return (lost if self.lost else "no epoch lost") + told

    def fault(self, section: str) -> Fault:
        """Make it a row of the table."""
        quick = (lambda folder: self.play(folder, _MOMENTS[1:2])) if self.quick else None
        return Fault(section, self.name, self.must, lambda folder: self.play(folder, _MOMENTS), quick)

    def play(self, folder: Path, moments: Sequence[float]) -> Finding:
        """Let it happen at some moments of a second; tell the worst."""
        found = [self._play(folder / str(moment), moment) for moment in moments]
        worst = max(found, key=lambda finding: (not finding.held, finding.figures["lost"]))
        return replace(worst, broken=tuple(dict.fromkeys(each for finding in found for each in finding.broken)))

    def _play(self, folder: Path, moment: float) -> Finding:
        loop = VirtualLoop(_START, STEP_SECONDS)
        with clocks(loop), measure.logs() as logs:
            return run(loop, _play(self, Scene(loop, logs, moment), folder))


@dataclass
class Scene:
    """What a fault has at hand, and what was seen.

    Attributes:
        loop: its clocks and names can be made to fail.
        logs: everything that was said.
        moment: of a second, at which the fault is done.
        run: the collector.
        ended: epoch of the exchange when the scene was over.
        before: what the process held when the fault was done.
        after: and when the scene was over.
    """

    loop: VirtualLoop
    logs: list[logging.LogRecord]
    moment: float
    run: Run = field(init=False)
    ended: int = 0
    before: Held = field(init=False)
    after: Held = field(init=False)

    @property
    def faults(self) -> Any:
        """The exchange's control panel."""
        return self.run.exchange.faults


async def _play(trouble: Trouble, scene: Scene, folder: Path) -> Finding:
    async with collecting(
        trouble.options,
        source=trouble.source,
        before=trouble.before,
        schedule=trouble.schedule,
        connections=trouble.connections,
        look_seconds=_LOOK_SECONDS,
    ) as scene.run:
        await asyncio.sleep(scene.moment)
        scene.before = measure.held()
        done = trouble.do(scene)
        if isinstance(done, Awaitable):
            await done
        await asyncio.sleep(trouble.seconds)
        scene.ended = scene.run.exchange.market_ms() // 1000
        scene.after = measure.held()
        still_open = scene.run.exchange.state.open
    found = await _verify(scene.run, scene.ended, folder)
    broken = [
        *_errors(scene.run, trouble.as_told)[:3],
        *_accounts(trouble, found),
        *_afterwards(trouble, scene, len(still_open)),
        *trouble.also(scene),
    ]
    lost = _lost(found)
    said = ", ".join(f"{count} lost ({cause})" for cause, count in lost.items()) or "none lost"
    return Finding(said, _figures(scene, sum(lost.values())), tuple(broken))


async def _verify(collected: Run, ended: int, folder: Path) -> Continuity:
    """Store what was captured and check it as the flow does, from the first row to the end of the scene."""
    store = SqliteStore(folder / "depth.db")
    rows, incidents = collected.sink.rows, [*collected.sink.incidents.values()]
    try:
        await stored_rows.store_rows(store, rows)
        reports = [Report(each.start, each.end, each.cause, "test").record(TABLE.symbol) for each in incidents]
        await store.write(tables.collectors_table(TABLE.name), reports)
        stored = [record async for record in store.scan(TABLE.name, "", "~")]
        decoded = [snapshot.decode(each.key, each.columns, TABLE.symbol).epoch for each in stored]
        assert decoded[::-1] == sorted(set(collected.epochs))
        return await continuity.verify(store, TABLE, Check(rows[0].epoch, ended, now=ended + 60, by_hand=True))
    finally:
        await store.close()


def _errors(collected: Run, as_told: int) -> list[str]:
    """Hold every row against the exchange's own book, but for those that the collector itself calls suspect.

    Nothing is wrong where no more than `as_told` rows differ.
    """
    suspect = [incident for incident in collected.sink.incidents.values() if incident.cause == "suspect"]
    vouched = [row for row in collected.sink.rows if not any(each.start <= row.epoch < each.end for each in suspect)]
    errors = errors_in(vouched, collected.exchange)
    return errors if len({error.partition(":")[0] for error in errors}) > as_told else []


def _lost(found: Continuity) -> dict[str, int]:
    """Count the missing epochs by cause, without the last ones, which no run can prove."""
    lost: dict[str, int] = {}
    for gap in found.gaps:
        if gap.cause != "stopped":
            lost[gap.cause] = lost.get(gap.cause, 0) + gap.end - gap.start
    return lost


def _accounts(trouble: Trouble, found: Continuity) -> Sequence[str]:
    lost = _lost(found)
    broken = [f"{count} epochs are lost for {cause}" for cause, count in lost.items() if cause not in trouble.causes]
    if sum(lost.values()) > trouble.lost:
        broken.append(f"{sum(lost.values())} epochs are lost")
    return broken


def _afterwards(trouble: Trouble, scene: Scene, still_open: int) -> Sequence[str]:
    """What is not as it was before, once the fault is over."""
    broken = []
    last = scene.run.epochs[-1]
    if last < scene.ended - _LATE_SECONDS:
        broken.append(f"the last row is {scene.ended - last} s old")
    if still_open != trouble.connections:
        broken.append(f"{still_open} sockets are open")
    for what in ("handles", "tasks"):
        before, after = getattr(scene.before, what), getattr(scene.after, what)
        if after > before:
            broken.append(f"{after} {what} instead of {before}")
    broken += measure.mistakes(scene.logs)
    if scene.run.outcome.suspect > trouble.suspect:
        broken.append(f"{scene.run.outcome.suspect} rows are suspect")
    return broken


def _figures(scene: Scene, lost: int) -> dict[str, int | float | str]:
    return {
        "lost": lost,
        "rows": len(scene.run.sink.rows),
        "resyncs": scene.run.outcome.resyncs,
        "sockets": scene.run.connections,
        "snapshots": len(scene.run.client.asked),
        "MB": round(scene.after.megabytes - scene.before.megabytes, 1),
    }
