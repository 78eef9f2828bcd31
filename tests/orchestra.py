"""A Prefect server, workers and an exchange; deployments for one scene each, with files and group of their own."""

import json
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import stamina
import yaml

from deploy.local.stack import DEPLOYMENTS, POOL, Stack
from depth import presence, rowkey
from depth.exchange.simulated import Handle
from depth.presence import Presence
from depth.record import Record
from tests import commands

TABLE = "binance_btc_depth"
_POOL_KEYS = ("type", "base_job_template")


@dataclass(frozen=True)
class Deployment:
    """One deployment of a scene.

    Attributes:
        name: of the deployment, and of its group and its folder.
        options: instead of those in prefect.yaml.
        schedule: as prefect.yaml has it; none where runs are asked for.
        pool: the work pool.
        of: the deployment of prefect.yaml that it is made from.
        env: further settings of its runs.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: Mapping[str, Any] | None = None
    pool: str = POOL
    of: str = "collect"
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A flow run, as the API tells it; times are seconds UTC; scheduled: a schedule asked for it, nobody else."""

    id: str
    name: str
    state: str
    message: str
    due: float
    created: float
    started: float | None
    ended: float | None
    scheduled: bool


class Site:
    """All of it."""

    def __init__(self, folder: Path, exchange: Handle) -> None:
        self.folder = folder
        urls = {"BINANCE_REST_URL": exchange.rest_url, "BINANCE_WS_URL": exchange.ws_url}
        self.stack = Stack(folder, commands.environment(folder, FLUSH_SECONDS="2", **urls))

    def deploy(self, deployments: Sequence[Deployment]) -> None:
        """Deploy variants of what prefect.yaml has."""
        document = yaml.safe_load(DEPLOYMENTS.read_text())
        shipped = {each["name"]: each for each in document["deployments"]}
        variants = [self._variant(shipped[each.of], each) for each in deployments]
        file = self.folder / "prefect.yaml"
        file.write_text(yaml.safe_dump(document | {"deployments": variants}))
        self.stack.make_pool()
        made = self.request("GET", f"work_pools/{POOL}")
        for pool in sorted({each.pool for each in deployments} - {POOL}):
            self.request("POST", "work_pools/", {key: made[key] for key in _POOL_KEYS} | {"name": pool})
        self.stack.deploy(file)

    def _variant(self, shipped: dict[str, Any], deployment: Deployment) -> dict[str, Any]:
        env = shipped["work_pool"]["job_variables"]["env"] | self.files(deployment.name) | deployment.env
        options = shipped["parameters"]["options"] | deployment.options
        return shipped | {
            "name": deployment.name,
            "parameters": {"options": options},
            "schedules": [dict(deployment.schedule)] if deployment.schedule else [],
            "work_pool": shipped["work_pool"] | {"name": deployment.pool, "job_variables": {"env": env}},
        }

    def files(self, name: str) -> dict[str, str]:
        """Give the settings of a scene's files and group; a scene of several deployments is named before the dot."""
        folder = self.folder / name.partition(".")[0]
        folder.mkdir(exist_ok=True)
        paths = {"SQLITE_PATH": str(folder / "depth.db"), "SPOOL_PATH": str(folder / "spool.db")}
        return paths | {"COLLECTOR_GROUP": name}

    def boot(self, deployment: str) -> str:
        """Run `python -m flows.boot`; give what it says."""
        self.stack.run(sys.executable, "-m", "flows.boot", "--deployment", deployment)
        return (self.stack.processes.folder / "commands.log").read_text().splitlines()[-1]

    @stamina.retry(on=httpx.HTTPError, attempts=10, timeout=60)
    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Talk to the API; a busy server says 503 now and then, when its database is locked."""
        answer = httpx.request(method, f"{self.stack.api}/{path}", json=body, timeout=30).raise_for_status()
        return answer.json() if answer.content else None

    def ask(self, flow: str, deployment: str, due: float, options: Mapping[str, Any] | None = None) -> None:
        """Ask for a run, with some options of its own; in the past too, as one that waited for its worker."""
        found = self.request("GET", f"deployments/name/{flow}/{deployment}")
        when = datetime.fromtimestamp(due, UTC).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": when}}
        parameters = {"options": found["parameters"]["options"] | (options or {})}
        self.request("POST", f"deployments/{found['id']}/create_flow_run", {"state": state, "parameters": parameters})

    def runs(self, deployment: str, ahead: float = 0) -> list[Run]:
        """Give the runs of a deployment that are due, or will be within some seconds, in their order."""
        now = datetime.fromtimestamp(time.time() + ahead, UTC).isoformat()
        wanted = {
            "deployments": {"name": {"any_": [deployment]}},
            "flow_runs": {"expected_start_time": {"before_": now}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        return [
            Run(
                each["id"],
                each["name"],
                each["state"]["name"],
                each["state"]["message"] or "",
                _seconds(each["expected_start_time"]),
                _seconds(each["created"]),
                _seconds(each["start_time"]) if each["start_time"] else None,
                _seconds(each["end_time"]) if each["end_time"] else None,
                each["auto_scheduled"],
            )
            for each in self.request("POST", "flow_runs/filter", wanted)
        ]

    def cancel(self, run: Run) -> None:
        self.request("POST", f"flow_runs/{run.id}/set_state", {"state": {"type": "CANCELLED"}})

    def states(self, deployment: str) -> list[str]:
        return [run.state for run in self.runs(deployment)]

    def artifacts(self, run: Run | None = None) -> set[str]:
        """Name the artifacts that were left, by one run or by all."""
        wanted = {"flow_runs": {"id": {"any_": [run.id]}}} if run else {}
        return {each["key"] for each in self.request("POST", "artifacts/filter", wanted)}

    def uploads(self, run: Run) -> list[tuple[float, float]]:
        """Give start and end of the uploads of a flow run that ended well, the newest 200 first."""
        wanted = {
            "flow_runs": {"id": {"any_": [run.id]}},
            "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}, "name": {"like_": "store "}},
            "sort": "END_TIME_DESC",
        }
        found = self.request("POST", "task_runs/filter", wanted)
        return [(_seconds(each["start_time"]), _seconds(each["end_time"])) for each in found]

    def stored(self, run: Run) -> float:
        """Wait until the server knows of a run's first upload; give the moment at which the store acknowledged it."""
        until(lambda: self.uploads(run), 180)
        return self.uploads(run)[-1][1]

    def make_old(self, deployment: str, event: str, days: int) -> None:
        """Have the runs of a deployment ended, and events occurred, so much earlier; the server is away."""
        old = f"strftime('%Y-%m-%d %H:%M:%f000', {{}}, '-{days} days')"
        runs = "deployment_id = (SELECT id FROM deployment WHERE name = ?)"
        with closing(sqlite3.connect(self.folder / "prefect" / "prefect.db", timeout=30)) as db, db:
            db.execute(f"UPDATE flow_run SET end_time = {old.format('end_time')} WHERE {runs}", [deployment])  # noqa: S608
            db.execute(f"UPDATE events SET occurred = {old.format('occurred')} WHERE event = ?", [event])  # noqa: S608

    def events(self, name: str, older: float = 0) -> int:
        """Count events that occurred so many seconds ago or more, a week at most."""
        since, until = (datetime.fromtimestamp(time.time() - ago, UTC).isoformat() for ago in (7 * 86_400, older))
        wanted = {"event": {"name": [name]}, "occurred": {"since": since, "until": until}}
        return int(self.request("POST", "events/filter", {"filter": wanted})["total"])

    def epochs(self, name: str) -> list[int]:
        """Give the stored seconds of a scene, oldest first."""
        rows = _read(self.folder / name / "depth.db", f"SELECT row_key FROM {TABLE} ORDER BY row_key DESC")  # noqa: S608
        return [rowkey.decode(key)[0] for (key,) in rows]

    def missing(self, name: str, since: float = 0) -> list[int]:
        """Give the seconds that are missing between the stored ones."""
        epochs = [epoch for epoch in self.epochs(name) if epoch >= since]
        return sorted(set(range(epochs[0], epochs[-1] + 1)) - set(epochs))

    def presences(self, name: str) -> list[Presence]:
        """Give what the collectors of a scene say of themselves."""
        statement = f"SELECT row_key, value FROM {TABLE}_collectors WHERE row_key GLOB 'presence#*'"  # noqa: S608  # ours
        rows = _read(self.folder / name / "depth.db", statement)
        return [presence.decode(Record(key, {"value": value})) for key, value in rows]

    def kill(self, run: Run) -> float:
        """End the process of a run with SIGKILL; give the moment."""
        [pid] = processes_of(run.id)
        os.kill(pid, signal.SIGKILL)
        return time.time()

    def finish(self, name: str) -> None:
        """End what still runs of a scene, as a supervisor does: it costs the others time."""
        for run in self.runs(name):
            for pid in processes_of(run.id):
                os.kill(pid, signal.SIGTERM)

    def kill_worker(self, worker: str) -> None:
        """End a worker and all its flows with SIGKILL, as a machine that loses its power."""
        for pid in [self.stack.processes.running()[worker], *self.stack.processes.children(worker)]:
            os.killpg(pid, signal.SIGKILL)

    def restart_server_after(self, seconds: float, meanwhile: Callable[[], object]) -> tuple[float, float]:
        """Kill the server, and start it again on its port; give when it was away."""
        port = int(self.stack.api.split(":")[2].removesuffix("/api"))
        os.killpg(self.stack.processes.running()["server"], signal.SIGKILL)
        began = time.time()
        meanwhile()
        time.sleep(seconds)
        end = time.time()
        self.stack.start_server(port)
        return began, end


def processes_of(run: str) -> list[int]:
    """Find the process of a flow run, by its environment; a hook has the same and another command."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and "prefect.engine" in (entry / "cmdline").read_text():
                found += [int(entry.name)] * (f"PREFECT__FLOW_RUN_ID={run}" in (entry / "environ").read_text())
    return found


def until(condition: Callable[[], object], seconds: float) -> float:
    """Wait for something that nobody announces; give the moment.

    Looking more often would keep a server busy: it serves 15 requests at once, and some of its own wait for another.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(1.0)
    return time.time()


@contextmanager
def chat() -> Iterator[tuple[str, list[str]]]:
    """Run a chat's webhook; give its address and the texts that it has got."""
    texts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", texts
        server.shutdown()


def _seconds(when: str) -> float:
    return datetime.fromisoformat(when).timestamp()


def _read(database: Path, statement: str) -> list[tuple[str, ...]]:
    """Ask a database that may not be there yet."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(statement).fetchall()
    return []
