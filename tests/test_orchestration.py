"""What a real server and real workers do when processes die: scenes played at the same time, then looked at."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from deploy.local.stack import free_port
from depth.exchange.simulated import Options, SyntheticSource, threaded
from tests import orchestra
from tests.orchestra import Deployment, Run, Site, until

pytestmark = [pytest.mark.scenes, pytest.mark.timeout(900)]

Played = dict[str, Future[Any]]
LIVE_SECONDS = 90.0
ABSENCES = 6
DELAYS = (0, 10, 30, 60)


def live(site: Site, name: str, count: int = 1) -> list[Run]:
    """Wait until so many runs of a scene collect and have stored some seconds; give them."""

    def collecting() -> list[Run]:
        known = {one.scheduled for one in site.presences(name) if one.state == "chained" and one.last_epoch}
        return [run for run in site.runs(name) if run.state == "Running" and int(run.due) in known]

    until(lambda: len(collecting()) >= count and len(site.epochs(name)) >= 3, LIVE_SECONDS)
    return collecting()


@dataclass(frozen=True)
class Killed:
    """One run of a scene was killed.

    Attributes:
        asked_after: seconds until a new run was asked for.
        stored_after: seconds until a later second was stored.
        missing: seconds that are missing afterwards.
    """

    asked_after: float
    stored_after: float
    missing: list[int]


def kill_one(site: Site, name: str, count: int) -> Killed:
    """Have so many collectors live, then kill the newest."""
    for _ in range(count):
        site.ask("collect", name, time.time())
        time.sleep(1.1)  # they differ by the second
    runs = live(site, name, count)
    killed = site.kill(runs[-1])
    until(lambda: len(site.runs(name)) > count, 60)
    asked = site.runs(name)[-1].created
    stored = until(lambda: site.epochs(name)[-1] > killed + 1, 90)
    until(lambda: site.epochs(name)[-1] > stored + 5, 30)
    killing = Killed(asked - killed, stored - killed, site.missing(name))
    if name != "one":  # it lives on, until the server is away
        site.finish(name)
    return killing


def crash_at_once(site: Site) -> list[Run]:
    """Kill every process of a deployment as soon as it is there; give its runs once the fourth has crashed."""
    over = threading.Event()

    def executioner() -> None:
        while not over.wait(0.5):
            for run in site.runs("crash"):
                with suppress(ValueError, ProcessLookupError):
                    site.kill(run)

    with ThreadPoolExecutor() as pool:
        killing = pool.submit(executioner)
        try:
            site.ask("collect", "crash", time.time())
            until(lambda: site.states("crash").count("Crashed") >= len(DELAYS), 300)
            time.sleep(20)  # the last hook
            runs = site.runs("crash", ahead=120)
        finally:
            over.set()
        killing.result()
    site.cancel(runs[-1])
    return runs


def relay(site: Site) -> list[int]:
    """Play three hand-overs; give the seconds that are missing."""
    until(lambda: site.states("relay").count("Completed") >= 3, 330)
    return site.missing("relay")


def away(site: Site) -> dict[str, list[Run]]:
    """Let schedules pass without a worker, then start it; give the runs."""
    now = int(time.time())
    hour = now - now % 3600
    for ago in range(ABSENCES):
        site.ask("verify", "verify-away", hour - 3600 * ago)
        site.ask("collect", "hours-away", hour - 3600 * ago)
    until(lambda: len(site.runs("away")) >= ABSENCES, 240)
    site.stack.start_worker("depth-away", "away")
    names = ["away", "hours-away", "verify-away"]
    until(lambda: {state for name in names for state in site.states(name)} <= {"Skipped", "Failed", "Running"}, 240)
    for name in names[:2]:
        live(site, name)
    time.sleep(10)
    runs = {name: site.runs(name) for name in names}
    for name in names:
        site.finish(name)
    return runs


@dataclass(frozen=True)
class Together:
    """A worker and its flow were killed together, and the worker was started again.

    Attributes:
        said: what the boot command said: twice before the first start, and before the second.
        killed: when.
        stored: when a later second was stored.
    """

    said: list[str]
    killed: float
    stored: float


@dataclass(frozen=True)
class Crashed:
    """A run whose worker died with it, as the server sees it.

    Attributes:
        after: seconds from its end until the server knew.
        message: of the run.
    """

    after: float
    message: str


def kill_together(site: Site) -> Together:
    """Kill a worker with its flow, and boot again."""
    said = [site.boot("collect/together"), site.boot("collect/together")]
    site.stack.start_worker("depth-together", "together")
    live(site, "together")
    site.kill_worker("together")
    killed = time.time()
    said.append(site.boot("collect/together"))
    site.stack.start_worker("depth-together", "together")
    stored = until(lambda: site.epochs("together")[-1] > killed + 2, 120)
    return Together(said, killed, stored)


def find_crashed(site: Site, killed: float) -> Crashed:
    """Wait until the server knows of a run that died with its worker."""
    crashed = until(lambda: site.states("together")[0] == "Crashed", 300)
    site.finish("together")
    return Crashed(crashed - killed, site.runs("together")[0].message)


def fail(site: Site, told: list[str]) -> list[str]:
    """Let a check fail twice; give what the chat was told."""
    for _ in range(2):
        site.ask("verify", "verify-failing", time.time())
    until(lambda: site.states("verify-failing") == ["Failed"] * 2 and told, 150)
    time.sleep(10)
    return told


@dataclass(frozen=True)
class Outage:
    """The server was away for a minute, while collectors lived and one was to hand over."""

    missing: dict[str, list[int]]
    uploads: int
    states: list[str]


def outage(site: Site) -> Outage:
    """Kill the server for 60 s."""
    [run] = live(site, "one")
    before = time.time() - 20
    began, end = site.restart_server_after(60)
    until(lambda: all(site.epochs(name)[-1] > end + 10 for name in ("one", "relay")), 60)
    until(lambda: site.task_runs(run, began, end) >= 20, 90)
    until(lambda: any(one.due > end and one.state == "Running" for one in site.runs("relay")), 120)
    missing = {name: site.missing(name, before) for name in ("one", "relay")}
    return Outage(missing, site.task_runs(run, began, end), [one.state for one in site.runs("one")])


DEPLOYED = [
    Deployment("one"),
    Deployment("two", {"replicas": 2}),
    Deployment("crash"),
    Deployment("relay", {"duration": 45}, {"interval": 45}),
    Deployment("hours-away", pool="depth-away"),
    Deployment("verify-away", {"period": 3600}, pool="depth-away", of="verify-recent"),
    Deployment("together", pool="depth-together"),
    Deployment("verify-failing", of="verify-recent"),
]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Play all scenes: the server's end last, since it is everybody's."""
    with threaded(SyntheticSource(), Options(weight_limit=100_000)) as exchange, orchestra.chat() as (webhook, told):
        site = Site(tmp_path_factory.mktemp("site"), exchange)
        try:
            site.stack.start_server(free_port(0))
            site.stack.run(sys.executable, "-m", "deploy.automations", "--webhook", webhook)
            start = datetime.fromtimestamp(time.time() + 40, UTC).strftime("%Y%m%dT%H%M%SZ")
            passing = {"rrule": f"DTSTART:{start}\nRRULE:FREQ=SECONDLY;INTERVAL=15;COUNT={ABSENCES}"}
            site.deploy([*DEPLOYED, Deployment("away", schedule=passing, pool="depth-away")])
            site.stack.start_worker()
            with ThreadPoolExecutor(max_workers=8) as pool:
                yield _play(site, pool, told)
        finally:
            site.stack.down("worker", "away", "together")


