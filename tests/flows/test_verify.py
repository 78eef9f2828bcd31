"""`flows/verify.py`, as a person types it and as Prefect runs it."""

import asyncio
import json
import re
import signal
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.runtime import flow_run

from depth import presence, rowkey, tables
from depth.exchange.simulated import Options, SyntheticSource, threaded
from depth.ledger import Entry
from depth.presence import Presence
from depth.record import Record
from depth.storage.base import Store
from depth.storage.sqlite import SqliteStore
from flows import verify
from flows.verify import VerifyOptions
from tests import commands
from tests.stored_rows import SYMBOL, TABLE, rows, store_rows

pytestmark = pytest.mark.commands

HOUR = 1_768_053_600
END = HOUR + 3600
HOLES = [(HOUR, HOUR + 20), (HOUR + 1000, HOUR + 1050), (HOUR + 3570, END)]
RANGE = ["--start", "2026-01-10T14:00:00Z", "--end", str(END)]


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a database that is not there, and no Prefect server."""
    path = tmp_path / "depth.db"
    monkeypatch.setenv("SQLITE_PATH", str(path))
    monkeypatch.delenv("DB_BACKEND", raising=False)
    return path


async def fill(store: Store, start: int, end: int, holes: Iterable[tuple[int, int]] = ()) -> None:
    """Store the rows of ``[start, end)`` but for the holes."""
    gone = {epoch for hole in holes for epoch in range(*hole)}
    try:
        await store_rows(store, [row for row in rows(start, end) if row.epoch not in gone])
    finally:
        await store.close()


async def read(store: Store) -> list[Entry]:
    """Read the ledger, oldest first."""
    try:
        found = store.scan(tables.gaps_table(TABLE.name), *rowkey.bounds(0, 9_999_999_999))
        return [Entry.parse(record) async for record in found][::-1]
    finally:
        await store.close()


def ledger(database: Path) -> list[Entry]:
    return asyncio.run(read(SqliteStore(database)))


def objects(out: str) -> list[dict[str, Any]]:
    """Read standard output, which holds JSON lines alone."""
    return [json.loads(line) for line in out.splitlines()]


def test_three_holes_are_found_exactly_and_resolved_once_they_are_filled(database: Path, tmp_path: Path) -> None:
    """At the start, in the middle and at the end of an hour: exit 3 and the JSON of the issue; then exit 0."""
    asyncio.run(fill(SqliteStore(database), HOUR - 10, END, HOLES))
    first, second = (commands.run("verify", [*RANGE, "--json"], tmp_path) for _ in range(2))
    assert (first.code, second.code) == (3, 3)
    gaps = [{"start": start, "end": end, "missing": end - start, "cause": "unknown"} for start, end in HOLES]
    found = {"symbol": SYMBOL, "start": HOUR, "end": END, "interval": 1, "expected": 3600, "present": 3500}
    line = json.dumps(found | {"missing": 100, "coverage": 3500 / 3600, "gaps": gaps}, separators=(",", ":"))
    assert first.out == second.out == line + "\n"
    assert first.error == "3 gaps, 100 of 3600 epochs missing"
    assert [entry.span for entry in ledger(database) if entry.open] == HOLES
    asyncio.run(fill(SqliteStore(database), HOUR, END))
    whole = commands.run("verify", [*RANGE, "--json"], tmp_path)
    assert (whole.code, whole.error) == (0, "no gap in 3600 epochs")
    assert objects(whole.out)[0]["gaps"] == []
    resolved = ledger(database)
    assert [(entry.span, entry.resolved_at is None) for entry in resolved] == [(hole, False) for hole in HOLES]
    commands.run("verify", RANGE, tmp_path)
    assert ledger(database) == resolved


def test_a_table_without_rows_is_not_called_whole(database: Path, tmp_path: Path) -> None:
    """A collector has begun it and stored nothing yet."""
    asyncio.run(fill(SqliteStore(database), HOUR, HOUR))
    ended = commands.run("verify", [], tmp_path)
    assert (ended.code, ended.error) == (0, "nothing to check: no row is stored yet")


def test_two_commands_at_the_same_time_are_as_one(database: Path, tmp_path: Path) -> None:
    """As the schedules of a busy worker may have it."""
    asyncio.run(fill(SqliteStore(database), HOUR - 10, END, HOLES))
    with commands.running("verify", RANGE, tmp_path, {}) as one, commands.running("verify", RANGE, tmp_path, {}) as two:
        assert [commands.finish(one).code, commands.finish(two).code] == [3, 3]
    assert [(entry.span, entry.cause) for entry in ledger(database)] == [(hole, "unknown") for hole in HOLES]


def test_bad_usage_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """As a shell sees it."""
    ended = commands.run("verify", ["--start", "yesterday"], tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.error.startswith("error: --start: 'yesterday' is no time: write 2026-01-10T14:12:45Z or 1768054365")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--end", "1768054365000"], "seconds and not milliseconds"),
        (["--start", "2026-01-02", "--end", "2026-01-01"], "--end: is not after --start 2026-01-02"),
        (["--start", "2200-01-01"], "nothing of 2200-01-01T00:00:00Z to"),
        (["--window", "10"], "is older than 30 s: give an earlier --start"),
        (["--end", "0"], "nothing of 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z is older"),
        (["--window", "0"], "--window: Input should be greater than or equal to 1"),
        (["--grace", "-1"], "--grace: Input should be greater than or equal to 0"),
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
    assert verify.main(arguments) == 2
    captured = capsys.readouterr()
    [line] = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert said in line
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_missing_database_is_a_failure_and_no_gap(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, and none is made."""
    assert verify.main([*RANGE, "--json"]) == 1
    captured = capsys.readouterr()
    assert f"error: no database {database}" in captured.err
    assert captured.out == ""
    assert not database.exists()


