"""The systemd units: what systemd itself says of them, and what becomes of their processes when they are killed."""

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from depth.exchange.simulated import Handle
from depth.storage.spool_state import read_state
from tests import commands
from tests.deploy.supervisor import UNITS, Unit, parse
from tests.deploy.systemd import Systemd
from tests.receivers import free_port

FILES = sorted(path.name for path in UNITS.glob("*.service"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system on which all that the units name can be run."""
    for name in FILES:
        for key, values in parse(UNITS / name).items():
            for value in values if key.startswith("Exec") else ():
                program = tmp_path / value.removeprefix("-").split()[0].removeprefix("/")
                program.parent.mkdir(parents=True, exist_ok=True)
                program.write_text("#!/bin/sh\n")
                program.chmod(0o755)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    shutil.copytree("/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    for name in FILES:
        shutil.copy(UNITS / name, tmp_path / "etc/systemd/system" / name)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_systemd_has_nothing_to_say(name: str, root: Path) -> None:
    """`systemd-analyze verify`, and its review of what the service may do."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("NO SYSTEMD-ANALYZE, THE UNITS ARE NOT VERIFIED")
    unit = root / "etc/systemd/system" / name.replace("@.", "@a.")
    if "@" in name:
        shutil.copy(UNITS / name, unit)
    verified = subprocess.run(
        [analyze, "verify", f"--root={root}", "--man=no", unit.name], capture_output=True, text=True, check=False
    )
    assert [line for line in verified.stderr.splitlines() if "depth-" in line] == []
    review = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", str(UNITS / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert review.returncode == 0, review.stdout[-300:]


@pytest.mark.parametrize("name", FILES)
def test_every_unit_comes_back_and_never_gives_up(name: str) -> None:
    keys = parse(UNITS / name)
    assert keys["Restart"] == ["always"]
    assert keys["StartLimitIntervalSec"] == ["0"]
    assert keys["User"] == ["depth"]
    assert {"MemoryHigh", "MemoryMax", "TimeoutStopSec", "KillMode"} <= keys.keys()


def test_the_watchdog_has_time_for_two_beats() -> None:
    """A collector says that it lives twice in the watchdog's time, and is given the time to capture its first row."""
    keys = parse(UNITS / "depth-collect@.service")
    assert float(keys["WatchdogSec"][0]) >= 30
    assert float(keys["TimeoutStartSec"][0]) > 120


@pytest.fixture
def settings(exchange: Handle, tmp_path: Path) -> dict[str, str]:
    """What /etc/depth/depth.env says."""
    return {
        "BINANCE_REST_URL": exchange.rest_url,
        "BINANCE_WS_URL": exchange.ws_url,
        "SQLITE_PATH": str(tmp_path / "depth.db"),
        "SPOOL_PATH": str(tmp_path / "spool.db"),
        "METRICS_PORT": "0",
    }


def missing(folder: Path, settings: dict[str, str], start: int, end: int) -> int:
    """Ask `verify` how many seconds are not stored."""
    arguments = ["--start", str(start), "--end", str(end), "--grace", "0", "--json"]
    ended = commands.run("verify", arguments, folder, **{**settings, "PREFECT_API_URL": ""})
    [found] = [json.loads(line) for line in ended.out.splitlines()]
    assert found["present"] + found["missing"] == found["expected"] == end - start, ended.err
    return int(found["missing"])


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_two_collectors_lose_nothing_when_each_is_killed_or_frozen(tmp_path: Path, settings: dict[str, str]) -> None:
    """Kill -9 of one, kill -9 of the other, a stop that takes a while: each comes back, and no second is missing."""
    with ExitStack() as stack:
        one, two = (Unit(f"depth-collect@{name}", tmp_path, settings) for name in "ab")
        for unit in (one, two):
            unit.start(60)
            stack.callback(unit.stop)
        start = int(time.time())
        for unit in (one, two):
            unit.kill()
            unit.wait_for_restart(2, 60)
            time.sleep(2)
        os.kill(one.pids[-1], signal.SIGSTOP)
        time.sleep(3)
        os.kill(one.pids[-1], signal.SIGCONT)
        two.kill()
        two.wait_for_restart(3, 60)
        end = int(time.time())
        time.sleep(4)
    assert missing(tmp_path, settings, start, end) == 0
    assert [len(one.pids), len(two.pids)] == [2, 3]
    assert one.members() == two.members() == []
    assert "Traceback" not in one.log() + two.log()


@pytest.mark.alone
@pytest.mark.timeout(120)
def test_a_collector_that_hangs_is_aborted_and_comes_back(tmp_path: Path, settings: dict[str, str]) -> None:
    """A process that stands still says nothing: the watchdog ends it."""
    unit = Unit("depth-collect@a", tmp_path, settings)
    unit._keys["WatchdogSec"] = ["4"]
    unit.start(60)
    try:
        os.kill(unit.pids[0], signal.SIGSTOP)
        time.sleep(6)
        os.kill(unit.pids[0], signal.SIGCONT)  # SIGABRT waits until it may be delivered
        unit.wait_for_restart(2, 60)
    finally:
        unit.stop()


def test_bad_usage_is_not_tried_again(tmp_path: Path, settings: dict[str, str]) -> None:
    """A wrong setting: the unit ends, and its log says which."""
    unit = Unit("depth-collect@a", tmp_path, settings | {"CONNECTIONS": "0"})
    unit._thread.start()
    unit._thread.join(60)
    assert len(unit.pids) == 1
    assert "error: CONNECTIONS" in unit.log()


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_an_upgrade_loses_nothing(tmp_path: Path, settings: dict[str, str]) -> None:
    """deploy/upgrade.sh: a collector of the new release stands in while the two of the machine are restarted."""
    system = Systemd(tmp_path, settings)
    with system.serving() as environment:
        for name in ("depth-collect@a", "depth-collect@b"):
            system.do("start", name)
        system.told.clear()
        start = int(time.time())
        done = system.upgrade("next", environment)
        end = int(time.time())
        assert (done.returncode, done.stderr) == (0, "upgraded\n")
        assert system.told == [
            *("start depth-collect@upgrade", "restart depth-collect@a", "restart depth-collect@b"),
            "stop depth-collect@upgrade",
        ]
        assert sorted(system.units) == ["depth-collect@a", "depth-collect@b"]
        time.sleep(3)
    assert missing(tmp_path, settings, start, end) == 0
    assert system.release == Path("releases/next")


def test_a_release_that_captures_nothing_is_taken_back(tmp_path: Path, settings: dict[str, str]) -> None:
    """Nothing is restarted, and what would be started again is the release before."""
    system = Systemd(tmp_path, settings, of_unit={"depth-collect@upgrade": {"CONNECTIONS": "0"}})
    (tmp_path / "opt/depth").mkdir(parents=True)
    (tmp_path / "opt/depth/current").symlink_to("releases/before")
    with system.serving() as environment:
        done = system.upgrade("next", environment)
    assert done.returncode == 1
    assert done.stderr.endswith("nothing was restarted, releases/before stays\n")
    assert system.told == ["start depth-collect@upgrade", "stop depth-collect@upgrade"]
    assert system.release == Path("releases/before")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_server_worker_and_collector_can_each_be_killed(tmp_path: Path, settings: dict[str, str]) -> None:
    """A flow under the worker beside a collector without Prefect: one dies, or all are upgraded, nothing is lost."""
    port = free_port()
    told = {**settings, "PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_WORKER_QUERY_SECONDS": "3"}
    told["PREFECT_HOME"] = str(tmp_path / "prefect")
    groups = {"depth-worker": {"COLLECTOR_GROUP": "worker"}}
    system = Systemd(tmp_path, told, groups, {"--port 4200": f"--port {port}"})
    with system.serving() as environment:
        for name in ("depth-server", "depth-collect@a"):
            assert system.do("start", name)[0] == 0
        flows = [commands.ROOT / "deploy" / "flows.sh"]
        api = commands.environment(tmp_path, **told)
        subprocess.run(flows, env=api, check=True, capture_output=True, timeout=300)
        # The unit asks for a run at boot.
        assert system.do("start", "depth-worker")[0] == 0
        server, collector, worker = (system.units[f"depth-{name}"] for name in ("server", "collect@a", "worker"))
        flow = _flow(worker, 120)
        start = int(time.time())
        collector.kill()
        collector.wait_for_restart(2, 60)
        server.kill()
        server.wait_for_restart(2, 120)
        flow.kill()
        time.sleep(10)
        worker.kill()
        worker.wait_for_restart(2, 120)
        _flow(worker, 120)
        done = system.upgrade("next", environment)
        assert done.returncode == 0, done.stderr
        assert system.told[-5:] == [
            *("start depth-collect@upgrade", "restart depth-collect@a", "restart depth-server"),
            *("restart depth-worker", "stop depth-collect@upgrade"),
        ]
        end = int(time.time())
        time.sleep(4)
        ended = [server, collector, worker, *system.units.values()]
    assert missing(tmp_path, settings, start, end) == 0
    assert [unit.members() for unit in ended] == [[]] * len(ended)


def _flow(worker: Unit, seconds: float) -> psutil.Process:
    """Wait for the flow process that captures: its id is in the name of its collector."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ours = {process.pid: process for process in worker.members()}
        for state in read_state(worker.folder / "spool.db"):
            pid = int(state.collector.split("-")[-2])
            if state.captured_epoch is not None and pid in ours:
                return ours[pid]
        time.sleep(1)
    raise TimeoutError(worker.log()[-3000:])
