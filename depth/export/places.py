"""Where files go: a directory, or any URL that fsspec knows. A file is there whole or not at all."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from depth.errors import DestinationRefused, UsageError

_PART = ".part"


class Place:
    """A directory, on this machine or elsewhere. All of it blocks: call it in a thread."""

    def __init__(self, url: str) -> None:
        """Open it; nothing is made yet.

        Args:
            url: a path, or ``gs://bucket/folder``, ``s3://…`` and the like.

        Raises:
            UsageError: fsspec does not know the protocol, or lacks the package for it.
        """
        self.url = url
        try:
            files, self._root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise UsageError(f"--out {url}: {error}: add that package") from None
        except ValueError as error:
            raise UsageError(f"--out {url}: {error}: give a directory, gs://… or s3://…") from None
        self._files: Any = files
        self._local = isinstance(files, LocalFileSystem)

    def __str__(self) -> str:
        """Name it."""
        return self.url

    def demand(self) -> None:
        """Make the directory, and try to write into it.

        Raises:
            DestinationRefused: it cannot be done.
        """
        with self._refusals():
            probe = f"{self._root}/.depth-{_process()}{_PART}"
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(probe, b"")
            self._files.rm_file(probe)

    def size(self, name: str) -> int | None:
        """Give the bytes of a file, None where there is none."""
        with self._refusals(), suppress(FileNotFoundError, NotADirectoryError):
            return int(self._files.size(f"{self._root}/{name}"))
        return None

    @contextmanager
    def reading(self, name: str) -> Iterator[Any]:
        """Open a file that is there."""
        with self._refusals(), self._files.open(f"{self._root}/{name}", "rb") as file:
            yield file

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """Give a path to write a file to, until it is published; what is not published is gone afterwards.

        Args:
            name: below the directory; folders on the way are made.

        Raises:
            DestinationRefused: nothing can be written there.
        """
        with self._refusals():
            if not self._local:
                with TemporaryDirectory(prefix="depth-export-") as folder:
                    yield Path(folder, PurePosixPath(name).name)
                return
            target = Path(self._root, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            _clear(target)
            # Beside the target, on the same disk: there a file can take another's place at once.
            part = target.with_name(f".{target.name}.{_process()}{_PART}")
            try:
                yield part
            finally:
                part.unlink(missing_ok=True)

    def publish(self, part: Path, name: str) -> None:
        """Make the whole file appear, in place of an older one.

        Raises:
            DestinationRefused: it cannot be written.
        """
        with self._refusals():
            if self._local:
                with part.open("rb") as file:
                    os.fsync(file.fileno())
                part.replace(Path(self._root, name))
                return
            # Under another name first: not every server shows a file only once it has all of it.
            folder, _, last = f"{self._root}/{name}".rpartition("/")
            meanwhile = f"{folder}/.{last}.{_process()}{_PART}"
            self._files.makedirs(folder, exist_ok=True)
            self._files.put_file(str(part), meanwhile)
            self._files.mv(meanwhile, f"{folder}/{last}")

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = error.strerror or " ".join(str(error).split()) or type(error).__name__
            raise DestinationRefused(f"cannot write to {self.url} ({said}): make room or name another --out") from error


def _clear(target: Path) -> None:
    """Take away what processes of this machine that are gone have left unfinished."""
    host = socket.gethostname()
    for part in target.parent.glob(f".{target.name}.{host}.*{_PART}"):
        number = part.name.removesuffix(_PART).rpartition(".")[2]
        if number.isdecimal() and not _runs(int(number)):
            part.unlink(missing_ok=True)


def _process() -> str:
    return f"{socket.gethostname()}.{os.getpid()}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
