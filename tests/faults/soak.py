"""`python -m tests.faults.soak [HOURS [SPEED]]`: a collector for hours, and what it holds and what it misses.

One of a synthetic market that runs so many (60) times too fast, and beside it another in real time. Exchange and
collector are processes of their own, as they are typed; the store is SQLite. Says every few minutes what they hold.
Writes docs/soak.json, for the page of results. Exit 1 where a limit is passed.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks import machine
from depth import rowkey
from depth.storage import sqlfile
from tests import commands

RESULTS = commands.ROOT / "docs" / "soak.json"
_FAST = 60
_SAMPLE_SECONDS = 2.0
_SAY_SECONDS = 120.0
_START_SECONDS = 60.0
_WARM_SHARE = 0.25
SLOPE_MINUTES = 80  # shorter, one dictionary that grows by half a MB is already a slope of over 1 MB/h
_MOST_SLOPE = 1.0
_MOST_LATENCY_MS = 250
_SAID = 4000  # characters of what a collector said that passed a limit
_FILES = 2  # SQLite opens some for a moment


@dataclass(frozen=True, slots=True)
class Soaked:
    """What was seen of one collector.

    Attributes:
        speed: seconds of market a second.
        minutes: that it ran.
        epochs: due, from the first row to the last.
        missing: of these.
        lost: what the collector says of them, and of the second in which it was stopped.
        waiting: rows left in the spool at the end.
        megabytes: resident, in the mean of the last tenth.
        slope: MB an hour from a quarter of the run on, by least squares.
        files: open ones after a quarter of the run, and at the end.
        latency_ms: from the end of an epoch to its row's commit, 99th percentile of the last hour of rows.
        processor: share of a core.
        broken: limits that were passed.
    """

    speed: int
    minutes: float
    epochs: int
    missing: int
    lost: str
    waiting: int
    megabytes: float
    slope: float
    files: tuple[int, int]
    latency_ms: int
    processor: float
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    megabytes: float
    files: int


def main(arguments: Sequence[str]) -> int:
    """Soak and tell; give the exit code."""
    hours = float(arguments[0]) if arguments else 2.0
    speed = int(arguments[1]) if arguments[1:] else _FAST
    with ThreadPoolExecutor() as pool:
        results = [*pool.map(soak, (speed, 1), (hours * 3600,) * 2)]
    told = {"machine": machine.describe(), "date": time.strftime("%Y-%m-%d", time.gmtime()), "load": os.getloadavg()[2]}
    RESULTS.write_text(json.dumps(told | {"runs": [asdict(each) for each in results]}, indent=1) + "\n")
    for each in results:
        sys.stdout.write(f"{each}\n")
    return 1 if any(each.broken for each in results) else 0


def soak(speed: int, seconds: float) -> Soaked:
    """Run one collector for so long, and measure it.

    Args:
        speed: seconds of market a second.
        seconds: of real time.
    """
    with tempfile.TemporaryDirectory(prefix="soak-") as name, _exchange(speed) as urls:
        folder = Path(name)
        with commands.running("-m depth", ["collect"], folder, urls) as process:
            _await_rows(folder / "depth.db", process)
            samples = [*_samples(psutil.Process(process.pid), seconds, f"{speed:3d} x")]
            processor = sum(psutil.Process(process.pid).cpu_times()[:2]) / (time.time() - _began(process.pid))
            ended = commands.finish(process, signal.SIGTERM)
        epochs = _epochs(folder / "depth.db")
    latency, waiting = re.search(r"p99 (-?\d+) ms", ended.err), re.search(r"(\d+) rows wait", ended.err)
    lost = re.search(r"coverage [\d.]+%, (.+), \d+ resyncs", ended.err)
    assert latency, ended.err
    assert lost, ended.err
    assert waiting, ended.err
    warm = [sample for sample in samples if sample.at > seconds * _WARM_SHARE]
    fit = statistics.linear_regression([each.at / 3600 for each in warm], [each.megabytes for each in warm])
    last = warm[-max(1, len(warm) // 10) :]
    due = epochs[-1] - epochs[0] + 1
    soaked = Soaked(
        speed=speed,
        minutes=round(seconds / 60, 1),
        epochs=due,
        missing=due - len(epochs),
        lost=lost[1],
        waiting=int(waiting[1]),
        megabytes=round(statistics.mean(sample.megabytes for sample in last), 1),
        slope=round(fit.slope, 2),
        files=(warm[0].files, warm[-1].files),
        latency_ms=int(latency[1]),
        processor=round(processor, 3),
        broken=(),
    )
    broken = _broken(soaked, ended.code)
    if broken:
        sys.stdout.write(ended.err[-_SAID:])
    return Soaked(**(asdict(soaked) | {"broken": broken}))


def _broken(soaked: Soaked, code: int) -> tuple[str, ...]:
    limits = {
        f"exit code {code}": code != 0,
        f"{soaked.missing} epochs are missing": soaked.missing > 0,
        f"{soaked.waiting} rows wait in the spool": soaked.waiting > 0,
        f"{soaked.slope} MB more an hour": soaked.minutes >= SLOPE_MINUTES and soaked.slope >= _MOST_SLOPE,
        f"{soaked.files[1]} open files instead of {soaked.files[0]}": soaked.files[1] > soaked.files[0] + _FILES,
        f"p99 of {soaked.latency_ms} ms": soaked.speed == 1 and soaked.latency_ms >= _MOST_LATENCY_MS,
    }
    return tuple(what for what, passed in limits.items() if passed)


@contextmanager
def _exchange(speed: int) -> Iterator[dict[str, str]]:
    """Run the exchange; give the settings that name it."""
    with subprocess.Popen(
        [sys.executable, "-m", "depth.exchange.simulated", "--speed", str(speed)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            rest, stream = re.search(r"http://[\d.:]+", said), re.search(r"ws://[\d.:]+", said)
            assert rest, said
            assert stream, said
            yield {"BINANCE_REST_URL": rest[0], "BINANCE_WS_URL": stream[0]}
        finally:
            process.terminate()


def _await_rows(path: Path, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + _START_SECONDS
    while not (path.exists() and _epochs(path)):
        assert process.poll() is None, "the collector ended"
        assert time.monotonic() < end, "no row is stored"
        time.sleep(1)


def _samples(process: psutil.Process, seconds: float, name: str) -> Iterator[_Sample]:
    began = said = time.monotonic()
    while (at := time.monotonic() - began) < seconds:
        sample = _Sample(at, process.memory_info().rss / 2**20, process.num_fds())
        if began + at - said >= _SAY_SECONDS:
            said += _SAY_SECONDS
            sys.stdout.write(f"{name}, {at / 60:.0f} min: {sample.megabytes:.2f} MB, {sample.files} open files\n")
            sys.stdout.flush()
        yield sample
        time.sleep(_SAMPLE_SECONDS)


def _began(pid: int) -> float:
    return psutil.Process(pid).create_time()


def _epochs(path: Path) -> list[int]:
    with closing(sqlfile.connect(path, create=False)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'binance_btc_depth'").fetchone():
            return []
        return [rowkey.decode(key)[0] for (key,) in db.execute("SELECT row_key FROM binance_btc_depth ORDER BY 1 DESC")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
