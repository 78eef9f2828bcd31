"""The stores under test."""

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from depth.storage.base import Store
from depth.storage.spool import Spool
from depth.storage.sqlite import SqliteStore
from tests import emulator
from tests.spooling import COLLECTOR

Opener = Callable[[], Awaitable[Store]]


@pytest.fixture(scope="session")
def bigtable_host() -> Iterator[str]:
    """`host:port` of an emulator for the whole session; tests part by the name of their instance."""
    if emulator.find() is None:
        pytest.skip(emulator.MISSING)
    with emulator.running() as host:
        yield host


@pytest.fixture(params=["sqlite", "bigtable"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    """Open further stores on the same place, as other processes would."""
    opened: list[Store] = []
    place = f"i{uuid4().hex}"

    async def opener() -> Store:
        if request.param == "sqlite":
            opened.append(SqliteStore(tmp_path / "data" / "depth.db"))
        else:
            from depth.storage.bigtable import BigtableStore  # noqa: PLC0415 - as callers do, for that backend alone

            host = request.getfixturevalue("bigtable_host")
            opened.append(BigtableStore("project", place, None, host))
        return opened[-1]

    yield opener
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: Opener) -> Store:
    """One store of each backend."""
    return await open_store()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"A FULL DISK IS NOT TESTED: this user may not mount a small one ({mounted.stderr.strip()})")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def read_only_disk(small_disk: Path) -> Path:
    """A disk that nobody can write."""
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    return small_disk


@pytest.fixture
def junk(small_disk: Path) -> Path:
    """Name a file that takes what is left of the small disk once it is filled by `fill`."""
    return small_disk / "junk"


@pytest.fixture
def fill(junk: Path) -> Callable[[], None]:
    """Let another program take what is left of the small disk."""

    def take() -> None:
        with junk.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(2**16)):
                pass

    return take


@pytest.fixture
def spool_path(tmp_path: Path) -> Path:
    """A spool file that is not there, nor its folders."""
    return tmp_path / "new" / "folders" / "spool.db"


@pytest.fixture
def open_spool(spool_path: Path) -> Iterator[Callable[..., Spool]]:
    """Open the spool as `collector`, in this process."""
    opened: list[Spool] = []

    def opener(collector: str = "me", limit_bytes: int = 2**30, at: Path = spool_path) -> Spool:
        spool = Spool(at, collector, limit_bytes)
        spool.open()
        opened.append(spool)
        return spool

    yield opener
    for spool in opened:
        spool.close()


@pytest.fixture
def collect(spool_path: Path) -> Iterator[Callable[[str, int, str], subprocess.Popen[str]]]:
    """Run collectors as processes."""
    children: list[subprocess.Popen[str]] = []

    def run(collector: str, rows: int, then: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", COLLECTOR, spool_path, collector, str(rows), then],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield run
    for child in children:
        with child:
            child.kill()
