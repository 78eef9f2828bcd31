"""Processes that outlive the command that started them, noted in a file so that another command stops them."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A worker drains at the first SIGTERM and ends at the second.
_SIGNALS = ((signal.SIGTERM, 8.0), (signal.SIGTERM, 8.0), (signal.SIGKILL, 2.0))


class Processes:
    """The processes of one folder: their ids in `processes.json`, their output in `<name>.log`."""

    def __init__(self, folder: Path) -> None:
        """Read what an earlier command noted.

        Args:
            folder: made if it is not there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._file = folder / "processes.json"
        noted = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._noted: dict[str, tuple[int, str]] = {name: (pid, began) for name, (pid, began) in noted.items()}
        self._own: dict[int, subprocess.Popen[bytes]] = {}

    def running(self) -> dict[str, int]:
        """Give the ids of those that run, in the order of their start; an id that another process has got is none."""
        for process in self._own.values():
            process.poll()  # what has ended must not stay in the table of processes
        return {name: pid for name, (pid, began) in self._noted.items() if self._lives(pid, began)}

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Start one in a group of its own, note it at once and give its id."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  # our own commands
                command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        self._own[process.pid] = process
        self._noted[name] = (process.pid, _began(process.pid))
        self._file.write_text(json.dumps(self._noted))
        return process.pid

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a command to its end; its output goes to `commands.log`.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        with (self.folder / "commands.log").open("ab") as log:
            subprocess.run(  # noqa: S603  # our own commands
                command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True
            )

    def stop(self, *names: str) -> list[str]:
        """End some, the newest first: politely, once more, then for good; give the names of those that ran."""
        running = self.running()
        stopped = [name for name in reversed(running) if name in names]
        for name in stopped:
            self.end([running[name]])
        for name in names:
            self._noted.pop(name, None)
        if self._noted:
            self._file.write_text(json.dumps(self._noted))
        else:
            self._file.unlink(missing_ok=True)
        return stopped

    def end(self, groups: Sequence[int]) -> None:
        """End some process groups, all at the same time."""
        left = list(groups)
        for number, patience in _SIGNALS:
            for group in left:
                _signal(group, number)
            until = time.monotonic() + patience
            while (left := [group for group in left if self._lives(group)]) and time.monotonic() < until:
                time.sleep(0.1)

    def _lives(self, pid: int, began: str | None = None) -> bool:
        """Say whether a process runs, one that has begun then if that is given."""
        if pid in self._own:  # not gone before it is reaped, which may be after its first thread has ended
            return self._own[pid].poll() is None
        return _began(pid) == began if began else _began(pid) != ""

    def children(self, name: str) -> list[int]:
        """Give the processes that one of ours has started; each leads a group of its own."""
        pid = self.running().get(name)
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except FileNotFoundError:
            return []


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _began(pid: int) -> str:
    """Say when a process was started, in the kernel's ticks; nothing if it runs no more."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except FileNotFoundError:
        return ""
    return "" if state == "Z" else fields[18]
