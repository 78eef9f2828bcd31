"""The health check: what it makes of a spool, and what it loads to say so."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from depth.health import Health, judge
from depth.storage.spool import Spool
from depth.storage.spool_state import SpoolState
from tests import commands
from tests.spooling import B, append

NOW = 1_700_000_000
DEPTH = "-m depth"


def state(
    age: int | None, behind: int | None = 2, collector: str = "one", table: str = "binance_btc_depth"
) -> SpoolState:
    """A collector whose last row is `age` seconds old, of which the store has all but the last `behind`."""
    captured = None if age is None else NOW - age
    return SpoolState(
        collector, "sqlite", table, captured, None if captured is None or behind is None else captured - behind
    )


def check(*states: SpoolState) -> Health:
    return judge(states, NOW, max_age=60, max_lag=900)


def test_fresh_rows_are_well() -> None:
    assert check(state(1)) == Health(ok=True, line="binance_btc_depth: captured 1 s ago, stored up to 3 s ago")


def test_rows_that_are_too_old_are_not() -> None:
    """The line says how old, and what would have done."""
    found = check(state(61))
    assert not found.ok
    assert "captured 61 s ago (over 60 s)" in found.line


def test_a_store_that_is_far_behind_is_not() -> None:
    assert check(state(1, behind=900)).ok
    found = check(state(1, behind=901))
    assert not found.ok
    assert "stored up to 902 s ago (over 900 s behind)" in found.line


def test_nothing_stored_yet_is_well_for_a_beginner() -> None:
    assert check(state(1, behind=None)) == Health(
        ok=True, line="binance_btc_depth: captured 1 s ago, nothing stored yet"
    )


@pytest.mark.parametrize("states", [[], [state(None)]])
def test_nothing_captured_is_not(states: list[SpoolState]) -> None:
    """An empty spool, or one with incidents alone."""
    assert not check(*states).ok


def test_each_table_of_a_live_collector_must_be_fresh() -> None:
    found = check(state(1), state(200, table="binance_eth_depth"))
    assert not found.ok
    assert "binance_eth_depth: captured 200 s ago (over 60 s)" in found.line


def test_one_fresh_collector_of_two_is_enough() -> None:
    """The other has ended and left rows behind; of another table even, which nobody collects any more."""
    assert check(state(500, collector="old"), state(1)).ok
    assert check(state(500, collector="old", table="binance_eth_depth"), state(1)).ok


def test_collectors_that_have_all_stopped_are_not() -> None:
    found = check(state(500, collector="old"), state(100))
    assert not found.ok
    assert "captured 100 s ago" in found.line


def health(folder: Path, *arguments: str) -> commands.Ended:
    return commands.run(DEPTH, ["health", *arguments], folder)


def test_the_command_answers_by_exit_code_and_one_line(tmp_path: Path) -> None:
    """Beside a collector that holds the spool open; then with rows that have grown old."""
    spool = Spool(tmp_path / "spool.db", "one", 2**30)
    spool.open()
    append(spool, int(time.time()))
    well = health(tmp_path, "--max-age", "60")
    assert (well.code, well.err) == (0, "")
    assert well.out.startswith("ok: binance_btc_depth: captured ")
    assert well.out.count("\n") == 1
    assert health(tmp_path, "--collector", "on").code == 0
    other = health(tmp_path, "--collector", "two")
    assert (other.code, other.out) == (
        1,
        "fail: nothing is captured: the collector has just begun, or it does not run\n",
    )
    append(spool, int(time.time()) - 100)
    spool.acknowledge(B, [], {"binance_btc_depth": int(time.time()) - 100})
    ill = health(tmp_path)
    spool.close()
    assert (ill.code, ill.err) == (1, "")
    assert ill.out.startswith("fail: binance_btc_depth: captured 10")


@pytest.mark.parametrize("content", [None, b"no spool " * 999])
def test_a_spool_that_cannot_be_read_is_one_line_and_exit_1(content: bytes | None, tmp_path: Path) -> None:
    """No file before the first run; or something else under its name, which is left as it is."""
    if content is not None:
        (tmp_path / "spool.db").write_bytes(content)
    ended = health(tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert ended.err.startswith("error: ")
    assert (tmp_path / "spool.db").exists() is (content is not None)


def test_bad_usage_is_exit_2(tmp_path: Path) -> None:
    ended = health(tmp_path, "--max-age", "0")
    assert (ended.code, ended.err) == (2, "error: --max-age: Input should be greater than 0 (got '0')\n")


def test_it_loads_neither_prefect_nor_google_nor_the_exchange(tmp_path: Path) -> None:
    """A check that runs once a minute beside the collector must be small."""
    code = """
import sys
from depth.__main__ import main
main(["health"])
print(*sorted({name.partition(".")[0] for name in sys.modules}
              & {"prefect", "google", "grpc", "ccxt", "aiohttp", "httpx", "stamina", "rich", "filelock"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=commands.environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
