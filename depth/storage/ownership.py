"""Who is alive: one lock file a collector, freed by the kernel with its process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from filelock import FileLock, Timeout

from depth.errors import StoreRefused

_SUFFIX = ".lock"
_ADOPTION_SECONDS = 5.0


class Ownership:
    """The locks beside one spool file.

    A lock file is removed by whoever holds it, before the lock is freed: one who waited for the removed file finds
    that it has no name any more and starts over (filelock does), so there are never two holders of one name.
    """

    def __init__(self, path: Path) -> None:
        """Name the spool file that the locks stand beside."""
        self._path = path
        self._own: FileLock | None = None

    def take(self, collector: str) -> None:
        """Declare `collector` alive.

        Raises:
            StoreRefused: another process has this id, or the folder cannot be written.
        """
        lock = self._lock(collector)
        try:
            lock.acquire(timeout=_ADOPTION_SECONDS)  # an adopter may hold it for the length of a transaction
        except Timeout as error:
            raise StoreRefused(f"collector {collector} already runs on {self._path}: stop it first") from error
        except OSError as error:
            said = f"cannot make {lock.lock_file} ({error.strerror})"
            raise StoreRefused(f"{said}: give this user the right to write {self._path.parent}") from error
        self._own = lock

    def give_up(self) -> None:
        """Free the own lock, if it is held."""
        if self._own is not None:
            _remove(self._own)
            self._own = None

    def names(self) -> set[str]:
        """List the collectors that have a lock file, alive or not."""
        prefix = f"{self._path.name}."
        return {
            unquote(file.name.removeprefix(prefix).removesuffix(_SUFFIX))
            for file in self._path.parent.glob("*" + _SUFFIX)
            if file.name.startswith(prefix)
        }

    @contextmanager
    def of_the_dead(self, collector: str) -> Iterator[bool]:
        """Hold the lock of another collector for a moment, if nobody does; its file is gone afterwards.

        Yields:
            Whether it was free: the collector is dead, and nobody else can inherit from it meanwhile.
        """
        lock = self._lock(collector)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            _remove(lock)

    def _lock(self, collector: str) -> FileLock:
        # An id may hold characters that no file name can.
        return FileLock(f"{self._path}.{quote(collector, safe='')}{_SUFFIX}", thread_local=False)


def _remove(lock: FileLock) -> None:
    try:
        Path(lock.lock_file).unlink(missing_ok=True)
    finally:
        lock.release()
