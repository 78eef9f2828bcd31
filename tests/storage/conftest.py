"""Disks that fill up, and spools in other processes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from depth.storage.spool import Spool
from tests.spooling import COLLECTOR


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
