"""`python flows/collect.py` with a Prefect server, and with one that is not there."""

import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from depth.exchange.simulated import Handle
from tests import commands
from tests.commands import Ended

pytestmark = [pytest.mark.timeout(120), pytest.mark.alone]


@dataclass(frozen=True)
class OnServer:
    """Runs of the command on a server: one that went well, and one for a symbol that is not listed."""

    well: Ended
    unknown: Ended
    runs: list[dict[str, Any]]
    artifacts: list[dict[str, Any]]


@pytest.fixture(scope="module")
def on_server(prefect_api: str, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> OnServer:
    """Run both at the same time, then ask the server."""
    began = datetime.now(UTC).isoformat()  # others use this server, too
    here, there = tmp_path_factory.mktemp("well"), tmp_path_factory.mktemp("unknown")
    env = settings | {"PREFECT_API_URL": prefect_api, "FLUSH_SECONDS": "1"}
    with (
        commands.running("collect", ["--duration", "5"], here, env) as well,
        commands.running("collect", ["--symbols", "FOO/USDT"], there, env) as unknown,
    ):
        ended = commands.finish(unknown), commands.finish(well)
    ours: dict[str, Any] = {"flows": {"name": {"any_": ["collect"]}}, "flow_runs": {"start_time": {"after_": began}}}
    runs = httpx.post(f"{prefect_api}/flow_runs/filter", json=ours).json()
    of_these = {"any_": [run["id"] for run in runs]}
    wanted = {"artifacts": {"key": {"any_": ["collector-run"]}, "flow_run_id": of_these}}
    artifacts = httpx.post(f"{prefect_api}/artifacts/filter", json=wanted).json()
    return OnServer(ended[1], ended[0], runs, artifacts)


def _urls(handle: Handle) -> dict[str, str]:
    return {"BINANCE_REST_URL": handle.rest_url, "BINANCE_WS_URL": handle.ws_url}


def state_of(run: dict[str, Any]) -> tuple[str, str]:
    return run["state"]["name"], run["state"]["message"]


def test_a_run_on_a_server_ends_with_its_outcome(on_server: OnServer) -> None:
    """Exit 0; the flow run is Completed, and its message says rows, coverage and latency."""
    assert on_server.well.code == 0, on_server.well.err
    [message] = [message for name, message in map(state_of, on_server.runs) if name == "Completed"]
    assert re.match(r"BTC/USDT [1-9]\d* rows, coverage \d+\.\d\d%, .*latency p50 \d+ ms", message)
    assert message.endswith("0 rows wait in the spool")


def test_a_run_on_a_server_leaves_its_report(on_server: OnServer) -> None:
    """One markdown artifact with rows, coverage and latency."""
    [artifact] = on_server.artifacts
    assert artifact["type"] == "markdown"
    assert re.search(r"\| BTC/USDT \| [1-9]\d* \| \d+\.\d{3}% \|", artifact["data"])
    assert re.search(r"Latency epoch to durable: p50 \d+ ms", artifact["data"])


def test_uploads_of_a_run_on_a_server_are_tasks(on_server: OnServer, prefect_api: str) -> None:
    """Each is named after what it carries."""
    [run] = [run for run in on_server.runs if state_of(run)[0] == "Completed"]
    wanted = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    names = [each["name"] for each in httpx.post(f"{prefect_api}/task_runs/filter", json=wanted).json()]
    assert names
    assert all(re.fullmatch(r"store \d+ rows of binance_btc_depth(_collectors)?", name) for name in names)


def test_an_unknown_symbol_on_a_server_is_a_failed_run(on_server: OnServer) -> None:
    """Exit 2; the state's message is the one line, and nobody is shown a traceback."""
    assert on_server.unknown.code == 2
    assert on_server.unknown.error.startswith("error: ")
    assert "lists no spot market FOO/USDT" in on_server.unknown.error
    assert "Traceback" not in on_server.unknown.err
    assert "lists no spot market FOO/USDT" in dict(map(state_of, on_server.runs))["Failed"]


def test_without_its_server_it_collects_all_the_same(tmp_path: Path, settings: dict[str, str]) -> None:
    """A port where nobody listens: said in one line, then rows are stored."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        dead = f"http://127.0.0.1:{held.getsockname()[1]}/api"
    ended = commands.run("collect", ["--duration", "4"], tmp_path, PREFECT_API_URL=dead, **settings)
    assert ended.code == 0, ended.err
    said = [line for line in ended.err.splitlines() if dead in line]
    assert len(said) == 1
    assert "does not answer" in said[0]
    assert "running without it" in said[0]
    assert re.search(r"BTC/USDT [1-9]\d* rows", ended.err)
