"""The image: its steps in order in a clean system, and what comes out of them, as far as that goes without Docker."""

import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from depth.exchange.simulated import SyntheticSource, threaded
from tests.commands import ROOT
from tests.deploy import imagebuild


def test_the_context_has_what_the_image_needs_and_nothing_else() -> None:
    """No test, no data, no secret and no history is sent to a build."""
    sent = imagebuild.context(ROOT)
    assert {path.parts[0] for path in sent if path.parts[0] != "deploy"} == {
        *("README.md", "depth", "flows", "prefect.yaml", "pyproject.toml", "requirements.lock", "settings.py", "tasks")
    }
    assert {str(path.relative_to("deploy")) for path in sent if path.parts[0] == "deploy"} == {
        *("automations.py", "automations.yaml", "flows.sh", "prefect_server.py", "smoke.py", "worker.sh"),
        "worker-stop.sh",
    }
    assert {path.suffix for path in sent} == {*(".css", ".html", ".js", ".lock", ".md", ".py", ".sh", ".toml", ".yaml")}


def test_uv_is_of_the_version_that_makes_the_lock() -> None:
    """Image and `make setup` install alike."""
    version = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("UV_VERSION"))
    assert f"ARG UV_VERSION={version.split()[-1]}\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_every_step_builds_and_the_image_collects(tmp_path: Path) -> None:
    """Lock, code, smoke test and user; then its command stores seconds, its health check is well, SIGTERM ends it."""
    why = imagebuild.missing()
    if why is not None:
        pytest.skip(f"THE IMAGE IS NOT BUILT: {why}")
    imagebuild.make_base(tmp_path / "base")
    image = imagebuild.build(ROOT / "Dockerfile", tmp_path / "base", tmp_path)
    assert image.user == "10001:10001"
    entry = image.said["ENTRYPOINT"]
    database = image.root / "app/data/depth.db"
    with threaded(SyntheticSource()) as exchange:
        settings = {"BINANCE_REST_URL": exchange.rest_url, "BINANCE_WS_URL": exchange.ws_url, "METRICS_PORT": "0"}
        running = subprocess.Popen(
            image.command([*entry, *image.said["CMD"]], **settings), stderr=subprocess.PIPE, text=True
        )
        try:
            wait_for(database)
            health = subprocess.run(
                image.command(image.said["HEALTHCHECK"]), capture_output=True, text=True, timeout=60, check=False
            )
            assert (health.returncode, health.stderr) == (0, "")
            running.send_signal(signal.SIGTERM)
            _, said = running.communicate(timeout=30)
        finally:
            running.kill()
    assert running.returncode == 0, said
    assert "none lost" in said
    flow = image.command([*entry, "python", "flows/collect.py", "--help"])
    assert "--dry-run" in subprocess.run(flow, capture_output=True, text=True, timeout=120, check=True).stdout
    written = subprocess.run(image.command(["touch", "/app/settings.py"]), capture_output=True, check=False)
    assert written.returncode != 0
    assert database.stat().st_uid == 10001


def wait_for(database: Path) -> None:
    """Wait until some seconds are stored."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        if database.exists():
            with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
                try:
                    if db.execute("SELECT count(*) FROM binance_btc_depth").fetchone()[0] >= 3:
                        return
                except sqlite3.OperationalError:
                    pass
        time.sleep(0.2)
    pytest.fail("nothing was stored within 90 s")
