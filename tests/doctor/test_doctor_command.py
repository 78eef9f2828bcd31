"""`python -m depth doctor`, as typed."""

import json
from pathlib import Path

import pytest

from depth.exchange.simulated import Handle
from tests import commands

pytestmark = pytest.mark.commands

CHECKS = [
    "region",
    "rest",
    "clock",
    "symbols",
    "weight",
    "stream",
    "backend",
    "spool",
    "space",
    "versions",
    "prefect",
    "alerts",
]


@pytest.fixture
def settings(well_exchange: Handle) -> dict[str, str]:
    """Where the exchange is."""
    return {"BINANCE_REST_URL": well_exchange.rest_url, "BINANCE_WS_URL": well_exchange.ws_url}


def test_a_machine_that_can_collect_is_exit_0(tmp_path: Path, settings: dict[str, str]) -> None:
    """A line a check on standard output, nothing else, and nothing is made."""
    ended = commands.run("-m depth", ["doctor"], tmp_path, **settings)
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[1] for line in ended.out.splitlines()] == CHECKS
    assert {line.split()[1] for line in ended.out.splitlines() if line.split()[0] != "ok"} == {"alerts"}
    assert not (tmp_path / "depth.db").exists()
    assert not (tmp_path / "spool.db").exists()


def test_after_a_run_of_the_same_options_it_is_exit_0(tmp_path: Path, settings: dict[str, str]) -> None:
    """What a run has made is what the doctor expects."""
    arguments = ["--steps", "10", "--table-suffix", "_10"]
    assert commands.run("-m depth", ["collect", "--duration", "3", *arguments], tmp_path, **settings).code == 0
    ended = commands.run("-m depth", ["doctor", *arguments], tmp_path, **settings)
    assert ended.code == 0
    assert "binance_btc_depth_10 is there and can be written" in ended.out


def test_a_failure_is_exit_1_and_json_is_one_object_a_check(tmp_path: Path, settings: dict[str, str]) -> None:
    (tmp_path / "spool.db").write_bytes(b"letters " * 1000)
    ended = commands.run("-m depth", ["doctor", "--json"], tmp_path, **settings)
    assert (ended.code, ended.err) == (1, "")
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["check"] for line in found] == CHECKS
    assert [line["check"] for line in found if line["level"] == "fail"] == ["spool"]
    assert all(set(line) == {"check", "level", "text"} for line in found)


def test_bad_usage_is_exit_2(tmp_path: Path) -> None:
    ended = commands.run("-m depth", ["doctor", "--symbols", "BTC"], tmp_path)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--symbols" in ended.err