def _play(site: Site, pool: ThreadPoolExecutor, told: list[str]) -> Played:
    """Play three lanes at the same time; more would make the machine too busy for the times that count."""
    played: Played = {}

    def play(name: str, scene: Callable[[], Any]) -> None:
        played[name] = pool.submit(scene)
        wait([played[name]])  # what it raises is raised in the tests that look at it

    def first() -> None:
        play("one", lambda: kill_one(site, "one", 1))
        play("two", lambda: kill_one(site, "two", 2))
        play("crash", lambda: crash_at_once(site))

    def second() -> None:
        play("together", lambda: kill_together(site))
        play("away", lambda: away(site))
        play("zombie", lambda: find_crashed(site, played["together"].result().killed))

    def third() -> None:
        play("fail", lambda: fail(site, told))
        play("relay", lambda: relay(site))

    wait([pool.submit(lane) for lane in (first, second, third)])
    play("outage", lambda: outage(site))
    return played


def test_a_killed_collector_is_replaced(played: Played) -> None:
    """Asked for within 15 s, storing again within 45 s; what is missing is in between."""
    killed: Killed = played["one"].result()
    assert killed.asked_after < 15
    assert killed.stored_after < 45
    assert 0 < len(killed.missing) < 45


def test_the_boot_command_asks_once(played: Played) -> None:
    """Asked again before the worker is there, it says that a run waits."""
    together: Together = played["together"].result()
    first, second, _ = together.said
    assert "of collect/together is asked for: " in first
    assert second == "no run of collect/together is asked for: 1 other runs are about to start"


