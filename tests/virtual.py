"""An event loop whose time passes as soon as nobody has anything to do: hours of waiting in moments.

Sockets are real, files are real; only the clock is not. Before time passes, everything that was sent has arrived, and
what is handed to an executor is done at once, so a run with the same seeds is the same run, on a busy machine too.
"""

import asyncio
import fcntl
import selectors
import socket
import struct
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import connector

T = TypeVar("T")

STEP_SECONDS = 1e-7
_ON_ITS_WAY_SECONDS = 0.00005  # real ones; what was sent on the loopback has mostly arrived when `send` returns
_LOOKS = 20
_SIOCOUTQNSD = 0x894B  # bytes that a TCP socket has not sent yet, see tcp(7)
_NOTHING = struct.pack("i", 0)
_WALL = 1_767_225_600.0  # 2026-01-01


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for its time-out it adds it to the clock."""

    now = 0.0
    step = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += self.step
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        for _ in range(_LOOKS):
            time.sleep(_ON_ITS_WAY_SECONDS)
            ready = super().select(0)
            if ready or not any(_is_unsent(key.fd) for key in self.get_map().values()):
                break
        if not ready and timeout is not None:
            self.now += max(timeout, 0.0) + self.step
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own.

    Attributes:
        names_fail: no host name is found.
        names_unfound: how often one was looked up in vain.
        wall_offset: seconds that the wall clock is wrong by, where `clocks` has set it.
    """

    def __init__(self, start: float = 0.0, step: float = 0.0) -> None:
        """Begin at a time; with a step no clock is read twice at one moment, nor at the very one waited for."""
        self._virtual = _Selector()
        self._virtual.now, self._virtual.step = start, step
        self.names_fail = False
        self.names_unfound = 0
        self.wall_offset = 0.0
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def stand_still(self, seconds: float) -> None:
        """Let the process, and all that runs in this loop, do nothing for a while: every timer is late at once."""
        self._virtual.now += seconds

    def run_in_executor(  # type: ignore[override]  # its own is typed by what it calls
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Do it here and now: a thread would work while time passes."""
        del executor
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # it is the caller's
            done.set_exception(error)
        return done

    async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> list[Any]:
        if self.names_fail:
            self.names_unfound += 1
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return await super().getaddrinfo(host, port, **how)


@contextmanager
def clocks(loop: VirtualLoop) -> Iterator[None]:
    """Let `time.monotonic` and `time.time` be the loop's clock, for code that asks them.

    aiohttp holds `monotonic` by a name of its own: by it host names that were looked up are forgotten.
    """
    monotonic, wall = time.monotonic, time.time
    time.monotonic = loop.time
    time.time = lambda: _WALL + loop.time() + loop.wall_offset
    setattr(connector, "monotonic", loop.time)  # noqa: B010  # the module does not export it
    try:
        yield
    finally:
        time.monotonic, time.time = monotonic, wall
        setattr(connector, "monotonic", monotonic)  # noqa: B010  # same


def run(loop: VirtualLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and close the loop."""
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _is_unsent(descriptor: int) -> bool:
    try:
        return fcntl.ioctl(descriptor, _SIOCOUTQNSD, _NOTHING) != _NOTHING
    except OSError:  # it is no TCP socket
        return False
