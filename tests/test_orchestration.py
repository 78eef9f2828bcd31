"""What a real server and real workers do when processes die: scenes played at the same time, then looked at."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any

import pytest

from deploy.local.stack import free_port
from depth.exchange.simulated import Options, SyntheticSource, threaded
from tests import emulator, orchestra, scenes
from tests.orchestra import Run, Site

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(emulator.find() is None, reason=emulator.MISSING),
]

Played = dict[str, Future[Any]]
Report = Callable[[str, float], None]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Play all scenes: the server's end last, since it is everybody's."""
    with ExitStack() as stack:
        exchange = stack.enter_context(threaded(SyntheticSource(), Options(weight_limit=100_000)))
        webhook, told = stack.enter_context(orchestra.chat())
        place = {
            "DB_BACKEND": "bigtable",
            "BIGTABLE_PROJECT_ID": "project",
            "BIGTABLE_INSTANCE_ID": "scenes",
            "BIGTABLE_EMULATOR_HOST": stack.enter_context(emulator.running()),
        }
        site = Site(tmp_path_factory.mktemp("site"), exchange)
        stack.callback(site.stack.down, "worker", "away", "together")
        site.stack.start_server(free_port(0))
        site.stack.run(sys.executable, "-m", "deploy.automations", "--webhook", webhook)
        scenes.fill(site)
        site.deploy(scenes.deployments(place))
        site.stack.start_worker()
        with ThreadPoolExecutor(max_workers=8) as pool:
            yield _play(site, pool, told, place)


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Show a figure in the terminal: a limit that is kept may be nearly broken."""

    def show(name: str, seconds: float) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{name}: {seconds:.1f} s\n")

    return show


def _play(site: Site, pool: ThreadPoolExecutor, told: list[str], place: dict[str, str]) -> Played:
    """Play four lanes at the same time; more would make the machine too busy for the times that count."""
    played: Played = {}

    def play(name: str, scene: Callable[[], Any]) -> None:
        played[name] = pool.submit(scene)
        wait([played[name]])  # what it raises is raised in the tests that look at it

    def first() -> None:
        play("one", lambda: scenes.kill_one(site, "one", 1))
        play("two", lambda: scenes.kill_one(site, "two", 2))
        play("bigtable", lambda: scenes.into_bigtable(site, place))
        play("fail", lambda: scenes.fail(site, told))

    def second() -> None:
        play("together", lambda: scenes.kill_together(site))
        play("away", lambda: scenes.away(site))
        play("zombie", lambda: scenes.find_crashed(site))

    def third() -> None:
        play("crash", lambda: scenes.crash_at_once(site))
        play("scheduled", lambda: scenes.by_schedule(site))

    def fourth() -> None:
        play("relay", lambda: scenes.relay(site))
        play("stuck", lambda: scenes.never_start(site))

    wait([pool.submit(lane) for lane in (first, second, third, fourth)])
    play("outage", lambda: scenes.outage(site))
    return played


def test_a_collector_is_live_soon(played: Played, report: Report) -> None:
    """Within 60 s of the start of the worker its rows are stored."""
    killed: scenes.Killed = played["one"].result()
    report("live after the start of the worker", killed.live_after)
    assert killed.live_after < 60


def test_a_killed_collector_is_replaced(played: Played, report: Report) -> None:
    """Asked for within 15 s, storing again within 45 s; what is missing is in between, and the ledger says why."""
    killed: scenes.Killed = played["one"].result()
    report("asked for after a kill", killed.asked_after)
    report("storing again after a kill", killed.stored_after)
    assert killed.asked_after < 15
    assert killed.stored_after < 45
    assert 0 < len(killed.missing) < 45
    assert killed.causes - {"starting"} == {"no collector"}


def test_of_two_collectors_one_may_be_killed(played: Played) -> None:
    """Not a second is missing, and a new one is asked for, however busy other scenes keep the machine."""
    killed: scenes.Killed = played["two"].result()
    assert killed.missing == []
    assert killed.asked_after < 60


def test_a_run_that_crashes_at_once_is_replaced_later_and_later(played: Played) -> None:
    """After 0, 10, 30, 60 s; one new run for each crash, no loop."""
    crashes: scenes.Crashes = played["crash"].result()
    assert crashes.states == ["Crashed"] * len(scenes.DELAYS) + ["Scheduled"]
    due = [delay <= waited < delay + 15 for waited, delay in zip(crashes.waits, scenes.DELAYS, strict=True)]
    assert all(due), crashes.waits


def test_relays_lose_no_second(played: Played) -> None:
    """Three in a row."""
    assert played["relay"].result() == []


def test_after_an_absence_one_collects(played: Played) -> None:
    """The worker was away for six schedules: the newest run stays, the others say so and end."""
    runs: list[Run] = played["away"].result()["away"]
    assert [run.state for run in runs] == ["Skipped"] * (scenes.ABSENCES - 1) + ["Running"]
    assert {run.message.split(":")[0] for run in runs[:-1]} == {"late, skipped"}


def test_after_an_absence_one_verify_runs(played: Played) -> None:
    """It looks at everything that the others would have looked at; here it has no database to look at."""
    runs: list[Run] = played["away"].result()["verify-away"]
    assert [run.state for run in runs] == ["Skipped"] * (scenes.ABSENCES - 1) + ["Failed"]


def test_a_machine_that_starts_again_collects_again(played: Played, report: Report) -> None:
    """Within 90 s of a worker's and its flow's death, where the worker is started again at once."""
    together: scenes.Together = played["together"].result()
    report("storing again after a worker died with its flow", together.stored_after)
    assert together.stored_after < 90


def test_the_boot_command_asks_once(played: Played) -> None:
    """Asked again before the worker is there, it says that a run waits."""
    together: scenes.Together = played["together"].result()
    first, second = together.said
    assert first.startswith("run ")
    assert first.endswith(" of collect/together is asked for: 0 of 1 collectors are live")
    assert second == "no run of collect/together is asked for: 1 other runs are about to start"


def test_a_run_without_heartbeats_is_marked_as_crashed(played: Played) -> None:
    """Its worker died with it: only the server can tell."""
    run: Run = played["zombie"].result()
    together: scenes.Together = played["together"].result()
    assert run.message == "No heartbeat for 150 s, the worker is gone as well"
    assert run.ended is not None
    assert 90 < run.ended - together.killed < 200


def test_a_run_that_never_begins_is_marked_as_crashed(played: Played) -> None:
    """Nobody would ever end it; another one is asked for in its place."""
    runs: list[Run] = played["stuck"].result()
    assert [run.message for run in runs[:1]] == ["Not begun within 300 s, another run is asked for"]
    assert len(runs) == 2


def test_a_failed_check_is_told_to_the_chat_once(played: Played) -> None:
    """Two failures within an hour, one message with the reason."""
    [text] = played["fail"].result()
    assert text.startswith("verify failed\nRun ")
    assert "ended as Failed: no database" in text


def test_a_schedule_checks_and_sums_up(played: Played) -> None:
    """Nobody asked for these runs; what they found is seen through the API."""
    scheduled: scenes.Scheduled = played["scheduled"].result()
    assert (scheduled.verified.scheduled, scheduled.rolled.scheduled) == (True, True)
    assert scheduled.verified.state == "Gaps found"
    assert scheduled.rolled.state == "Completed"
    assert {"open-gaps", "coverage", "hours-made"} <= scheduled.artifacts
    assert scheduled.events >= 1


def test_a_deployed_run_stores_into_bigtable(played: Played) -> None:
    """Every second of it, through its real emulator."""
    epochs: list[int] = played["bigtable"].result()
    assert len(epochs) >= 10
    assert epochs == list(range(epochs[0], epochs[0] - len(epochs), -1))


def test_without_its_server_a_collector_goes_on(played: Played) -> None:
    """60 s away: not a second is missing, and the uploads of that minute are seen afterwards."""
    outage: scenes.Outage = played["outage"].result()
    assert outage.missing["one"] == []
    assert outage.uploads >= 20
    assert outage.states == ["Crashed", "Running"]


def test_a_server_deletes_what_is_old(played: Played) -> None:
    """Runs and events of four days ago, by the settings that we ship."""
    outage: scenes.Outage = played["outage"].result()
    assert outage.old == (0, 0)


def test_a_hand_over_waits_for_the_server(played: Played) -> None:
    """The old run went on until the server had started a later one."""
    outage: scenes.Outage = played["outage"].result()
    assert outage.missing["relay"] == []
