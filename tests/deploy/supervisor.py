"""A small systemd for tests: it obeys ExecStart, ExecStop, Restart, KillMode, Type=notify and WatchdogSec of our units.

A unit's processes are known by a variable of their environment, as a control group knows them by birth. Paths of an
installation are those of this checkout, and /var/lib/depth is a folder of the test.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import psutil

from tests.commands import ROOT, environment

UNITS = ROOT / "deploy" / "systemd"
_MARK = "DEPTH_TEST_UNIT"
_LOOK_SECONDS = 0.1


def parse(path: Path) -> dict[str, list[str]]:
    """Read a unit file: each key of its sections to its values, in order."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for line in path.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[key.strip()].append(value.strip())
    return dict(found)


@dataclass
class Unit:
    """One service.

    Attributes:
        name: for example ``depth-collect@a``.
        folder: stands for /var/lib/depth.
        settings: what /etc/depth/depth.env says.
        pids: of its main process, each start's.
        stands_for: texts of the unit file, and what stands for them here.
    """

    name: str
    folder: Path
    settings: Mapping[str, str]
    pids: list[int] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)
    stands_for: Mapping[str, str] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _token: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        template, _, self._instance = self.name.partition("@")
        self._keys = parse(UNITS / (f"{template}@.service" if self._instance else f"{template}.service"))
        self._thread = threading.Thread(target=self._supervise, name=self.name)

    def start(self, seconds: float) -> None:
        """Start it; returns when systemctl would: ready, or for units that do not tell, at once."""
        self._thread.start()
        until = time.monotonic() + seconds
        while not self.ready.wait(_LOOK_SECONDS):
            if self._over.is_set() or time.monotonic() > until:
                self.stop()
                raise TimeoutError(f"{self.name} is not ready: {self.log()[-3000:]}")

    def kill(self) -> None:
        """Kill the main process as the kernel would."""
        os.kill(self.pids[-1], signal.SIGKILL)

    def wait_for_restart(self, starts: int, seconds: float) -> None:
        """Wait until it was started so many times, and is ready again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if len(self.pids) >= starts and self.ready.wait(_LOOK_SECONDS):
                return
            time.sleep(_LOOK_SECONDS)
        raise TimeoutError(f"{self.name} did not come back: {self.log()[-3000:]}")

    def stop(self) -> None:
        """Stop it for good."""
        self._stopping.set()
        self._over.wait(self._seconds("TimeoutStopSec") * 2 + 10)

    def log(self) -> str:
        """Give what it has written."""
        return (self.folder / f"{self.name}.log").read_text()

    def members(self) -> list[psutil.Process]:
        """Find its processes: what its control group would hold."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == self._token and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _supervise(self) -> None:
        try:
            while not self._stopping.is_set():
                code = self._once()
                if str(code) in self._one("RestartPreventExitStatus", "").split() or self._one("Restart") != "always":
                    return
                self._stopping.wait(self._seconds("RestartSec"))
        finally:
            self._over.set()

    def _once(self) -> int:
        """Run it once to its end; give the exit code of its main process."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, self._open_log() as log:
            told = self._environment()
            if self._one("Type") == "notify":
                address = f"depth-test-{uuid4().hex}"
                channel.bind(f"\0{address}")
                channel.settimeout(_LOOK_SECONDS)
                told |= {"NOTIFY_SOCKET": f"@{address}", "WATCHDOG_USEC": str(int(self._seconds("WatchdogSec") * 1e6))}
            where = self._filled(self._one("WorkingDirectory"))
            for command in self._keys.get("ExecStartPre", ()):
                subprocess.run(self._command(command), env=told, cwd=where, stdout=log, stderr=log, check=False)
            main = subprocess.Popen(
                self._command(self._one("ExecStart")), env=told, cwd=where, stdout=log, stderr=log, process_group=0
            )
            self.pids.append(main.pid)
            self._watch(main, channel)
            self.ready.clear()
            if self._stopping.is_set():
                for command in self._keys.get("ExecStop", ()):
                    text = command.replace("$MAINPID", str(main.pid))
                    subprocess.run(self._command(text), env=told, cwd=where, stdout=log, stderr=log, check=False)
            self._end(main)
            return main.wait()

    def _watch(self, main: "subprocess.Popen[bytes]", channel: socket.socket) -> None:
        """Return when the main process has ended, or is to end; a silent one is aborted."""
        notifies = self._one("Type") == "notify"
        if not notifies:
            self.ready.set()
        heard = time.monotonic()
        while main.poll() is None and not self._stopping.is_set():
            if not notifies:
                time.sleep(_LOOK_SECONDS)
                continue
            with suppress(TimeoutError):
                states = channel.recv(4096).decode().split("\n")
                heard = time.monotonic()
                if "READY=1" in states:
                    self.ready.set()
            limit = self._seconds("WatchdogSec" if self.ready.is_set() else "TimeoutStartSec")
            if time.monotonic() - heard > limit:
                main.send_signal(signal.SIGABRT)
                heard = time.monotonic()

    def _end(self, main: "subprocess.Popen[bytes]") -> None:
        """Do as KillMode says with what is left, and kill what is left then."""
        mode = self._one("KillMode")
        first = {
            "control-group": self.members(),
            "mixed": [process for process in self.members() if process.pid == main.pid],
        }
        for process in first[mode]:
            with suppress(psutil.Error):
                process.terminate()
        until = time.monotonic() + self._seconds("TimeoutStopSec")
        while first[mode] and any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in first[mode]):
            if time.monotonic() > until:
                break
            main.poll()
            time.sleep(_LOOK_SECONDS)
        for process in self.members():
            with suppress(psutil.Error):
                process.kill()

    def _environment(self) -> dict[str, str]:
        told = environment(self.folder, **{_MARK: self._token})
        for line in self._keys.get("Environment", ()):
            told |= dict(pair.split("=", 1) for pair in shlex.split(self._filled(line)))
        for name in self._keys.get("EnvironmentFile", ()):
            path = Path(self._filled(name.removeprefix("-")))
            if path.exists():
                lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
                told |= dict(line.split("=", 1) for line in lines)
        return told | dict(self.settings)

    def _command(self, text: str) -> list[str]:
        return shlex.split(self._filled(text.removeprefix("-")))

    def _filled(self, text: str) -> str:
        for name, stands_for in (
            ("/opt/depth/current/.venv/bin", str(Path(sys.executable).parent)),
            ("/opt/depth/current", str(ROOT)),
            ("/var/lib/depth", str(self.folder)),
            ("%H", "host"),
            ("%i", self._instance),
            *self.stands_for.items(),
        ):
            text = text.replace(name, stands_for)
        return text

    def _open_log(self) -> BinaryIO:
        return (self.folder / f"{self.name}.log").open("ab")

    def _one(self, key: str, default: str | None = None) -> str:
        values = self._keys.get(key, [default] if default is not None else [])
        [value] = values
        return value

    def _seconds(self, key: str) -> float:
        return float(self._one(key, "90"))
