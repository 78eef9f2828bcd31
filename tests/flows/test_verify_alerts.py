"""`flows/verify.py` tells people: as a command, twice at the same time, and as Prefect runs it."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from depth import rowkey, tables
from depth.ledger import Entry
from depth.snapshot import Snapshot
from depth.storage.sqlite import SqliteStore
from flows import verify
from tests import commands
from tests.receivers import Receiver, free_port, receiving
from tests.stored_rows import TABLE, rows, store_rows

SIGNING = "signing-s3cr3t"
CHAT = "chat-s3cr3t"
SECRETS = (SIGNING, CHAT, "s3cr3t-path")
HOLE = 5
NAMES = ("ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET", "ALERT_URLS", "HEARTBEAT_URL", "COLLECTOR_GROUP", "DB_BACKEND")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set what a user sets; give it for other processes, too."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    given = {
        "SQLITE_PATH": str(tmp_path / "depth.db"),
        "COLLECTOR_GROUP": "here",
        "ALERT_WEBHOOK_URL": receiver.url,
        "ALERT_WEBHOOK_SECRET": SIGNING,
        "LOG_LEVEL": "DEBUG",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


@pytest.fixture
def start(tmp_path: Path, settings: dict[str, str]) -> int:
    """Store the last ten minutes up to now, but for a hole; give its first epoch."""
    del settings
    now = int(time.time())
    hole = now - 300
    there = [row for row in rows(now - 600, now) if not hole <= row.epoch < hole + HOLE]

    store_all(tmp_path, there)
    return hole


def store_all(folder: Path, made: Iterable[Snapshot]) -> None:
    async def fill() -> None:
        store = SqliteStore(folder / "depth.db")
        await store_rows(store, made)
        await store.close()

    asyncio.run(fill())


def ledger(folder: Path) -> list[Entry]:
    async def read() -> list[Entry]:
        store = SqliteStore(folder / "depth.db")
        found = store.scan(tables.gaps_table(TABLE.name), *rowkey.bounds(0, 9_999_999_999))
        entries = [Entry.parse(record) async for record in found]
        await store.close()
        return entries

    return asyncio.run(read())


def is_signed(receiver: Receiver) -> bool:
    """Whether a receiver that knows the secret takes all that it got."""
    for got in receiver.got:
        fields = dict(field.split("=") for field in got.headers["X-Depth-Signature"].split(","))
        wanted = hmac.new(SIGNING.encode(), fields["t"].encode() + b"." + got.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(fields["v1"], wanted):
            return False
    return bool(receiver.got)


def later() -> None:
    """Let the next check be one of another second."""
    time.sleep(1.0)


def test_a_gap_is_told_once_and_its_end_once(start: int, receiver: Receiver, tmp_path: Path) -> None:
    """Signed; the exit code is the gap's; the ledger says that it was told."""
    assert verify.main([]) == 3
    assert receiver.got == []
    for _ in range(2):
        later()
        assert verify.main([]) == 3
    assert receiver.events == ["gap.opened"]
    store_all(tmp_path, rows(start, start + HOLE))
    for _ in range(2):
        assert verify.main([]) == 0
    assert receiver.events == ["gap.opened", "gap.resolved"]
    assert is_signed(receiver)
    told = receiver.got[0].json
    assert (told["symbol"], told["start"], told["end"], told["missing"]) == ("BTC/USDT", start, start + HOLE, HOLE)
    assert told["environment"] == "here/sqlite"
    [entry] = ledger(tmp_path)
    assert entry.opened_alert_at is not None
    assert entry.resolved_alert_at is not None