def test_of_two_collectors_one_may_be_killed(played: Played) -> None:
    """Not a second is missing, and a new one is asked for."""
    killed: Killed = played["two"].result()
    assert killed.missing == []
    assert killed.asked_after < 15


def test_a_run_that_crashes_at_once_is_replaced_later_and_later(played: Played) -> None:
    """After 0, 10, 30, 60 s; one new run for each crash, no loop."""
    runs: list[Run] = played["crash"].result()
    assert [run.state for run in runs] == ["Crashed"] * len(DELAYS) + ["Scheduled"]
    seen = [later.due - run.ended for run, later in pairwise(runs) if run.ended]
    assert [delay <= waited < delay + 15 for waited, delay in zip(seen, DELAYS, strict=True)] == [True] * len(DELAYS), (
        seen
    )


def test_relays_lose_no_second(played: Played) -> None:
    """Three in a row."""
    assert played["relay"].result() == []


@pytest.mark.parametrize("name", ["away", "hours-away"])
def test_after_an_absence_as_many_collect_as_are_wanted(played: Played, name: str) -> None:
    """The worker was away for more than six schedules: the newest run stays, the others say so and end."""
    runs: list[Run] = played["away"].result()[name]
    assert len(runs) >= ABSENCES
    assert [run.state for run in runs] == ["Skipped"] * (len(runs) - 1) + ["Running"]
    assert {run.message.split(":")[0] for run in runs[:-1]} == {"late, skipped"}


def test_after_an_absence_one_verify_runs(played: Played) -> None:
    """It looks at everything that the others would have looked at; here it has no database to look at."""
    runs: list[Run] = played["away"].result()["verify-away"]
    assert [run.state for run in runs] == ["Skipped"] * (ABSENCES - 1) + ["Failed"]


def test_a_machine_that_starts_again_collects_again(played: Played) -> None:
    """Within 90 s of a worker's and its flow's death, where the worker is started again at once."""
    together: Together = played["together"].result()
    assert "of collect/together is asked for: 0 of 1 collectors are live" in together.said[-1]
    assert together.stored - together.killed < 90


def test_a_run_without_heartbeats_is_marked_as_crashed(played: Played) -> None:
    """Its worker died with it: only the server can tell."""
    crashed: Crashed = played["zombie"].result()
    assert crashed.message == "No heartbeat for 150 s, the worker is gone as well"
    assert 90 < crashed.after < 200


def test_a_failed_check_is_told_to_the_chat_once(played: Played) -> None:
    """Two failures within an hour, one message with the reason."""
    [text] = played["fail"].result()
    assert text.startswith("verify failed\nRun ")
    assert "ended as Failed: no database" in text


def test_without_its_server_a_collector_goes_on(played: Played) -> None:
    """60 s away: not a second is missing, and the uploads of that minute are seen afterwards."""
    outage: Outage = played["outage"].result()
    assert outage.missing["one"] == []
    assert outage.uploads >= 20
    assert outage.states == ["Crashed", "Running"]


def test_a_hand_over_waits_for_the_server(played: Played) -> None:
    """The old run went on until the server had started a later one."""
    outage: Outage = played["outage"].result()
    assert outage.missing["relay"] == []
