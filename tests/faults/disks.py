"""Disks that can be filled and written against, without harm to this machine's own."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.fault import NotPlayed

_BLOCK = b"\0" * 65_536


@contextmanager
def small(folder: Path, megabytes: int) -> Iterator[None]:
    """Make a folder a file system of its own, while the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid():
        raise NotPlayed("it takes root to mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        raise NotPlayed(f"no file system can be mounted here ({mounted.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Fill the file system of a folder to the last byte, while the block lasts."""
    ballast = folder / "ballast"
    size = len(_BLOCK)
    with ballast.open("wb", buffering=0) as file:
        while size:
            try:
                file.write(_BLOCK[:size])
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2
    try:
        yield
    finally:
        ballast.unlink()


def set_read_only(folder: Path, *, on: bool) -> None:
    """Let nobody write a folder that `small` has made; nothing may be open in it."""
    subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", folder], check=True)
