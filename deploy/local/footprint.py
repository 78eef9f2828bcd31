"""`make footprint`: memory and processor time of what runs on a small machine, against the limits it is built for.

Everything is real but the exchange, which is simulated on this machine, and Bigtable, which is its emulator. Memory is
the largest resident set, of several processes the largest sum, which counts twice what they share. MINUTES (1) is how
long each collector is measured, after as long a start. Exit 1 where a limit is passed.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local import deployments
from deploy.local.processes import Processes
from deploy.local.stack import DATA, DEPLOYMENTS, NotUp, Stack, free_port, say
from depth.errors import StoreRefused
from depth.exchange.simulated import SyntheticSource, threaded
from depth.storage.spool_state import read_state
from tests import emulator

_LOOK_SECONDS = 0.2
_START_SECONDS = 180.0
_SPOOL = "spool.db"
_PREFECT = str(Path(sys.executable).with_name("prefect"))


@dataclass(frozen=True, slots=True)
class Measured:
    """What was seen of some processes.

    Attributes:
        megabytes: resident set of each process when their sum was largest.
        cores: share of one core, of those that lived to the end.
    """

    megabytes: tuple[float, ...]
    cores: float


@dataclass
class Report:
    """What was measured and what was allowed.

    Attributes:
        passed: what was above its limit.
    """

    passed: list[str] = field(default_factory=list)

    def line(self, what: str, seen: Measured, megabytes: float, cores: float | None = None) -> None:
        """Say one measurement, and remember where it is above its limit.

        Args:
            what: was measured.
            seen: of it.
            megabytes: that are allowed.
            cores: share of one core that is allowed; None where that is not looked at.
        """
        used = sum(seen.megabytes)
        said = f"{what}: {used:.0f} MB of {megabytes:.0f} MB allowed"
        if cores is not None:
            said += f", {seen.cores:.1%} of one core of {cores:.1%} allowed"
        if len(seen.megabytes) > 1:
            said += f" ({' + '.join(f'{each:.0f}' for each in seen.megabytes)})"
        say(said)
        if used > megabytes or (cores is not None and seen.cores > cores):
            self.passed.append(what)


def main(folder: Path = DATA / "footprint", seconds: float | None = None) -> int:
    """Measure; give the exit code.

    Args:
        folder: for everything that is started; what an earlier call left there is stopped and removed.
        seconds: that each collector is measured; MINUTES of the environment where not given.
    """
    seconds = 60 * float(os.environ.get("MINUTES") or 1) if seconds is None else seconds
    report = Report()
    Stack(folder, os.environ).down()
    shutil.rmtree(folder)
    with exchange() as market, bigtable() as backend:
        stack = Stack(folder, {**os.environ, **market, **backend, **places(folder)})
        try:
            alone(folder / "alone", market, seconds, report)
            under_prefect(stack, seconds, report)
        except (NotUp, TimeoutError, psutil.NoSuchProcess) as error:
            say(f"{error}: see the logs in {folder}")
            return 1
        finally:
            stack.down()
    for what in report.passed:
        say(f"above its limit: {what}")
    return 1 if report.passed else 0


@contextmanager
def exchange() -> Iterator[dict[str, str]]:
    """Run a simulated exchange in this process, which is not measured; give the settings that lead there."""
    with threaded(SyntheticSource()) as handle:
        yield {"BINANCE_REST_URL": handle.rest_url, "BINANCE_WS_URL": handle.ws_url}


def places(folder: Path) -> dict[str, str]:
    """Give the settings by which everything is kept in one folder."""
    return {"SQLITE_PATH": str(folder / "depth.db"), "SPOOL_PATH": str(folder / _SPOOL)}


@contextmanager
def bigtable() -> Iterator[dict[str, str]]:
    """Run the emulator, where there is one; give the settings of the backend."""
    if emulator.find() is None:
        say(f"{emulator.MISSING}; measured with SQLite")
        yield {"DB_BACKEND": "sqlite"}
        return
    with emulator.running() as host:
        yield {
            "DB_BACKEND": "bigtable",
            "BIGTABLE_EMULATOR_HOST": host,
            "BIGTABLE_PROJECT_ID": "footprint",
            "BIGTABLE_INSTANCE_ID": "footprint",
        }


def alone(folder: Path, market: Mapping[str, str], seconds: float, report: Report) -> None:
    """Measure `python -m depth collect` with SQLite: 110 MB."""
    processes = Processes(folder)
    environment = {**os.environ, **market, **places(folder)}
    pid = processes.start("collector", [sys.executable, "-m", "depth", "collect", "--backend", "sqlite"], environment)
    try:
        [collector] = wait_for(lambda: capturing([psutil.Process(pid)], folder / _SPOOL), 1)
        time.sleep(seconds)
        report.line("python -m depth collect, SQLite, 2 sockets", measure(lambda: [collector], seconds), 110, 0.03)
    finally:
        processes.stop("collector")


def under_prefect(stack: Stack, seconds: float, report: Report) -> None:
    """Measure a collector in a flow (240 MB), with worker and verify (550 MB), and a second collector (800 MB)."""
    folder = stack.processes.folder
    stack.start_server(free_port(0))
    stack.make_pool()
    stack.deploy(deployments.write_unscheduled(DEPLOYMENTS, folder / "prefect.yaml"))
    stack.start_worker()
    worker = psutil.Process(stack.processes.running()["worker"])

    def collectors() -> list[psutil.Process]:
        return capturing(worker.children(recursive=True), folder / _SPOOL)

    stack.run(_PREFECT, "deployment", "run", "collect/collect")
    [first] = wait_for(collectors, 1)
    time.sleep(seconds)
    report.line("collector under Prefect, 2 sockets", measure(lambda: [first], seconds), 240, 0.03)
    report.line("worker, one collector, one verify run", during_verify(stack, worker), 550)
    stack.run(_PREFECT, "deployment", "run", "collect/collect")
    wait_for(collectors, 2)
    time.sleep(seconds)
    report.line("worker, two collectors, one verify run", during_verify(stack, worker), 800)


def during_verify(stack: Stack, worker: psutil.Process) -> Measured:
    """Measure worker and flows while a verify run comes and goes.

    Raises:
        TimeoutError: it does not end within 180 s.
    """
    command = [_PREFECT, "deployment", "run", "verify/verify-recent", "--watch"]
    stack.processes.start("check", command, stack.environment)
    try:
        return measure(
            lambda: [worker, *worker.children(recursive=True)],
            _START_SECONDS,
            lambda: "check" not in stack.processes.running(),
        )
    finally:
        stack.processes.stop("check")


def capturing(processes: Sequence[psutil.Process], spool: Path) -> list[psutil.Process]:
    """Find those that capture: a collector's id, which the spool knows, has that of its process in it.

    Args:
        processes: to choose from; those of an earlier life of the spool are not among them.
        spool: need not be there yet.
    """
    try:
        states = read_state(spool)
    except StoreRefused:
        return []
    pids = {int(state.collector.split("-")[-2]) for state in states if state.captured_epoch is not None}
    return [process for process in processes if process.pid in pids]


def wait_for(which: Callable[[], Sequence[psutil.Process]], count: int) -> Sequence[psutil.Process]:
    """Wait until there are so many of some processes.

    Raises:
        TimeoutError: there are not within 180 s.
    """
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if len(found := which()) >= count:
            return found
        time.sleep(_LOOK_SECONDS)
    raise TimeoutError(f"no {count} collectors that capture within {_START_SECONDS:.0f} s")


def measure(
    which: Callable[[], Sequence[psutil.Process]], seconds: float, over: Callable[[], bool] = lambda: False
) -> Measured:
    """Look at processes, of which some may end meanwhile.

    Args:
        which: is asked at each look.
        seconds: how long, at most.
        over: ends it.

    Raises:
        TimeoutError: none of them is there any more.
    """
    megabytes: tuple[float, ...] = ()
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    began = time.monotonic()
    while not megabytes or (time.monotonic() - began < seconds and not over()):
        looks = [look for process in which() if (look := look_at(process)) is not None]
        if not looks:
            raise TimeoutError("what was to be measured has ended")
        last = {look.pid: look.used for look in looks}
        first = {**last, **first}
        megabytes = max(megabytes, tuple(look.megabytes for look in looks), key=sum)
        time.sleep(_LOOK_SECONDS)
    used = sum(used - first[pid] for pid, used in last.items())
    return Measured(megabytes, used / (time.monotonic() - began))


@dataclass(frozen=True, slots=True)
class Look:
    """One process at one moment: resident set in MB, and processor seconds since its start."""

    pid: int
    megabytes: float
    used: float


def look_at(process: psutil.Process) -> Look | None:
    """Look at a process; None where it has just ended."""
    try:
        resident, times = process.memory_info().rss, process.cpu_times()
    except psutil.Error:
        return None
    return Look(process.pid, resident / 2**20, times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
