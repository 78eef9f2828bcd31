"""`flows/rollup.py`, as a person types it and as Prefect runs it."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.runtime import flow_run

from depth import rowkey, tables
from depth.rollup import Rollup
from depth.snapshot import Snapshot
from depth.storage.base import Store
from depth.storage.sqlite import SqliteStore
from flows import rollup
from tests import commands
from tests.stored_rows import SYMBOL, TABLE, rows, store_rows

pytestmark = pytest.mark.commands

HOUR = 1_768_053_600
TWO_HOURS = ["--start", "2026-01-10T14:00:00Z", "--end", str(HOUR + 7200), "--json"]
ROWS = [*rows(HOUR, HOUR + 100), *rows(HOUR + 3600, HOUR + 3700)]


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a database that is not there, and no Prefect server."""
    path = tmp_path / "depth.db"
    monkeypatch.setenv("SQLITE_PATH", str(path))
    for name in ("DB_BACKEND", "PREFECT_API_URL", "RETENTION_DAYS"):
        monkeypatch.delenv(name, raising=False)
    return path


async def fill(store: Store, made: list[Snapshot]) -> None:
    """Store rows."""
    try:
        await store_rows(store, made)
    finally:
        await store.close()


async def take(store: Store, hour: int) -> None:
    """Take a summary away."""
    try:
        await store.delete(tables.hourly_table(TABLE.name), [rowkey.encode(hour, SYMBOL)])
    finally:
        await store.close()


def objects(out: str) -> list[dict[str, Any]]:
    """Read standard output, which holds JSON lines alone."""
    return [json.loads(line) for line in out.splitlines()]


