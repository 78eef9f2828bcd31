"""`make up` and `make down`: Prefect server, worker and exchange on this machine, without Docker.

up: starts what is not running, deploys, starts one collect run and prints where the UI is.
down: stops what `up` started, by process id, and nothing else.

EXCHANGE=live collects from Binance instead of the simulated exchange.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "data" / "stack"
PIDS = STATE / "pids.json"
BIN = Path(sys.executable).parent
SERVER_PORT = 4200
EXCHANGE_PORT = 18080
API = f"http://127.0.0.1:{SERVER_PORT}/api"
SERVER_SECONDS = 90.0


def environment() -> dict[str, str]:
    """Give the environment of every process of the stack."""
    ours = {
        "PREFECT_HOME": str(STATE / "prefect"),
        "PREFECT_API_URL": API,
        "PREFECT_UI_API_URL": API,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    if os.environ.get("EXCHANGE") != "live":
        ours |= {
            "BINANCE_REST_URL": f"http://127.0.0.1:{EXCHANGE_PORT}",
            "BINANCE_WS_URL": f"ws://127.0.0.1:{EXCHANGE_PORT}",
            # Made-up rows do not go where real ones are kept.
            "SQLITE_PATH": str(ROOT / "data" / "simulated.db"),
            "SPOOL_PATH": str(ROOT / "data" / "simulated-spool.db"),
        }
    return os.environ | ours


def up() -> int:
    """Start the stack; give the exit code."""
    if PIDS.exists():
        say(f"already up: http://127.0.0.1:{SERVER_PORT}; stop it with `make down`")
        return 1
    STATE.mkdir(parents=True, exist_ok=True)
    pids: dict[str, int] = {}
    prefect = str(BIN / "prefect")
    if os.environ.get("EXCHANGE") != "live":
        start("exchange", [sys.executable, "-m", "depth.exchange.simulated", "--port", str(EXCHANGE_PORT)], pids)
    start("server", [prefect, "server", "start", "--host", "127.0.0.1", "--port", str(SERVER_PORT)], pids)
    if not answers(f"{API}/health", SERVER_SECONDS):
        down()
        say(f"the Prefect server does not answer: see {STATE / 'server.log'}")
        return 1
    call([prefect, "work-pool", "create", "depth-pool", "--type", "process", "--overwrite"])
    call([prefect, "--no-prompt", "deploy", "--all"])
    start("worker", [prefect, "worker", "start", "--pool", "depth-pool", "--limit", "6"], pids)
    call([prefect, "deployment", "run", "collect/collect"])
    say(f"Prefect UI: http://127.0.0.1:{SERVER_PORT}; logs in {STATE.relative_to(ROOT)}; stop it with `make down`")
    return 0


def down() -> int:
    """Stop what `up` started, the newest first; give the exit code."""
    pids: dict[str, int] = json.loads(PIDS.read_text()) if PIDS.exists() else {}
    if "worker" in pids:
        # A worker that ends kills its flows at once; asked first, they commit, ship and say what they did.
        for flow in children(pids["worker"]):
            stop("flow", flow)
    for name, pid in reversed(pids.items()):
        stop(name, pid)
    PIDS.unlink(missing_ok=True)
    say("stopped: " + (", ".join(pids) or "nothing was running"))
    return 0


def start(name: str, command: list[str], pids: dict[str, int]) -> None:
    """Start one process in a group of its own, its output in a log, its id noted at once."""
    with (STATE / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # our own commands
            command, env=environment(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
        )
    pids[name] = process.pid
    PIDS.write_text(json.dumps(pids))


def stop(name: str, pid: int) -> None:
    """End one process group: politely, once more (a worker drains at the first signal), then for good."""
    for number, patience in ((signal.SIGTERM, 8.0), (signal.SIGTERM, 8.0), (signal.SIGKILL, 2.0)):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return
        if gone(pid, patience):
            return
    say(f"{name} ({pid}) does not end")


def children(pid: int) -> list[int]:
    """Give the processes that a process has started; each leads a group of its own."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def gone(pid: int, seconds: float) -> bool:
    """Wait for a process group to end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def answers(url: str, seconds: float) -> bool:
    """Wait for a server."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if httpx.get(url, timeout=1.0).is_success:
                return True
        except httpx.HTTPError:
            time.sleep(0.3)
    return False


def call(command: list[str]) -> None:
    """Run one command to its end; its output goes to the log."""
    with (STATE / "deploy.log").open("ab") as log:
        subprocess.run(  # noqa: S603  # our own commands
            command, env=environment(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True
        )


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit({"up": up, "down": down}[sys.argv[1]]())
