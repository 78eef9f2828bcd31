"""`make up` and `make down`: Prefect server, worker and exchange on this machine, without Docker.

up: starts them, deploys, asks for a collector if one is wanted, and prints where the UI is.
down: stops what `up` started, flows first, by process id, and nothing else.

Environment: PORT of the UI (4200, else a free one); EXCHANGE=live collects from Binance instead of the simulated
exchange; FAST=1 compresses the schedules (deploy/local/deployments.py).
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from dotenv import dotenv_values

from deploy.local import deployments
from deploy.local.processes import ROOT, Processes

POOL = "depth-pool"
DEPLOYMENTS = ROOT / "prefect.yaml"
DATA = ROOT / "data"
_PREFECT = str(Path(sys.executable).with_name("prefect"))
_STOP_WORKER = ROOT / "deploy" / "worker-stop.sh"
_SERVER_PORT = 4200
_SERVER_SECONDS = 90.0
_EXCHANGE_PORT = 18080


class NotUp(Exception):
    """Something of the stack does not start; the text is one line that says where to look."""


class Stack:
    """A Prefect server with what belongs to it, all of it in one folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Prepare; nothing is started.

        Args:
            folder: for its database, logs and process ids; made if it is not there.
            environment: of every process, beside what the stack itself sets.
        """
        self.processes = Processes(folder)
        self._api = folder / "api"
        self._environment = dict(environment)

    @property
    def api(self) -> str:
        """PREFECT_API_URL of the server, once it has been started."""
        return self._api.read_text()

    @property
    def ui(self) -> str:
        """Address of the UI."""
        return self.api.removesuffix("/api")

    @property
    def environment(self) -> dict[str, str]:
        """Environment of everything that talks to the server."""
        home = str(self.processes.folder / "prefect")
        return self._environment | {"PREFECT_HOME": home, "PREFECT_API_URL": self.api}

    def start_exchange(self) -> None:
        """Start a simulated exchange; flows collect from it into files of their own, not where real rows are kept."""
        port = free_port(_EXCHANGE_PORT)
        command = [sys.executable, "-m", "depth.exchange.simulated", "--port", str(port)]
        self.processes.start("exchange", command, self._environment)
        self._environment |= {
            "BINANCE_REST_URL": f"http://127.0.0.1:{port}",
            "BINANCE_WS_URL": f"ws://127.0.0.1:{port}",
            "SQLITE_PATH": str(self.processes.folder / "simulated.db"),
            "SPOOL_PATH": str(self.processes.folder / "simulated-spool.db"),
        }

    def start_server(self, port: int) -> None:
        """Start the Prefect server and wait until it answers.

        Raises:
            NotUp: it ends, or does not answer within 90 s.
        """
        self._api.write_text(f"http://127.0.0.1:{port}/api")
        command = [
            sys.executable,
            "-m",
            "deploy.prefect_server",
            "server",
            "start",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        settings = _settings("prefect-server.env") | {"PREFECT_UI_API_URL": self.api}
        self.processes.start("server", command, self.environment | settings)
        log = self.processes.folder / "server.log"
        until = time.monotonic() + _SERVER_SECONDS
        while not _answers(self.api):
            if "server" not in self.processes.running():
                raise NotUp(f"the Prefect server ended at once: see {log}")
            if time.monotonic() > until:
                raise NotUp(f"this machine is too slow: no Prefect server within {_SERVER_SECONDS:.0f} s: see {log}")
            time.sleep(0.3)

    def make_pool(self) -> None:
        """Make the work pool.

        Raises:
            NotUp: Prefect refuses it.
        """
        self.run(_PREFECT, "work-pool", "create", POOL, "--type", "process", "--overwrite")

    def deploy(self, file: Path = DEPLOYMENTS) -> None:
        """Make the deployments of a file; their pools are there.

        Raises:
            NotUp: Prefect refuses one.
        """
        self.run(_PREFECT, "--no-prompt", "deploy", "--all", "--prefect-file", str(file))

    def start_worker(self, pool: str = POOL, name: str = "worker") -> None:
        """Start a worker of a pool; six runs at most at the same time."""
        command = [_PREFECT, "worker", "start", "--pool", pool, "--limit", "6", "--name", name]
        self.processes.start(name, command, self.environment | _settings("prefect-worker.env"))

    def run(self, *command: str) -> None:
        """Run a command of the stack to its end.

        Raises:
            NotUp: it failed.
        """
        try:
            self.processes.run(command, self.environment)
        except subprocess.CalledProcessError:
            said = " ".join(Path(part).name for part in command)
            raise NotUp(f"`{said}` failed: see {self.processes.folder / 'commands.log'}") from None

    def down(self, *workers: str) -> list[str]:
        """Stop all of it, the workers' flows first; give the names of what ran."""
        names = (*(workers or ("worker",)), "server", "exchange")
        running = self.processes.running()
        stopping = [
            subprocess.Popen([str(_STOP_WORKER), str(running[name])])  # noqa: S603  # our own command
            for name in names[:-2]
            if name in running
        ]
        for each in stopping:
            each.wait()  # half a minute at most
        self.processes.stop(*names)
        return [name for name in reversed(running) if name in names]


def free_port(usual: int) -> int:
    """Give the usual port, or a free one where that is taken."""
    for port in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NotUp("this machine has no free port")


def up(folder: Path = DATA / "stack", environment: Mapping[str, str] = os.environ) -> int:
    """Start the stack; give the exit code."""
    stack = Stack(folder, environment)
    if stack.processes.running():
        say(f"already up: {stack.ui}; stop it with `make down`")
        return 1
    try:
        if environment.get("EXCHANGE") != "live":
            stack.start_exchange()
        stack.start_server(free_port(int(environment.get("PORT") or _SERVER_PORT)))
        fast = deployments.write_fast(DEPLOYMENTS, folder / "prefect.yaml") if environment.get("FAST") else DEPLOYMENTS
        stack.make_pool()
        stack.deploy(fast)
        stack.run(sys.executable, "-m", "deploy.automations")
        stack.run(sys.executable, "-m", "flows.boot")
        stack.start_worker()
    except NotUp as error:
        stack.down()
        say(str(error))
        return 1
    say(f"Prefect UI: {stack.ui}; logs in {folder}; stop it with `make down`")
    return 0


def down(data: Path = DATA) -> int:
    """Stop what `up` started, and a demo that was kept; give the exit code."""
    stopped = [name for noted in data.glob("*/processes.json") for name in Stack(noted.parent, os.environ).down()]
    say("stopped: " + (", ".join(stopped) or "nothing was running"))
    return 0


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _settings(name: str) -> dict[str, str]:
    return {key: value or "" for key, value in dotenv_values(ROOT / "deploy" / name).items()}


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=1.0).is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    sys.exit(up() if sys.argv[1:] == ["up"] else down())
