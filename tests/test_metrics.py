"""Metrics: what a run tells Prometheus, on a real port, and that dashboard and alerts ask for nothing else."""

import asyncio
import json
import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from depth import metrics
from depth.exchange.simulated import SyntheticSource
from depth.plan import Plan
from depth.running import run
from tests import plans
from tests.commands import ROOT
from tests.live import Exchange

DEPLOY = ROOT / "deploy"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def free_ports(count: int) -> int:
    """Find so many free ports in a row; give the first."""
    for first in range(20_000, 60_000, count):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(listening(port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


def listening(port: int) -> socket.socket:
    """Take a port as another program would."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", port))
        taken.listen()
    except OSError:
        taken.close()
        raise
    return taken


async def scrape(port: int) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{port}/metrics")).raise_for_status().text


def samples(text: str) -> Samples:
    """Read what was scraped: name and labels to value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    return samples(text)[name, frozenset(labels.items())]


def complaints(text: str) -> str:
    """Give what promtool, where there is one, has against a scrape."""
    promtool = shutil.which("promtool")
    if promtool is None:
        return ""
    checking = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    return checking.stdout + checking.stderr


async def one() -> list[Metric]:
    return [GaugeMetricFamily("one", "One.", 1)]


async def test_the_first_free_port_of_ten_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    """Two collectors on one machine serve both; a port is free again when its run is over."""
    caplog.set_level("INFO")
    port = free_ports(10)
    async with metrics.serving("127.0.0.1", port, one), metrics.serving("127.0.0.1", port, one):
        assert value(await scrape(port), "one") == value(await scrape(port + 1), "one") == 1
    assert f"metrics on http://127.0.0.1:{port + 1}/metrics" in caplog.messages
    listening(port).close()
    with pytest.raises(httpx.ConnectError):
        await scrape(port + 1)


async def test_no_free_port_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on without metrics."""
    port = free_ports(10)
    with ExitStack() as stack:
        for taken in range(port, port + 10):
            stack.enter_context(listening(taken))
        async with metrics.serving("127.0.0.1", port, one):
            pass
    assert caplog.messages == [f"no metrics: none of the ports {port} to {port + 9} is free; set METRICS_PORT"]


async def test_an_address_that_is_not_ours_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """One of another machine's: no port of it would be free."""
    async with metrics.serving("192.0.2.1", 9640, one):
        pass
    [message] = caplog.messages
    assert message.startswith("no metrics on 192.0.2.1:9640 (")
    assert message.endswith("correct METRICS_HOST")


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with Exchange(SyntheticSource(), None) as running:
        yield running


@asynccontextmanager
async def collecting(exchange: Exchange, folder: Path) -> AsyncIterator[Plan]:
    """Run a collector; its metrics are on the port of the plan."""
    plan = replace(plans.plan(exchange.rest_url, exchange.ws_url, folder), metrics_port=free_ports(10))
    stop = asyncio.Event()
    running = asyncio.create_task(run(plan, stop))
    try:
        yield plan
    finally:
        stop.set()
        await running


async def reaches(plan: Plan, name: str, least: float, **labels: str) -> str:
    """Scrape until a value is there and high enough; give that scrape."""
    assert plan.metrics_port is not None
    async with asyncio.timeout(40):
        while True:
            try:
                text = await scrape(plan.metrics_port)
            except httpx.ConnectError:
                text = ""
            if samples(text).get((name, frozenset(labels.items())), -1) >= least:
                return text
            await asyncio.sleep(0.1)


async def test_a_run_tells_what_it_does(exchange: Exchange, tmp_path: Path) -> None:
    """Rows, epochs, sockets, anchors, spool and latency, as the run itself knows them; promtool has no complaint."""
    async with collecting(exchange, tmp_path) as plan:
        text = await reaches(plan, "depth_rows_stored_total", 3, symbol="BTC/USDT")
    captured = value(text, "depth_rows_captured_total", symbol="BTC/USDT")
    assert value(text, "depth_durable_latency_seconds_count") in {captured, captured - 1}
    assert value(text, "depth_durable_latency_seconds_bucket", le="+Inf") in {captured, captured - 1}
    newest = value(text, "depth_captured_epoch", symbol="BTC/USDT")
    assert newest - 2 <= value(text, "depth_stored_epoch", symbol="BTC/USDT") <= newest
    assert {state: value(text, "depth_sockets", state=state) for state in ("wanted", "open", "answering")} == {
        "wanted": 2,
        "open": 2,
        "answering": 2,
    }
    assert value(text, "depth_anchors_total", symbol="BTC/USDT") == 1
    assert value(text, "depth_epochs_missing_total", symbol="BTC/USDT", cause="disconnect") == 0
    assert -1 < value(text, "depth_event_lag_seconds", symbol="BTC/USDT") < 5
    assert value(text, "depth_spool_limit_bytes") == 512 * 2**20
    assert value(text, "depth_spool_bytes") > 0
    assert value(text, "process_resident_memory_bytes") > 0
    assert complaints(text) == ""


async def test_lost_seconds_are_told_by_cause_and_replaced_sockets_counted(exchange: Exchange, tmp_path: Path) -> None:
    async with collecting(exchange, tmp_path) as plan:
        await reaches(plan, "depth_rows_captured_total", 2, symbol="BTC/USDT")
        exchange.faults.refuse(2)
        exchange.faults.reset()
        text = await reaches(plan, "depth_epochs_missing_total", 1, symbol="BTC/USDT", cause="disconnect")
        assert value(text, "depth_resyncs_total", symbol="BTC/USDT") == 1
        await reaches(plan, "depth_socket_reconnects_total", 2)


async def test_a_store_that_fails_is_told_by_its_code_and_the_spool_grows(exchange: Exchange, tmp_path: Path) -> None:
    async with collecting(exchange, tmp_path) as plan:
        await reaches(plan, "depth_rows_stored_total", 1, symbol="BTC/USDT")
        with closing(sqlite3.connect(tmp_path / "depth.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            text = await reaches(plan, "depth_store_errors_total", 1, code="SQLITE_BUSY")
            assert value(text, "depth_spool_rows") >= 3
            assert value(text, "depth_spool_age_seconds") >= 3


async def test_without_a_port_nothing_is_served(exchange: Exchange, tmp_path: Path) -> None:
    """METRICS_PORT=0."""
    async with collecting(exchange, tmp_path) as plan:
        pass
    stop = asyncio.Event()
    stop.set()
    silent = replace(plan, metrics_port=None)
    await run(silent, stop)
    assert plan.metrics_port is not None
    listening(plan.metrics_port).close()


def told() -> set[str]:
    """Name every series that a run can tell of, and those of the process."""
    source = Path(metrics.__file__).read_text()
    names = set(re.findall(r'"(depth_[a-z_]+)"', source)) | {f"depth_{name}" for name, _, _ in metrics._BY_SYMBOL}
    endings = ("", "_total", "_bucket", "_sum", "_count")
    return {name + ending for name in names for ending in endings} | {
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    }


def expressions() -> Iterator[str]:
    """Give every expression of the dashboard and of the alert rules."""
    board = json.loads((DEPLOY / "grafana/dashboards/depth.json").read_text())
    yield from (target["expr"] for panel in board["panels"] for target in panel["targets"])
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    yield from (rule["expr"] for group in rules["groups"] for rule in group["rules"])


def test_dashboard_and_alerts_ask_for_what_is_told() -> None:
    """A metric that is renamed is renamed there, too."""
    asked = {name for text in expressions() for name in re.findall(r"\b(?:depth|process)_[a-z_]+", text)}
    assert asked - told() == set()
    assert len(asked) > 15


def test_every_metric_of_a_run_is_on_the_dashboard() -> None:
    """What nobody looks at need not be told."""
    shown = " ".join(expressions())
    names = {name for name, _, _ in metrics._BY_SYMBOL if f"depth_{name}" not in shown}
    assert names <= {"rows_captured"}


def test_panels_do_not_lie_on_each_other() -> None:
    """Each has a number of its own and a place of its own."""
    panels: list[dict[str, Any]] = json.loads((DEPLOY / "grafana/dashboards/depth.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_promtool_takes_configuration_rules_and_queries(tmp_path: Path) -> None:
    """Rules do what their tests say, and every query of the dashboard can be parsed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("NO PROMTOOL, ALERT RULES ARE NOT CHECKED: apt-get install prometheus")
    queries = [{"record": f"query{number}", "expr": text} for number, text in enumerate(expressions())]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": queries}]}))
    for arguments in (
        ["check", "config", str(DEPLOY / "prometheus/prometheus.yml")],
        ["test", "rules", str(DEPLOY / "prometheus/alerts_test.yml")],
        ["check", "rules", str(tmp_path / "queries.yml")],
    ):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
