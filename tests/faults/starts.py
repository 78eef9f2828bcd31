"""What keeps a run from beginning, and whether a person learns it at once."""

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from depth.errors import StoreRefused
from depth.running import run
from tests.faults import disks, measure
from tests.faults.fault import Fault, Finding
from tests.faults.measure import until
from tests.faults.stores_stage import Scene, losses, staged, stored, untold
from tests.live import errors_in
from tests.receivers import receiving

_DISK_MEGABYTES = 64
_ENDS_SECONDS = 20.0
_ROWS_SECONDS = 40.0
_NO_DATABASE = b"\xde\xad" * 8192
_Do = Callable[[Path], object]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that a person must put right before rows can be stored.

    Attributes:
        name: what is wrong.
        what: folder that it is about: ``store`` or ``spool``.
        do: brings it about.
        undo: what the person does who reads the message.
        says: the remedy: what the message must hold.
        is_disk: the folder is a file system of its own.
    """

    name: str
    what: str
    do: _Do
    undo: _Do
    says: str
    is_disk: bool = False

    def fault(self, section: str) -> Fault:
        """Make it a row of the table."""
        must = "the run ends at once with one line, a person is told what to do, and that helps"
        return Fault(section, self.name, must, self.play, idle=True)

    def play(self, folder: Path) -> Finding:
        """Let it happen."""
        place = folder / self.what
        place.mkdir(parents=True)
        with disks.small(place, _DISK_MEGABYTES) if self.is_disk else nullcontext():
            return asyncio.run(self._play(folder, place))

    async def _play(self, folder: Path, place: Path) -> Finding:
        with measure.logs() as logs, receiving() as receiver:
            async with staged(folder, logs, receiver, "sqlite") as scene:
                self.do(place)
                began = time.monotonic()
                said = await _refusal(scene)
                took = time.monotonic() - began
                self.undo(place)
                broken = [] if self.says in said and "\n" not in said else [f"it said {said!r}"]
                broken += untold(self.says, receiver) + await _goes_on(scene) + measure.mistakes(logs)
        return Finding(f"it ended after {took:.1f} s: {self.says}", {"ended after s": round(took, 1)}, tuple(broken))


async def _refusal(scene: Scene) -> str:
    """Run; give the line with which it ends."""
    try:
        await asyncio.wait_for(run(scene.plan, asyncio.Event()), _ENDS_SECONDS)
    except StoreRefused as error:
        return str(error)
    except TimeoutError:
        return "nothing: it went on"
    return "nothing: it ended well"


async def _goes_on(scene: Scene) -> list[str]:
    """Run again; say what is not as it must be."""
    stop = asyncio.Event()
    running = asyncio.create_task(run(scene.plan, stop))
    await until(lambda: running.done() or scene.acknowledged(), _ROWS_SECONDS)
    first = scene.acknowledged()
    await until(lambda: running.done() or scene.acknowledged() >= first + 2, _ROWS_SECONDS)
    stop.set()
    outcome = await asyncio.wait_for(running, _ENDS_SECONDS)
    rows, found = await stored(scene, first)
    return errors_in(rows, scene.exchange)[:3] + losses(found, outcome)


def _garbage(name: str) -> _Do:
    return lambda place: (place / name).write_bytes(_NO_DATABASE)


def _move_away(name: str) -> _Do:
    return lambda place: (place / name).rename(place / f"{name}.broken")


_RIGHT = "give this user the right to write"
_MOVE = "it was left untouched; move it away"
_WHAT = {"store": ("database", "depth.db"), "spool": ("spool", "spool.db")}

FAULTS = tuple(
    trouble.fault("SQLite and disks")
    for what, (name, file) in _WHAT.items()
    for trouble in (
        Trouble(
            name=f"the folder of the {name} is read-only when a run begins",
            what=what,
            do=lambda place: disks.set_read_only(place, on=True),
            undo=lambda place: disks.set_read_only(place, on=False),
            says=_RIGHT,
            is_disk=True,
        ),
        Trouble(
            name=f"the file of the {name} is damaged when a run begins",
            what=what,
            do=_garbage(file),
            undo=_move_away(file),
            says=_MOVE,
        ),
    )
)
