"""`deploy/flows.sh` and `deploy/worker.sh`, as the containers of compose run them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deploy.local.footprint import capturing
from depth.exchange.simulated import SyntheticSource, threaded
from depth.storage.spool_state import read_state
from tests import commands, prefect_server

_DEPLOY = commands.ROOT / "deploy"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_asks_for_a_collector_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The flows are deployed; the worker's collector captures; SIGTERM ends the flow first, then the worker."""
    with threaded(SyntheticSource()) as exchange, prefect_server.running(tmp_path / "server") as api:
        environment = commands.environment(
            tmp_path,
            PREFECT_API_URL=api,
            PREFECT_WORKER_QUERY_SECONDS="2",
            BINANCE_REST_URL=exchange.rest_url,
            BINANCE_WS_URL=exchange.ws_url,
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        )
        subprocess.run([_DEPLOY / "flows.sh"], env=environment, capture_output=True, timeout=300, check=True)
        with (
            (tmp_path / "log").open("wb") as log,
            subprocess.Popen([_DEPLOY / "worker.sh"], env=environment, stdout=log, stderr=log) as running,
        ):
            children: list[psutil.Process] = []
            try:
                until = time.monotonic() + 240
                while not capturing(children, tmp_path / "spool.db"):
                    assert time.monotonic() < until, (tmp_path / "log").read_text()[-3000:]
                    time.sleep(0.5)
                    children = psutil.Process(running.pid).children(recursive=True)
                running.send_signal(signal.SIGTERM)
                code = running.wait(60)
            finally:
                running.kill()
                _, left = psutil.wait_procs(children, timeout=5)  # one that was killed may take a moment
                for child in left:
                    child.kill()
    said = (tmp_path / "log").read_text()
    assert (code, left) == (0, []), said[-3000:]
    assert "does not end" not in said
    # Nothing waits: the collector has shipped what it had.
    assert [
        state for state in read_state(tmp_path / "spool.db") if state.captured_epoch != state.acknowledged_epoch
    ] == []


def test_flows_without_an_address_or_without_prefect_say_what_is_missing(tmp_path: Path) -> None:
    """At once, and by one line."""
    (tmp_path / "deploy").mkdir()
    script = tmp_path / "deploy" / "flows.sh"
    script.write_text((_DEPLOY / "flows.sh").read_text())
    here = {"PATH": "/usr/bin:/bin"}
    for environment, says in (
        (here, "PREFECT_API_URL: is not set: for a server on this machine it is http://127.0.0.1:4200/api\n"),
        (here | {"PREFECT_API_URL": "http://127.0.0.1:9/api"}, "no Prefect is installed here: make setup, or use "),
    ):
        done = subprocess.run(["sh", script], env=environment, capture_output=True, text=True, timeout=20, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert says in done.stderr


def test_as_depth_wants_a_command() -> None:
    done = subprocess.run([_DEPLOY / "as-depth.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "python -m depth doctor" in done.stderr
