"""What runs leave in the Prefect UI, as far as it is made here; `tests/flows` finds it on a real server."""

import logging
import socket
from dataclasses import dataclass

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from depth.outcome import Latency, Outcome
from tasks import artifacts


@dataclass(frozen=True)
class Share:
    """A share of seconds stored."""

    share: float | None


@dataclass(frozen=True)
class Table:
    """The name that a chart shows."""

    symbol: str = "BTC/USDT"


@dataclass(frozen=True)
class Found:
    """As much of a continuity check as a chart needs."""

    recent: dict[str, Share]
    table: Table = Table()


@pytest.mark.parametrize(
    ("shares", "axis"),
    [
        ((1.0, 1.0), "99 --> 100"),
        ((0.9995, 0.93), "90 --> 100"),
        ((0.42, 1.0), "0 --> 100"),
        ((0.0, 1.0), "0 --> 100"),
    ],
)
def test_a_chart_of_coverage_begins_below_its_lowest_bar(shares: tuple[float, float], axis: str) -> None:
    """A day with one second missing is seen, and so is a day without any."""
    lines = artifacts._chart(Found({"24 h": Share(shares[0]), "7 d": Share(shares[1])}))  # type: ignore[arg-type]  # as much as it needs
    assert [line.strip() for line in lines if "y-axis" in line] == [f"y-axis {axis}"]
    assert [line.strip() for line in lines if "bar" in line] == [f"bar [{100 * shares[0]:.4f}, {100 * shares[1]:.4f}]"]


def test_a_chart_leaves_out_what_is_not_known() -> None:
    """A window without an expected second has no bar; without any there is no chart."""
    lines = artifacts._chart(Found({"24 h": Share(1.0), "7 d": Share(None)}))  # type: ignore[arg-type]  # as much as it needs
    assert '    x-axis ["24 h"]' in lines
    assert artifacts._chart(Found({"24 h": Share(None)})) == []  # type: ignore[arg-type]  # as much as it needs


@pytest.mark.filterwarnings("ignore:Artifact creation outside of a flow")
async def test_a_report_that_nobody_takes_is_no_failure(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are stored: one line, within a bounded time, and the run ends well."""
    monkeypatch.setattr(artifacts, "_REPORT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}/api"
    with temporary_settings({PREFECT_API_URL: url}), caplog.at_level(logging.WARNING, "depth.artifacts"):
        await artifacts.report_run(Outcome("me", [], Latency()))
    [line] = [record.getMessage() for record in caplog.records if record.name == "depth.artifacts"]
    assert line.startswith("no report is left: Prefect does not answer")
