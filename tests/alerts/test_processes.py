"""Several processes that would all send the same message, and some that die over it; real stores, a real receiver."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.alerts import dispatching
from tests.alerts.made import TABLE
from tests.receivers import Receiver, receiving

pytestmark = pytest.mark.commands

_SECONDS = 60.0


@pytest.fixture(params=["sqlite", "bigtable"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Make the table, in a store of each kind; give what the processes take."""
    backend = request.param
    where = str(tmp_path / "depth.db")
    if backend == "bigtable":
        where = f"{request.getfixturevalue('bigtable_host')},i{uuid4().hex}"

    async def make() -> None:
        store = dispatching.opened(backend, where)
        await store.ensure_table(f"{TABLE}_collectors", ("value",))
        await store.close()

    asyncio.run(make())
    return backend, where


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


class Dispatchers:
    """Processes that are ready to deliver the message."""

    def __init__(self, place: tuple[str, str], receiver: Receiver) -> None:
        self._arguments = [str(Path(dispatching.__file__)), *place, receiver.url]
        self.children: list[subprocess.Popen[str]] = []

    def ready(self, *thens: str, lease: float = 60.0) -> None:
        """Start one for each and wait until all are ready."""
        command = [sys.executable, *self._arguments, str(lease)]
        begun = [
            subprocess.Popen([*command, then], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for then in thens
        ]
        self.children += begun
        for child in begun:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"

    def go(self) -> list[str | int]:
        """Let all of them deliver at once; give what each said, or the signal that it died of."""
        ended: list[str | int] = []
        for child in self.children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        for child in self.children:
            out, _ = child.communicate(timeout=_SECONDS)
            ended.append(out.strip() or child.returncode)
        self.children.clear()
        return ended


@pytest.fixture
def dispatchers(place: tuple[str, str], receiver: Receiver) -> Iterator[Dispatchers]:
    made = Dispatchers(place, receiver)
    yield made
    for child in made.children:
        with child:
            child.kill()


def test_two_at_the_same_time_send_one_message(dispatchers: Dispatchers, receiver: Receiver) -> None:
    """The other finds it sent, or at work; afterwards nobody sends it again."""
    dispatchers.ready("send", "send")
    assert "True" in dispatchers.go()
    dispatchers.ready("send")
    assert dispatchers.go() == ["True"]
    assert receiver.events == ["gap.opened"]


def test_a_dead_receiver_gets_it_once_it_lives(dispatchers: Dispatchers, receiver: Receiver) -> None:
    """Nothing is lost, and nothing is told twice."""
    receiver.status = 503
    dispatchers.ready("send")
    assert dispatchers.go() == ["False"]
    receiver.got.clear()
    receiver.status = 200
    dispatchers.ready("send", "send")
    assert "True" in dispatchers.go()
    assert receiver.events == ["gap.opened"]


@pytest.mark.parametrize(("lease", "events"), [(600.0, []), (0.5, ["gap.opened"])])
def test_after_a_death_between_claim_and_sending_another_sends_when_the_lease_is_over(
    dispatchers: Dispatchers, receiver: Receiver, lease: float, events: list[str]
) -> None:
    """Not before, though two are asked to; then once."""
    dispatchers.ready("die", lease=lease)
    assert dispatchers.go() == [-9]
    assert receiver.got == []
    dispatchers.ready("send", "send")
    time.sleep(0.6)
    assert ("True" in dispatchers.go()) is bool(events)
    assert receiver.events == events
