"""`make footprint`: it measures the processes that it says it measures, and says where a limit is passed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from deploy.local import footprint
from deploy.local.footprint import Measured, Report, capturing, measure
from depth.storage.spool import Spool
from tests import commands
from tests.spooling import append


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    """A process that does nothing."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield psutil.Process(process.pid)
        process.kill()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No setting of the caller's is seen by what is started."""
    for name in set(os.environ) - set(commands.environment(tmp_path)):
        monkeypatch.delenv(name)
    return tmp_path / "footprint"


def test_a_collector_is_known_by_the_process_in_its_id(sleeper: psutil.Process, tmp_path: Path) -> None:
    """A check lives as long and has no rows; a collector that has captured nothing yet is none either."""
    path = tmp_path / "spool.db"
    mine = psutil.Process()
    assert capturing([mine, sleeper], path) == []
    with closing(Spool(path, f"my-host-1768054365-{sleeper.pid}-9f3a", 2**30)) as spool:
        spool.open()
        assert capturing([mine, sleeper], path) == []
        append(spool, 1768054365)
        assert capturing([mine, sleeper], path) == [sleeper]
        assert capturing([mine], path) == []


def test_what_ends_meanwhile_is_measured_until_then(sleeper: psutil.Process) -> None:
    """The largest sum was that of both; the share of a core is that of who is left."""
    mine = psutil.Process()
    looks = iter(range(100))

    def which() -> list[psutil.Process]:
        if next(looks) == 2:
            sleeper.kill()
            sleeper.wait(10)
        return [mine, sleeper]

    seen = measure(which, 60, lambda: next(looks) > 10)
    assert len(seen.megabytes) == 2
    assert sum(seen.megabytes) > mine.memory_info().rss / 2**20 / 2
    assert 0 <= seen.cores < 2


def test_nothing_to_measure_is_an_error(sleeper: psutil.Process) -> None:
    sleeper.kill()
    sleeper.wait(10)
    with pytest.raises(TimeoutError, match="has ended"):
        measure(lambda: [sleeper], 60)


def test_the_report_says_what_is_above_its_limit(capsys: pytest.CaptureFixture[str]) -> None:
    """Memory of all together, processor time where it is limited."""
    report = Report()
    report.line("small", Measured((100.0,), 0.02), 110, 0.03)
    report.line("busy", Measured((100.0,), 0.04), 110, 0.03)
    report.line("both", Measured((300.0, 260.0), 9.0), 550)
    assert report.passed == ["busy", "both"]
    assert capsys.readouterr().out.splitlines() == [
        "small: 100 MB of 110 MB allowed, 2.0% of one core of 3.0% allowed",
        "busy: 100 MB of 110 MB allowed, 4.0% of one core of 3.0% allowed",
        "both: 560 MB of 550 MB allowed (300 + 260)",
    ]


@pytest.mark.alone
@pytest.mark.timeout(90)
def test_the_collector_without_prefect_is_within_its_memory(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """110 MB with SQLite and two sockets; what a busy machine takes of its time is not held here."""
    with footprint.exchange() as market:
        footprint.alone(elsewhere, market, 3, Report())
    said = capsys.readouterr().out
    assert said.startswith("python -m depth collect, SQLite, 2 sockets: ")
    assert float(said.split(": ")[1].split()[0]) <= 110


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_everything_is_measured(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Server, worker, two collectors and checks, for a moment each; nothing runs afterwards."""
    began = time.time()
    assert footprint.main(elsewhere, 1) in {0, 1}
    lines = [line for line in capsys.readouterr().out.splitlines() if " MB allowed" in line]
    assert [line.split(":")[0] for line in lines] == [
        "python -m depth collect, SQLite, 2 sockets",
        "collector under Prefect, 2 sockets",
        "worker, one collector, one verify run",
        "worker, two collectors, one verify run",
    ]
    limits = [float(line.split(" MB of ")[1].split()[0]) for line in lines]
    used = [float(line.split(": ")[1].split()[0]) for line in lines]
    assert limits == [110, 240, 550, 800]
    assert [mega <= limit for mega, limit in zip(used, limits, strict=True)] == [True] * 4
    ours = [each for each in psutil.process_iter(["create_time"]) if each.info["create_time"] > began]
    assert [each for each in ours if str(elsewhere) in " ".join(_environ(each).values())] == []


def _environ(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}