def test_a_dead_webhook_changes_no_exit_code_and_is_told_later(
    start: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a check says why, and does not say where to; standard output holds the JSON alone."""
    monkeypatch.setenv("ALERT_WEBHOOK_URL", f"http://127.0.0.1:{free_port()}/services/s3cr3t-path")
    assert verify.main(["--json"]) == 3
    later()
    capsys.readouterr()
    assert verify.main(["--json"]) == 3
    shown = capsys.readouterr()
    assert shown.err.count("did not get through, it is sent again later: ALERT_WEBHOOK_URL cannot be reached") == 1
    assert [json.loads(line)["missing"] for line in shown.out.splitlines()] == [HOLE]
    assert not any(secret in shown.err + shown.out for secret in SECRETS)
    monkeypatch.setenv("ALERT_WEBHOOK_URL", receiver.url)
    for _ in range(2):
        assert verify.main(["--json"]) == 3
    assert [(got.json["event"], got.json["start"]) for got in receiver.got] == [("gap.opened", start)]


@pytest.mark.usefixtures("start")
def test_a_chat_gets_what_a_webhook_gets(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, though the one is dead for a while; the living one is told of the end, too."""
    port = free_port()
    monkeypatch.setenv("ALERT_URLS", f"json://127.0.0.1:{port}/{CHAT} json://127.0.0.1:{receiver.port}/{CHAT}")
    verify.main([])
    later()
    verify.main([])
    assert sorted(got.path for got in receiver.got) == [f"/{CHAT}", "/services/s3cr3t-path"]
    with receiving(port) as late:
        for _ in range(2):
            verify.main([])
        assert [got.json["title"] for got in late.got] == ["depth: gap.opened"]
    assert len(receiver.got) == 2


@pytest.mark.usefixtures("start")
def test_without_a_channel_nothing_is_marked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who sets one later is told of what is open then; until then one line at DEBUG says that nobody is."""
    monkeypatch.delenv("ALERT_WEBHOOK_URL")
    for _ in range(2):
        verify.main([])
        later()
    assert {entry.opened_alert_at for entry in ledger(tmp_path)} == {None}
    assert capsys.readouterr().err.count("nobody is alerted") == 2


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALERT_WEBHOOK_URL", "ftp://s3cr3t-path", "ALERT_WEBHOOK_URL is no http or https address"),
        ("ALERT_URLS", f"nosuch://{CHAT}", "ALERT_URLS, address 1 is none that apprise knows"),
    ],
)
@pytest.mark.usefixtures("start")
def test_an_address_that_is_none_is_bad_usage(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and one line that names the setting and not the address."""
    monkeypatch.setenv(name, value)
    assert verify.main([]) == 2
    shown = capsys.readouterr()
    assert f"error: {said}" in shown.err
    assert not any(secret in shown.err + shown.out for secret in SECRETS)


@pytest.mark.commands
@pytest.mark.usefixtures("start")
def test_two_commands_at_the_same_time_tell_it_once(
    settings: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """As the schedules of a busy worker may have it."""
    commands.run("verify", [], tmp_path, **settings)
    with (
        commands.running("verify", [], tmp_path, settings) as one,
        commands.running("verify", [], tmp_path, settings) as two,
    ):
        assert [commands.finish(one).code, commands.finish(two).code] == [3, 3]
    commands.run("verify", [], tmp_path, **settings)
    assert receiver.events == ["gap.opened"]


@pytest.mark.commands
def test_three_holes_are_told_once_each_however_often_they_are_looked_at(
    settings: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """100 epochs of a stored hour: five checks and two at the same time; put back, and it is told once each."""
    hour = (int(time.time()) // 3600 - 1) * 3600
    holes = [(hour + 10, hour + 60), (hour + 1800, hour + 1830), (hour + 3500, hour + 3520)]
    lost = {epoch for start, end in holes for epoch in range(start, end)}
    span = ["--start", str(hour), "--end", str(hour + 3600)]
    store_all(tmp_path, [row for row in rows(hour, hour + 3600) if row.epoch not in lost])
    for _ in range(5):
        assert verify.main(span) == 3
        later()
    with (
        commands.running("verify", span, tmp_path, settings) as one,
        commands.running("verify", span, tmp_path, settings) as two,
    ):
        assert [commands.finish(one).code, commands.finish(two).code] == [3, 3]
    assert [entry.span for entry in ledger(tmp_path)][::-1] == holes
    assert [(got.json["event"], got.json["start"], got.json["end"]) for got in receiver.got] == [
        ("gap.opened", *hole) for hole in holes
    ]
    store_all(tmp_path, rows(hour, hour + 3600))
    for _ in range(2):
        assert verify.main(span) == 0
    assert [(got.json["event"], got.json["missing"]) for got in receiver.got[3:]] == [
        ("gap.resolved", end - start) for start, end in holes
    ]
    assert is_signed(receiver)
    assert [entry.resolved_at is None for entry in ledger(tmp_path)] == [False] * 3


@pytest.mark.commands
@pytest.mark.timeout(240)
@pytest.mark.usefixtures("start")
def test_on_a_server_the_sending_is_a_task_with_retries(
    prefect_api: str, settings: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """A receiver that is busy at first gets it in the same run; no log and no parameter holds a secret."""
    server = settings | {"PREFECT_API_URL": prefect_api}
    began = datetime.now(UTC).isoformat()  # others use this server, too
    first = commands.run("verify", [], tmp_path, **server)
    receiver.status = 503
    with commands.running("verify", [], tmp_path, server) as process:
        deadline = time.monotonic() + 90
        while not receiver.got and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
        receiver.status = 200
        second = commands.finish(process, seconds=90)
    assert (first.code, second.code) == (3, 3), second.err
    assert len(receiver.got) >= 2
    assert len({got.body for got in receiver.got}) == 1
    assert is_signed(receiver)
    wanted = {"task_runs": {"start_time": {"after_": began}}}
    told: list[tuple[str, int]] = []
    deadline = time.monotonic() + 30  # the server writes task runs down some moments later
    while told != [("COMPLETED", len(receiver.got))] and time.monotonic() < deadline:
        runs = httpx.post(f"{prefect_api}/task_runs/filter", json=wanted).json()
        sent = [run for run in runs if run["name"].startswith("alert here/sqlite/")]
        told = [(run["state"]["type"], run["run_count"]) for run in sent]
        time.sleep(0.2)
    assert told == [("COMPLETED", len(receiver.got))]
    kept = [httpx.post(f"{prefect_api}/{what}/filter", json={}).text for what in ("logs", "flow_runs", "artifacts")]
    everything = [first.err, second.err, json.dumps(runs), *kept]
    assert not any(secret in text for text in everything for secret in SECRETS)