def test_a_store_that_is_away_is_a_failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1 after some seconds of patience, and no gap."""
    for name, value in {"PROJECT_ID": "p", "INSTANCE_ID": "i", "EMULATOR_HOST": "127.0.0.1:1"}.items():
        monkeypatch.setenv(f"BIGTABLE_{name}", value)
    assert verify.main([*RANGE, "--backend", "bigtable", "--symbols", SYMBOL, "--json"]) == 1
    captured = capsys.readouterr()
    assert "UNAVAILABLE" in captured.err
    assert captured.out == ""


def test_without_options_the_last_quarter_of_an_hour_is_checked(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the first row on; a person gets a table that a terminal holds."""
    now = int(time.time())
    asyncio.run(fill(SqliteStore(database), now - 300, now, [(now - 200, now - 190)]))
    assert verify.main([]) == 3
    shown = capsys.readouterr()
    assert "1 gap, 10 of 2" in shown.err
    heading, line, gap = shown.out.splitlines()
    assert heading.split() == ["symbol", "from", "(UTC)", "to", "(UTC)", "missing", "coverage,", "cause"]
    assert line.startswith("BTC/USDT ")
    assert gap.split()[-3:] == ["10", "no", "collector"]
    assert all(len(each) <= 80 for each in (heading, line, gap))


def test_what_a_collector_has_not_shipped_yet_is_pending_and_no_gap(tmp_path: Path) -> None:
    """Exit 0, and the window ends before it; once the collector has stopped, and shipped, all is there."""
    with threaded(SyntheticSource(), Options()) as exchange:
        settings = {"BINANCE_REST_URL": exchange.rest_url, "BINANCE_WS_URL": exchange.ws_url, "FLUSH_SECONDS": "600"}
        with commands.running("collect", [], tmp_path, settings) as collecting:
            first = wait_for_presence(tmp_path)
            window = ["--start", str(first), "--grace", "0", "--json"]
            early = commands.run("verify", window, tmp_path)
            assert commands.finish(collecting, signal.SIGTERM).code == 0
    assert early.code == 0, early.err
    [found] = objects(early.out)
    assert (found["end"], found["expected"], found["coverage"]) == (first, 0, None)
    assert re.fullmatch(r"no gap in 0 epochs, \d+ pending", early.error)
    last = presence_of(tmp_path)
    assert last.last_epoch is not None
    whole = commands.run("verify", [*window, "--end", str(last.last_epoch + 1)], tmp_path)
    [found] = objects(whole.out)
    assert (whole.code, found["present"], found["gaps"]) == (0, last.last_epoch + 1 - first, [])
    beyond = commands.run("verify", [*window, "--end", str(last.last_epoch + 2)], tmp_path)
    [gap] = objects(beyond.out)[0]["gaps"]
    assert (beyond.code, gap["missing"]) == (3, 1)
    assert gap["cause"] in {"stopped", "no collector"}  # whether the second had begun


