"""Whether a run still captures: what systemd is told of it, and when the run gives itself up."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import Protocol

from depth.errors import CaptureStalled
from depth.outcome import Outcome

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_WATCHDOG_USEC = 30_000_000


class Notifier:
    """The service's end of systemd's notification protocol.

    https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    """

    def __init__(self, address: str | None = None, watchdog_usec: int | None = None) -> None:
        """Prepare.

        Args:
            address: NOTIFY_SOCKET: a path, or ``@`` and a name of the abstract namespace; None to say nothing.
            watchdog_usec: WATCHDOG_USEC: silence after which the service is killed; None where it is not,
                where what is said is for `systemctl status` alone.
        """
        self._address = address and address.replace("@", "\0", 1) if address and address[0] == "@" else address
        # Twice in its time, as the manual asks.
        self.beat_seconds = (watchdog_usec or _WATCHDOG_USEC) / 2e6

    def say(self, *states: str) -> None:
        """Send, for example, ``READY=1``; a manager that does not listen is no reason to stop."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.sendto("\n".join(states).encode(), socket.MSG_DONTWAIT, self._address)
        except OSError as error:
            logger.debug("systemd does not take %s: %s", states, error)


class Capturing(Protocol):
    """What is watched."""

    @property
    def captured(self) -> int:
        """Rows so far."""
        ...

    def rests(self, now: float) -> bool:
        """Say whether it is in order that nothing is captured at `now`, monotonic seconds."""
        ...


class Watchdog:
    """Ends a run that captures nothing, so that whoever supervises it can begin a better one."""

    def __init__(
        self,
        capturing: Capturing,
        notifier: Notifier,
        limit_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            capturing: what is watched.
            notifier: told when the first row is there, and then that all is well, or at least not yet over.
            limit_seconds: without a row.
            clock: monotonic seconds.
        """
        self._capturing = capturing
        self._notifier = notifier
        self._limit_seconds = limit_seconds
        self._clock = clock
        self._stalled = False

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until cancelled; set `stop` once nothing was captured for too long."""
        try:
            await self._watch()
            self._stalled = True
            stop.set()
        finally:
            self._notifier.say("STOPPING=1")

    async def _watch(self) -> None:
        """Return once nothing was captured for too long."""
        idle, captured = 0.0, 0
        said = before = self._clock()
        while idle < self._limit_seconds:
            await asyncio.sleep(_LOOK_SECONDS)
            now = self._clock()
            # A process that stood still catches up with what it missed: its standing still does not count.
            idle += min(now - before, 2 * _LOOK_SECONDS)
            before = now
            if self._capturing.captured > captured:
                if not captured:
                    self._notifier.say("READY=1")
                idle, captured = 0.0, self._capturing.captured
            elif self._capturing.rests(now):
                idle = 0.0
            if now - said >= self._notifier.beat_seconds:
                said = now
                self._notifier.say("WATCHDOG=1", f"STATUS={captured} seconds captured, the last {idle:.0f} s ago")

    def check(self, outcome: Outcome) -> None:
        """See that it was not the watchdog that ended the run.

        Raises:
            CaptureStalled: it was.
        """
        if self._stalled:
            logger.warning("%s", outcome.line())
            raise CaptureStalled(self._limit_seconds)
