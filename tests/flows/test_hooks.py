"""What the hooks do where no worker is needed to see it; `tests/test_orchestration.py` has them with one."""

import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import State
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Crashed, Failed

from depth.errors import StoreUnavailable, UnknownSymbol
from flows import _hooks, _runs
from flows.collect import collect

RELAY = {"relay": True, "duration": 3600}


@pytest.fixture(autouse=True)
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An address where nobody listens, and a second of patience."""
    monkeypatch.setenv("SQLITE_PATH", str(tmp_path / "depth.db"))
    monkeypatch.setattr(_runs, "_PATIENCE_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}/api"
    with temporary_settings({PREFECT_API_URL: url, PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield


def run(options: dict[str, Any], *, deployed: bool = True) -> FlowRun:
    deployment = uuid4() if deployed else None
    now = datetime.now(UTC)
    return FlowRun(flow_id=uuid4(), deployment_id=deployment, parameters={"options": options}, expected_start_time=now)


async def said(
    caplog: pytest.LogCaptureFixture, options: dict[str, Any], state: State[Any], *, deployed: bool = True
) -> list[str]:
    """Call the hook as Prefect does; give what it logged."""
    await _hooks.ask_again(flow=collect, flow_run=run(options, deployed=deployed), state=state)
    return [record.getMessage() for record in caplog.records if record.name == "prefect.flow_runs"]


@pytest.mark.parametrize(
    ("crashes", "seconds"), [(0, 0), (1, 0), (2, 10), (3, 30), (4, 60), (5, 300), (6, 300), (10, 300)]
)
def test_the_more_crashes_the_longer_the_delay(crashes: int, seconds: float) -> None:
    """0, 10, 30, 60, then 300 s; the run that asks is one of them."""
    assert _hooks.delay(crashes) == seconds


async def test_without_its_server_the_hook_gives_up_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """After bounded patience; the schedule collects."""
    began = time.monotonic()
    [line] = await said(caplog, RELAY, Crashed())
    assert line.startswith("no new run could be asked for, the next of the schedule collects: ")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("error", [UnknownSymbol("FOO/USDT", "api.binance.com")])
async def test_what_needs_a_person_is_not_tried_again(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    """A wrong setting or an unknown symbol would end the next run as well."""
    assert await said(caplog, RELAY, Failed(data=error)) == [
        "no new run is asked for: what ended this one will not pass by itself"
    ]


async def test_what_may_pass_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Here nobody can be asked, but it tries."""
    [line] = await said(caplog, RELAY, Failed(data=StoreUnavailable("away")))
    assert line.startswith("no new run could be asked for")


@pytest.mark.parametrize("options", [{"duration": 60}, {"dry_run": True}, {"stpes": 3}])
async def test_a_run_that_was_to_end_is_not_replaced(caplog: pytest.LogCaptureFixture, options: dict[str, Any]) -> None:
    """Nor one whose parameters are not ours."""
    assert await said(caplog, options, Crashed()) == []


async def test_a_run_for_ever_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """With or without relay."""
    assert len(await said(caplog, {}, Crashed())) == 1


async def test_a_command_is_not_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever typed it sees its end."""
    assert await said(caplog, RELAY, Crashed(), deployed=False) == []