def presence_of(folder: Path) -> Presence:
    """Read the one presence row; raise as long as there is none."""
    with closing(sqlite3.connect(folder / "depth.db")) as db:
        found = db.execute("SELECT value FROM binance_btc_depth_collectors WHERE row_key GLOB 'presence#*'").fetchall()
    [[text]] = found
    return presence.decode(Record("presence#", {"value": text}))


def wait_for_presence(folder: Path) -> int:
    """Wait until a collector says that it has captured some seconds; give the first of them."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(sqlite3.OperationalError, ValueError):
            found = presence_of(folder)
            if found.first_epoch is not None and (found.captured_epoch or 0) >= found.first_epoch + 3:
                return found.first_epoch
        time.sleep(0.2)
    pytest.fail("not within a minute")


def test_one_table_does_not_hold_up_the_others(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ETH was never collected: exit 1 and its name; what is known of BTC is told and kept."""
    asyncio.run(fill(SqliteStore(database), HOUR - 10, END, HOLES))
    assert verify.main([*RANGE, "--symbols", "ETH/USDT,BTC/USDT", "--json"]) == 1
    captured = capsys.readouterr()
    assert [found["symbol"] for found in objects(captured.out)] == [SYMBOL]
    assert "has no table binance_eth_depth" in captured.err
    assert len(ledger(database)) == 3


