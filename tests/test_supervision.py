"""What systemd is told, on a real socket, and when a run gives itself up."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from depth.errors import CaptureStalled
from depth.outcome import Latency, Outcome
from depth.supervision import Notifier, Watchdog
from tests import virtual

NOTHING = Outcome("here-1", [], Latency())


@dataclass
class Manager:
    """The end of systemd: a datagram socket."""

    channel: socket.socket
    address: str

    def heard(self) -> list[str]:
        """Give what was said since the last look, a state each."""
        states: list[str] = []
        with suppress(BlockingIOError):
            while True:
                states += self.channel.recv(4096).decode().split("\n")
        return states


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A manager that listens, at a path or in the abstract namespace."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@depth-{uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address.replace("@", "\0"))
        channel.setblocking(False)  # noqa: FBT003  # its only argument
        yield Manager(channel, address)


@dataclass
class Scripted:
    """A capture whose rows and rests are functions of the time."""

    clock: Callable[[], float]
    rows: Callable[[float], int] = lambda _: 0
    resting: Callable[[float], bool] = lambda _: False
    asked: list[float] = field(default_factory=list)

    @property
    def captured(self) -> int:
        return self.rows(self.clock())

    def rests(self, now: float) -> bool:
        self.asked.append(now)
        return self.resting(now)


def watch(
    seconds: float,
    notifier: Notifier | None = None,
    rows: Callable[[float], int] = lambda _: 0,
    resting: Callable[[float], bool] = lambda _: False,
) -> tuple[Watchdog, float | None]:
    """Watch a capture for so many virtual seconds; give the watchdog and when it ended the run."""
    loop = virtual.VirtualLoop()
    watchdog = Watchdog(Scripted(loop.time, rows, resting), notifier or Notifier(), 120, loop.time)

    async def scene() -> float | None:
        stop = asyncio.Event()
        watching = asyncio.create_task(watchdog.run(stop))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
        ended = loop.time() if stop.is_set() else None
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return ended

    return watchdog, virtual.run(loop, scene())


def test_what_is_said_reaches_the_manager(manager: Manager) -> None:
    """States of one call are one datagram, whatever kind of address systemd has given."""
    Notifier(manager.address).say("READY=1", "STATUS=well")
    assert manager.channel.recv(4096) == b"READY=1\nSTATUS=well"


@pytest.mark.parametrize("address", [None, "", "/nowhere/notify"])
def test_without_a_manager_nothing_happens(address: str | None) -> None:
    """No address, or nobody there: a run in a terminal is none the worse."""
    Notifier(address).say("READY=1")


def test_nothing_captured_for_120_s_ends_the_run() -> None:
    """The stop is set at 120 s, and the end of the run is an error that names the remedy."""
    watchdog, ended = watch(500)
    assert ended == 120
    with pytest.raises(CaptureStalled, match=r"nothing was captured for 120 s.*depth doctor"):
        watchdog.check(NOTHING)


def test_a_run_that_captures_goes_on() -> None:
    """One row every 100 s is enough, and its end is no error."""
    watchdog, ended = watch(5000, rows=lambda now: int(now // 100))
    assert ended is None
    watchdog.check(NOTHING)


def test_the_time_counts_from_the_last_row() -> None:
    """Rows until 300 s: the run ends at 420 s."""
    assert watch(5000, rows=lambda now: int(min(now, 300)))[1] == 420


def test_a_rest_is_no_stall() -> None:
    """While it is in order that nothing comes, no time counts; it counts from then on."""
    assert watch(5000, resting=lambda now: now <= 1000)[1] == 1120


def test_a_process_that_stood_still_is_given_time_to_catch_up() -> None:
    """An hour of SIGSTOP is two seconds for the watchdog: what was missed waits in the sockets' buffers."""
    loop = virtual.VirtualLoop()
    away = [0.0]
    watchdog = Watchdog(Scripted(loop.time), Notifier(), 120, lambda: loop.time() + away[0])

    async def scene() -> float:
        stop = asyncio.Event()
        loop.call_at(50.5, lambda: away.__setitem__(0, 3600.0))
        async with asyncio.timeout(500):
            await watchdog.run(stop)
        return loop.time()

    assert virtual.run(loop, scene()) == 119


def test_the_manager_is_told_when_it_begins_that_it_lives_and_when_it_ends(manager: Manager) -> None:
    """READY with the first row, a beat twice in the watchdog's time, STOPPING at the end."""
    watch(61, Notifier(manager.address, 20_000_000), rows=lambda now: int(max(now - 15, 0)))
    heard = manager.heard()
    assert [state for state in heard if not state.startswith("STATUS=")] == [
        *("WATCHDOG=1", "READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1")
    ]
    assert heard[-2] == "STATUS=45 seconds captured, the last 0 s ago"


def test_a_run_that_captures_nothing_is_never_ready(manager: Manager) -> None:
    """The start job waits for the first row."""
    watch(500, Notifier(manager.address, 200_000_000))
    heard = manager.heard()
    assert "READY=1" not in heard
    assert heard[-1] == "STOPPING=1"
