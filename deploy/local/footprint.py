"""`make footprint`: memory and processor time of what runs on a small machine, against the limits it is built for.

Everything is real but the exchange, which is simulated on this machine, and Bigtable, which is its emulator. Memory of
one process is its resident set; of several, the sum of their proportional sets, since they share pages. MINUTES (1) is
how long each is measured. Exit 1 where a limit is passed.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local.processes import Processes
from deploy.local.stack import DATA, Stack, say, up
from tests import emulator

_WARM_SECONDS = 20.0
_LOOK_SECONDS = 0.5
_START_SECONDS = 180.0


@dataclass
class Measured:
    """What was seen of some processes.

    Attributes:
        resident: largest sum of resident sets, MB.
        proportional: largest sum of proportional sets, MB.
        cores: share of one core.
    """

    resident: float = 0.0
    proportional: float = 0.0
    cores: float = 0.0


@dataclass
class Report:
    """What was measured and what was allowed."""

    passed: list[str] = field(default_factory=list)

    def line(self, what: str, megabytes: float, limit: float, cores: float | None = None) -> None:
        """Say one measurement, and remember where it is above its limit."""
        said = f"{what}: {megabytes:.0f} MB of {limit:.0f} MB allowed"
        say(said if cores is None else f"{said}, {cores:.1%} of one core")
        if megabytes > limit:
            self.passed.append(what)


def main() -> int:
    """Measure; give the exit code."""
    seconds = 60 * float(os.environ.get("MINUTES") or 1)
    report = Report()
    folder = DATA / "footprint"
    Stack(folder, os.environ).down()
    shutil.rmtree(folder)
    with bigtable() as settings:
        if up(folder, os.environ | settings | {"PORT": "0", "METRICS_PORT": "0"}):
            return 1
        try:
            stack = Stack(folder, os.environ | settings)
            alone(folder, seconds, report)
            under_prefect(stack, seconds, report)
        finally:
            Stack(folder, os.environ).down()
    for what in report.passed:
        say(f"above its limit: {what}")
    return 1 if report.passed else 0


@contextmanager
def bigtable() -> Iterator[dict[str, str]]:
    """Run the emulator, where there is one; give the settings of the backend."""
    if emulator.find() is None:
        say(f"{emulator.MISSING}; measured with SQLite")
        yield {}
        return
    with emulator.running() as host:
        yield {
            "DB_BACKEND": "bigtable",
            "BIGTABLE_EMULATOR_HOST": host,
            "BIGTABLE_PROJECT_ID": "footprint",
            "BIGTABLE_INSTANCE_ID": "footprint",
        }


def alone(folder: Path, seconds: float, report: Report) -> None:
    """Measure `python -m depth collect` with SQLite: 110 MB."""
    processes = Processes(folder / "alone")
    here = {"SQLITE_PATH": str(folder / "alone" / "depth.db"), "SPOOL_PATH": str(folder / "alone" / "spool.db")}
    port = psutil.Process(Processes(folder).running()["exchange"]).cmdline()[-1]
    exchange = {"BINANCE_REST_URL": f"http://127.0.0.1:{port}", "BINANCE_WS_URL": f"ws://127.0.0.1:{port}"}
    command = [sys.executable, "-m", "depth", "collect", "--backend", "sqlite"]
    pid = processes.start("collector", command, os.environ | exchange | here | {"METRICS_PORT": "0"})
    try:
        time.sleep(_WARM_SECONDS)
        seen = measure(lambda: [psutil.Process(pid)], seconds)
    finally:
        processes.stop("collector")
    report.line("python -m depth collect, SQLite, 2 sockets", seen.resident, 110, seen.cores)


def under_prefect(stack: Stack, seconds: float, report: Report) -> None:
    """Measure a collector in a flow (240 MB), with worker and verify (550 MB), and a second collector (800 MB)."""
    [first] = wait_for(stack, 1)
    time.sleep(_WARM_SECONDS)
    seen = measure(lambda: [first], seconds)
    report.line("collector under Prefect, 2 sockets", seen.resident, 240, seen.cores)
    seen = measure_verify(stack)
    report.line("worker, one collector, one verify run", seen.proportional, 550)
    stack.run(str(Path(sys.executable).with_name("prefect")), "deployment", "run", "collect/collect")
    wait_for(stack, 2)
    time.sleep(_WARM_SECONDS)
    seen = measure_verify(stack)
    report.line("worker, two collectors, one verify run", seen.proportional, 800)


def measure_verify(stack: Stack) -> Measured:
    """Measure worker and flows while a verify run comes and goes."""
    prefect = str(Path(sys.executable).with_name("prefect"))
    stack.run(prefect, "deployment", "run", "verify/verify-recent")
    worker = psutil.Process(stack.processes.running()["worker"])
    return measure(lambda: [worker, *worker.children(recursive=True)], 45)


def wait_for(stack: Stack, count: int) -> list[psutil.Process]:
    """Wait until so many flow processes of collectors live."""
    worker = psutil.Process(stack.processes.running()["worker"])
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        found = [process for process in worker.children(recursive=True) if is_collector(process)]
        if len(found) >= count:
            return found
        time.sleep(1)
    raise TimeoutError(f"not {count} collectors under the worker: see {stack.processes.folder}")


def is_collector(process: psutil.Process) -> bool:
    """Tell a collector from a check: a check is over sooner."""
    try:
        return time.time() - process.create_time() > 2 * _WARM_SECONDS and not process.children()
    except psutil.Error:
        return False


def measure(which: Callable[[], Sequence[psutil.Process]], seconds: float) -> Measured:
    """Look at processes for so long; which they are is asked at each look."""
    seen, began = Measured(), time.monotonic()
    before = used(which())
    while time.monotonic() - began < seconds:
        infos = [info for process in which() if (info := memory(process)) is not None]
        seen.resident = max(seen.resident, sum(resident for resident, _ in infos))
        seen.proportional = max(seen.proportional, sum(proportional for _, proportional in infos))
        time.sleep(_LOOK_SECONDS)
    seen.cores = (used(which()) - before) / (time.monotonic() - began)
    return seen


def memory(process: psutil.Process) -> tuple[float, float] | None:
    """Give resident and proportional set in MB; None where it has just ended."""
    try:
        info = process.memory_full_info()
    except psutil.Error:
        return None
    return info.rss / 2**20, info.pss / 2**20


def used(processes: Iterable[psutil.Process]) -> float:
    """Sum up the processor seconds of processes."""
    times = [process.cpu_times() for process in processes]
    return sum(each.user + each.system for each in times)


if __name__ == "__main__":
    sys.exit(main())