def test_the_daily_check_deletes_rows_that_are_too_old(
    database: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only with RETENTION_DAYS, and only where it is asked to."""
    now = int(time.time())
    old = now - 2 * 86_400
    asyncio.run(fill(SqliteStore(database), old, old + 60, [(old + 10, old + 20)]))
    asyncio.run(fill(SqliteStore(database), now - 600, now))
    assert verify.main(["--window", "200000", "--expire", "--json"]) == 3
    monkeypatch.setenv("RETENTION_DAYS", "1")
    capsys.readouterr()
    assert verify.main(["--window", "200000", "--json"]) == 3
    [found] = objects(capsys.readouterr().out)
    assert found["start"] >= now - 86_400
    assert len(ledger(database)) == 2
    verify.main(["--window", "200000", "--expire"])
    assert "50 rows older than RETENTION_DAYS were deleted" in capsys.readouterr().err
    [left] = ledger(database)
    assert left.end == now - 600


def test_bigtable_is_a_matter_of_the_backend(
    bigtable_host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command, the same object."""
    from depth.storage.bigtable import BigtableStore  # noqa: PLC0415 - as callers do, for that backend alone

    monkeypatch.setenv("BIGTABLE_PROJECT_ID", "project")
    monkeypatch.setenv("BIGTABLE_INSTANCE_ID", "verify-command")
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", bigtable_host)
    asyncio.run(fill(BigtableStore("project", "verify-command", None, bigtable_host), HOUR, HOUR + 60, HOLES))
    assert verify.main([*RANGE[:2], "--end", str(HOUR + 60), "--backend", "bigtable", "--json"]) == 3
    [found] = objects(capsys.readouterr().out)
    assert found["gaps"] == [{"start": HOUR, "end": HOUR + 20, "missing": 20, "cause": "unknown"}]


def test_the_deployments_ask_for_what_the_options_know() -> None:
    """Every 5 minutes over the last 15 with a 30 s grace, daily over the last 25 hours; nobody types these."""
    deployed = yaml.safe_load((commands.ROOT / "prefect.yaml").read_text())["deployments"]
    found = {each["name"]: each for each in deployed if each["entrypoint"] == "flows/verify.py:verify"}
    assert set(found) == {"verify-recent", "verify-daily"}
    recent, daily = (
        VerifyOptions(**found[name]["parameters"]["options"]) for name in ("verify-recent", "verify-daily")
    )
    assert found["verify-recent"]["schedules"] == [{"cron": "*/5 * * * *", "timezone": "UTC"}]
    assert (recent.window, recent.grace, recent.period, recent.expire) == (900, 30, 300, False)
    assert (daily.window, daily.grace, daily.period, daily.expire) == (90_000, 30, 86_400, True)


@pytest.mark.timeout(240)
def test_on_a_server_it_is_a_flow_run(prefect_api: str, database: Path) -> None:
    """An event a gap, artifacts of open gaps and coverage; gaps are no failure of the run, a missing database is."""
    here, server = database.parent, {"PREFECT_API_URL": prefect_api}
    began = datetime.now(UTC).isoformat()  # others use this server, too
    asyncio.run(fill(SqliteStore(database), HOUR - 10, END, HOLES))
    first, second = (commands.run("verify", [*RANGE, "--json"], here, **server) for _ in range(2))
    assert (first.code, second.code) == (3, 3), first.err
    assert [found["missing"] for found in objects(first.out)] == [100]
    assert second.out == first.out
    table, coverage = (newest_artifact(prefect_api, key) for key in ("open-gaps", "coverage"))
    assert [(row["start"], row["missing"]) for row in json.loads(table)] == [
        ("2026-01-10T14:59:30Z", 30),
        ("2026-01-10T14:16:40Z", 50),
        ("2026-01-10T14:00:00Z", 20),
    ]
    assert "\n| BTC/USDT | " in coverage
    assert "\n```mermaid\nxychart-beta\n" in coverage
    asyncio.run(fill(SqliteStore(database), HOUR, END))
    assert commands.run("verify", RANGE, here, **server).code == 0
    wanted = [(f"depth.gap.{kind}", start) for kind in ("opened", "resolved") for start, _ in HOLES]
    assert sorted(events(prefect_api, len(wanted))) == wanted

    database.unlink()
    failed = commands.run("verify", ["--json"], here, **server)
    assert (failed.code, failed.out) == (1, "")
    assert "\nerror: no database" in failed.err
    filters = {
        "flows": {"name": {"any_": ["verify"]}},
        "flow_runs": {"expected_start_time": {"after_": began}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    runs = httpx.post(f"{prefect_api}/flow_runs/filter", json=filters).json()
    assert [(run["state"]["type"], run["state"]["name"]) for run in runs] == [
        ("COMPLETED", "Gaps found"),
        ("COMPLETED", "Gaps found"),
        ("COMPLETED", "Completed"),
        ("FAILED", "Failed"),
    ]


def newest_artifact(api: str, key: str) -> str:
    """Read the data of the newest artifact of a key."""
    wanted = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
    [artifact] = httpx.post(f"{api}/artifacts/filter", json=wanted).json()
    return str(artifact["data"])


def events(api: str, count: int) -> list[tuple[str, int]]:
    """Read the events of this hour's gaps, as name and start of the gap, once there are `count`; they arrive late."""
    wanted = {"filter": {"event": {"prefix": ["depth.gap."]}}}
    until = time.monotonic() + 20
    while True:
        all_told = httpx.post(f"{api}/events/filter", json=wanted).json()["events"]
        told = [(event["event"], int(event["payload"]["start"])) for event in all_told]
        told = [(name, start) for name, start in told if HOUR <= start < END]  # other tests share the server
        if len(told) >= count or time.monotonic() > until:
            return told
        time.sleep(0.3)


@pytest.mark.parametrize(("late", "name"), [(305, "Skipped"), (295, "Failed")])
async def test_a_run_that_the_next_one_has_overtaken_is_skipped(
    late: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an absence of the worker the newest run does the work of all; here it fails, having no database."""
    scheduled = datetime.now(UTC) - timedelta(seconds=late)
    monkeypatch.setitem(flow_run.FIELDS, "scheduled_start_time", lambda: scheduled)
    assert (await verify.verify.fn(VerifyOptions(period=300))).name == name