def test_json_is_all_that_standard_output_holds(database: Path) -> None:
    """As typed: one object an hour, the same the second time, and everything else on standard error."""
    asyncio.run(fill(SqliteStore(database), ROWS))
    first, second = (commands.run("rollup", TWO_HOURS, database.parent) for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    assert [(hour["symbol"], hour["hour"], hour["count"]) for hour in objects(first.out)] == [
        (SYMBOL, HOUR, 100),
        (SYMBOL, HOUR + 3600, 100),
    ]
    assert second.out == first.out
    assert (first.error, second.error) == ("2 hours, 2 of them made", "2 hours, 0 of them made")


def test_bad_usage_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """As a shell sees it."""
    ended = commands.run("rollup", ["--start", "yesterday"], tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: --start: 'yesterday' is no time: write 2026-01-10T14:12:45Z or 1768054365")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--start", "1768054365.5"], "--start: '1768054365.5' is no time"),
        (["--end", "1768054365000"], "seconds and not milliseconds"),
        (["--start", "2026-01-02", "--end", "2026-01-01"], "--end: is not after --start 2026-01-02"),
        (["--start", "2026-01-02", "--end", "2026-01-02"], "--end: is not after --start 2026-01-02"),
        (["--start", "2200-01-01"], "no hour of 2200-01-01T00:00:00Z to"),
        (["--symbols", "BTC"], "--symbols: 'BTC' is not BASE/QUOTE"),
        (["--backend", "postgres"], "--backend: Input should be 'sqlite' or 'bigtable'"),
        (["--backend", "bigtable"], "needs BIGTABLE_PROJECT_ID and BIGTABLE_INSTANCE_ID: set both"),
        (["--since", "2026-01-02"], "unrecognized arguments: --since"),
    ],
)
def test_every_bad_option_says_what_to_change(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2 and one error line, no traceback, nothing on standard output."""
    monkeypatch.delenv("BIGTABLE_PROJECT_ID", raising=False)
    assert rollup.main(arguments) == 2
    captured = capsys.readouterr()
    [line] = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert said in line
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_missing_database_is_a_failure(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, and none is made."""
    assert rollup.main(["--json"]) == 1
    assert f"error: no database {database}" in capsys.readouterr().err
    assert not database.exists()


def test_without_options_the_last_day_is_brought_up_to_date(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the first row on, the hour that runs apart; a summary that is missing is made again."""
    hour = int(time.time()) // 3600 * 3600
    asyncio.run(fill(SqliteStore(database), [*rows(hour - 7205, hour - 7195), *rows(hour - 5, hour)]))
    assert rollup.main(["--json"]) == 0
    assert [(found["hour"], found["count"]) for found in objects(capsys.readouterr().out)] == [
        (hour - 10_800, 5),
        (hour - 7200, 5),
        (hour - 3600, 5),
    ]
    asyncio.run(take(SqliteStore(database), hour - 7200))
    assert rollup.main([]) == 0
    shown = capsys.readouterr()
    assert "3 hours, 1 of them made" in shown.err
    lines = shown.out.splitlines()
    assert [line.endswith("made") for line in map(str.rstrip, lines[1:])] == [False, True, False]
    assert all(len(line) <= 80 for line in lines)


def test_one_table_does_not_hold_up_the_others(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ETH was never collected: exit 1 and its name; the hours of BTC are there."""
    asyncio.run(fill(SqliteStore(database), ROWS))
    arguments = ["--symbols", "ETH/USDT,BTC/USDT", "--start", str(HOUR), "--end", str(HOUR + 7200), "--json"]
    assert rollup.main(arguments) == 1
    captured = capsys.readouterr()
    assert [hour["symbol"] for hour in objects(captured.out)] == [SYMBOL, SYMBOL]
    assert "has no table binance_eth_depth" in captured.err


def test_expired_hours_are_left_alone(
    database: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RETENTION_DAYS says which: what is left of their rows is no hour."""
    asyncio.run(fill(SqliteStore(database), ROWS))
    monkeypatch.setenv("RETENTION_DAYS", "1")
    assert rollup.main(["--start", str(HOUR), "--end", str(HOUR + 7200), "--json"]) == 0
    assert capsys.readouterr().out == ""


def test_bigtable_is_a_matter_of_the_backend(
    bigtable_host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command, the same objects."""
    from depth.storage.bigtable import BigtableStore  # noqa: PLC0415 - as callers do, for that backend alone

    monkeypatch.setenv("BIGTABLE_PROJECT_ID", "project")
    monkeypatch.setenv("BIGTABLE_INSTANCE_ID", "rollup-command")
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", bigtable_host)
    asyncio.run(fill(BigtableStore("project", "rollup-command", None, bigtable_host), ROWS))
    assert rollup.main(["--backend", "bigtable", "--start", str(HOUR), "--end", str(HOUR + 1), "--json"]) == 0
    assert [hour["count"] for hour in objects(capsys.readouterr().out)] == [100]


@pytest.mark.timeout(240)
def test_on_a_server_it_is_a_flow_run(prefect_api: str, database: Path) -> None:
    """The hours made are a table artifact; what fails is a failed run; standard output is the same as without."""
    asyncio.run(fill(SqliteStore(database), ROWS))
    first, second = (commands.run("rollup", TWO_HOURS, database.parent, PREFECT_API_URL=prefect_api) for _ in range(2))
    assert (first.code, second.code) == (0, 0), first.err
    assert [hour["count"] for hour in objects(first.out)] == [100, 100]
    assert second.out == first.out
    filters = {"artifacts": {"key": {"any_": ["hours-made"]}}}
    [artifact] = httpx.post(f"{prefect_api}/artifacts/filter", json=filters).json()
    assert [(row["hour"], row["rows"]) for row in json.loads(artifact["data"])] == [
        ("2026-01-10T14:00:00Z", 100),
        ("2026-01-10T15:00:00Z", 100),
    ]

    database.unlink()
    failed = commands.run("rollup", ["--json"], database.parent, PREFECT_API_URL=prefect_api)
    assert (failed.code, failed.out) == (1, "")
    assert "\nerror: no database" in failed.err
    runs = httpx.post(
        f"{prefect_api}/flow_runs/filter",
        json={"flows": {"name": {"any_": ["rollup"]}}, "sort": "EXPECTED_START_TIME_ASC"},
    ).json()
    assert [run["state"]["name"] for run in runs] == ["Completed", "Completed", "Failed"]
    assert [run["state"]["message"] for run in runs][:2] == ["2 hours, 2 of them made", "2 hours, 0 of them made"]


@pytest.mark.parametrize(("late", "name"), [(3605, "Skipped"), (3595, "Failed")])
async def test_a_run_that_the_next_one_has_overtaken_is_skipped(
    late: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an absence of the worker the newest run does the work of all; here it fails, having no database."""
    scheduled = datetime.now(UTC) - timedelta(seconds=late)
    monkeypatch.setitem(flow_run.FIELDS, "scheduled_start_time", lambda: scheduled)
    monkeypatch.setattr(rollup, "roll_up_hours", Rollup.run)
    assert (await rollup.rollup.fn(rollup.RollupOptions())).name == name
