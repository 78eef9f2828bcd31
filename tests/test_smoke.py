"""The shipped deployments on a real server and worker, once through: collect, verify, roll up."""

import time
from pathlib import Path

import pytest

from deploy.local.stack import free_port
from depth.exchange.simulated import SyntheticSource, threaded
from tests.orchestra import Site, until


@pytest.mark.timeout(240)
def test_deployed_collected_verified_rolled_up(tmp_path: Path) -> None:
    """`prefect deploy --all` on a fresh server; each flow under a worker; states and artifacts through the API."""
    with threaded(SyntheticSource()) as exchange:
        site = Site(tmp_path, exchange)
        try:
            site.stack.start_server(free_port(0))
            site.stack.make_pool()
            site.stack.deploy()
            site.stack.start_worker()
            site.ask("collect", "collect", time.time(), {"duration": 10, "relay": False})
            until(lambda: site.states("collect") == ["Completed"], 90)
            [collected] = site.runs("collect")
            assert collected.message.startswith("BTC/USDT ")
            assert collected.message.endswith("0 rows wait in the spool")
            epochs = site.epochs("")
            span = {"start": str(epochs[0]), "end": str(epochs[-1] + 1), "grace": 0}
            site.ask("verify", "verify-daily", time.time(), span)
            site.ask("rollup", "rollup-hourly", time.time())
            until(lambda: site.states("verify-daily") + site.states("rollup-hourly") == ["Completed"] * 2, 90)
            [verified] = site.runs("verify-daily")
            assert verified.message == f"no gap in {len(epochs)} epochs"
            assert {"collector-run", "coverage", "open-gaps"} <= site.artifacts()
        finally:
            site.stack.down()
