"""The commands as a person types them: subprocesses, from another directory, with an environment of their own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# DESIGN section 6: the contract's log line
LINE = re.compile(
    r"\[\d\d:\d\d:\d\d\] \(-?\d+\.\d\ds\) \| [A-Z0-9]+/[A-Z]+ \$[\d,.]+/\$[\d,.]+ \| spread: \d+\.\dbps \| "
    r"bids: \$\d+\.\dM\+? \| asks: \$\d+\.\dM\+? \| epoch: \d+"
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The last line of standard error: what a person reads."""
        lines = self.err.strip().splitlines()
        return lines[-1] if lines else ""


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Give an environment in which everything is kept in one folder and nothing of the caller's is seen."""
    ours = ("ALERT_", "BINANCE_", "BIGTABLE_", "DB_", "HEARTBEAT_", "METRICS_", "PREFECT_", "SPOOL_", "SQLITE_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    places = {
        "SQLITE_PATH": str(folder / "depth.db"),
        "SPOOL_PATH": str(folder / "spool.db"),
        "PREFECT_HOME": str(folder / "prefect"),
        "METRICS_PORT": "0",
    }
    return clean | places | settings


@contextmanager
def running(
    flow: str, arguments: Sequence[str], folder: Path, settings: Mapping[str, str]
) -> Iterator["subprocess.Popen[str]"]:
    """Run a command beside the test; it has ended when the block is left.

    Args:
        flow: ``collect`` for ``python flows/collect.py``, ``-m depth`` for ``python -m depth``.
        arguments: what follows.
        folder: where it is typed and where its files are.
        settings: further environment.
    """
    program = flow.split() if flow.startswith("-m") else [str(ROOT / "flows" / f"{flow}.py")]
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=folder,
        env=environment(folder, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(process: "subprocess.Popen[str]", number: signal.Signals | None = None, seconds: float = 60.0) -> Ended:
    """Wait for a command, after a signal where one is given."""
    if number is not None:
        process.send_signal(number)
    out, err = process.communicate(timeout=seconds)
    return Ended(process.returncode, out, err)


def run(flow: str, arguments: Sequence[str], folder: Path, **settings: str) -> Ended:
    """Run a command to its end."""
    with running(flow, arguments, folder, settings) as process:
        return finish(process)
