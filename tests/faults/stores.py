"""What a store, a spool and a disk can do wrong."""

import asyncio
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import grpc  # type: ignore[import-untyped]

from tests.faults import disks
from tests.faults.stores_stage import Scene, Trouble

_LOCKER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
"""


async def _shut(scene: Scene, seconds: float) -> None:
    assert scene.door is not None
    scene.door.shut()
    await asyncio.sleep(seconds)
    await scene.door.open()


async def _hang(scene: Scene, seconds: float) -> None:
    assert scene.door is not None
    scene.door.hang()
    await asyncio.sleep(seconds)
    scene.door.let_go()


async def _answer(scene: Scene, status: grpc.StatusCode, seconds: float) -> None:
    assert scene.front is not None
    scene.front.status = status
    await asyncio.sleep(seconds)
    scene.front.status = None


async def _fail_partly(scene: Scene, seconds: float) -> None:
    """Every other row of every bulk fails at first."""
    assert scene.front is not None
    seen: set[int] = set()

    def fails(index: int) -> bool:
        seen.symmetric_difference_update({index})
        return index % 2 == 0 and index in seen

    scene.front.fails = fails
    await asyncio.sleep(seconds)
    scene.front.fails = None


async def _forget(scene: Scene) -> None:
    assert scene.emulator is not None
    scene.emulator.replace()
    await asyncio.sleep(5)


async def _lock(path: Path, seconds: float) -> None:
    """Let another process hold the write lock."""
    locker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LOCKER, str(path), str(seconds), stdout=subprocess.PIPE
    )
    assert locker.stdout is not None
    assert await locker.stdout.readline() == b"locked\n"
    assert await locker.wait() == 0


async def _fill(folder: Path, seconds: float) -> None:
    with disks.full(folder):
        await asyncio.sleep(seconds)


async def _replace(path: Path, seconds: float) -> None:
    _remove(path)
    path.write_bytes(b"\xde\xad" * 8192)
    await asyncio.sleep(seconds)
    shutil.move(path, path.with_suffix(".broken"))


async def _delete(path: Path) -> None:
    _remove(path)
    await asyncio.sleep(5)


def _remove(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def _status(code: str, *, told: str = "") -> Trouble:
    return Trouble(
        name=f"Bigtable answers {code} for 15 s",
        do=partial(_answer, status=grpc.StatusCode[code], seconds=15),
        says=told or code,
        told=bool(told),
    )


BIGTABLE = (
    Trouble(
        name="Bigtable cannot be reached for 60 s",
        do=partial(_shut, seconds=60),
        says="UNAVAILABLE",
        recovery=60,  # gRPC takes up to 18 s more to connect anew
    ),
    Trouble(name="Bigtable takes connections for 40 s and answers nothing", do=partial(_hang, seconds=40)),
    *(_status(code) for code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL")),
    _status("PERMISSION_DENIED", told="roles/bigtable.user"),
    _status("UNAUTHENTICATED", told="gcloud auth application-default login"),
    _status("NOT_FOUND", told="BIGTABLE_INSTANCE_ID"),
    Trouble(name="every other row of every bulk fails for 15 s", do=partial(_fail_partly, seconds=15)),
    Trouble(name="Bigtable comes back empty: tables are made again", do=_forget, forgets=True),
)

SQLITE = (
    Trouble(
        name="another process locks the database for 10 s",
        do=lambda scene: _lock(scene.plan.store.sqlite_path, 10),
        backend="sqlite",
        says="SQLITE_BUSY",
    ),
    Trouble(
        name="another process locks the spool for 10 s",
        do=lambda scene: _lock(scene.plan.spool_path, 10),
        backend="sqlite",
        says="held in memory.*SQLITE_BUSY",
    ),
    Trouble(
        name="the database's disk is full for 15 s",
        do=lambda scene: _fill(scene.plan.store.sqlite_path.parent, 15),
        backend="sqlite",
        disk="store",
        says="free disk space under",
    ),
    Trouble(
        name="the spool's disk is full for 15 s",
        do=lambda scene: _fill(scene.plan.spool_path.parent, 15),
        backend="sqlite",
        disk="spool",
        says="free disk space under",
        told=True,
    ),
    Trouble(
        name="the database is replaced by a file that is none; 15 s later a person moves it away",
        do=lambda scene: _replace(scene.plan.store.sqlite_path, 15),
        backend="sqlite",
        says="move it away or name another file",
        told=True,
        forgets=True,
    ),
    Trouble(
        name="the database is deleted",
        do=lambda scene: _delete(scene.plan.store.sqlite_path),
        backend="sqlite",
        forgets=True,
    ),
)

FAULTS = (
    *(trouble.fault("Bigtable") for trouble in BIGTABLE),
    *(trouble.fault("SQLite and disks") for trouble in SQLITE),
)
