"""Units that scripts under test command by `systemctl`, as they do on a machine."""

import fnmatch
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import commands
from tests.commands import ROOT
from tests.deploy.supervisor import Unit

_START_SECONDS = 120.0
_INSTALL = """#!/bin/sh
set -e
mkdir -p "$DEPTH_ROOT/opt/depth/releases"
ln -sfn "{root}" "$DEPTH_ROOT/opt/depth/releases/$1"
ln -sfn "releases/$1" "$DEPTH_ROOT/opt/depth/current"
"""


@dataclass
class Systemd:
    """The units of one machine.

    Attributes:
        folder: stands for /var/lib/depth, and for the root that releases are installed in.
        settings: what /etc/depth/depth.env says.
        of_unit: settings that one unit has beside them.
        stands_for: texts of unit files, and what stands for them here.
        units: those that run.
        told: what `systemctl` was told, but for questions.
    """

    folder: Path
    settings: Mapping[str, str]
    of_unit: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    stands_for: Mapping[str, str] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def do(self, *arguments: str) -> tuple[int, str]:
        """Do what `systemctl` is told; give its exit code and what it prints."""
        match [word for word in arguments if not word.startswith("--")]:
            case ["is-active", name]:
                return 0 if name in self.units else 3, ""
            case ["list-units", pattern]:
                found = fnmatch.filter(self.units, pattern)
                return 0, "".join(f"{name}.service loaded active running\n" for name in found)
            case ["start" | "restart" | "stop" as verb, unit]:
                name = unit.removesuffix(".service")
                self.told.append(f"{verb} {name}")
                if verb != "start" and name in self.units:
                    self.units.pop(name).stop()
                return 0 if verb == "stop" else self._start(name), ""
        raise NotImplementedError(arguments)

    def _start(self, name: str) -> int:
        unit = Unit(name, self.folder, {**self.settings, **self.of_unit.get(name, {})}, stands_for=self.stands_for)
        try:
            unit.start(_START_SECONDS)
        except TimeoutError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        self.units[name] = unit
        return 0

    @contextmanager
    def serving(self) -> Iterator[dict[str, str]]:
        """Let scripts command the units; give their environment. All units are stopped at the end."""
        system, work = self, self.folder / "systemd"

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(json.dumps(system.do(*json.loads(self.rfile.readline()))).encode() + b"\n")

        (work / "bin").mkdir(parents=True)
        for name in ("systemctl", "systemd-run"):
            program = work / "bin" / name
            command = f"{sys.executable} -I -S {Path(__file__).with_name('systemctl.py')} {name}"
            program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            program.chmod(0o755)
        (work / "environment.json").write_text(json.dumps(commands.environment(self.folder, **self.settings)))
        with socketserver.ThreadingUnixStreamServer(str(work / "socket"), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield {
                    "PATH": f"{work / 'bin'}:{os.environ['PATH']}",
                    "SYSTEMD": str(work),
                    "DEPTH_ROOT": str(self.folder),
                }
            finally:
                for unit in self.units.values():
                    unit.stop()
                server.shutdown()
                thread.join()

    def upgrade(self, name: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        """Run deploy/upgrade.sh; its installation, which has a test of its own, makes a link to this checkout."""
        deploy = self.folder / "checkout" / "deploy"
        deploy.mkdir(parents=True, exist_ok=True)
        (deploy / "upgrade.sh").write_text((ROOT / "deploy" / "upgrade.sh").read_text())
        (deploy / "install.sh").write_text(_INSTALL.format(root=ROOT))
        for script in deploy.iterdir():
            script.chmod(0o755)
        return subprocess.run(
            [deploy / "upgrade.sh", name], env=environment, capture_output=True, text=True, timeout=600, check=False
        )

    @property
    def release(self) -> Path:
        """What /opt/depth/current points to."""
        return (self.folder / "opt" / "depth" / "current").readlink()
