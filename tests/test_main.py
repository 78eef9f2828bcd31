"""`python -m depth`, as typed."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from depth.options import CollectOptions
from tests import commands

pytestmark = pytest.mark.commands

DEPTH = "-m depth"


def epochs(folder: Path) -> list[int]:
    """Read which seconds are stored, oldest first."""
    with closing(sqlite3.connect(folder / "depth.db")) as db:
        keys = db.execute("SELECT row_key FROM binance_btc_depth ORDER BY row_key DESC").fetchall()
    return [9_999_999_999 - int(key.split("#")[0]) for (key,) in keys]


def test_collect_stores_every_second(tmp_path: Path, settings: dict[str, str]) -> None:
    """The collector without Prefect: consecutive rows, an empty standard output, its outcome as the last line."""
    ended = commands.run(DEPTH, ["collect", "--duration", "6"], tmp_path, **settings)
    assert (ended.code, ended.out) == (0, ""), ended.err
    assert ended.error.startswith("BTC/USDT ")
    stored = epochs(tmp_path)
    assert len(stored) >= 3
    assert stored == list(range(stored[0], stored[0] + len(stored)))


def test_collect_prints_the_contract_s_line(tmp_path: Path, settings: dict[str, str]) -> None:
    """`--dry-run` as of the flow."""
    ended = commands.run(DEPTH, ["collect", "--dry-run", "--duration", "4"], tmp_path, **settings)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines
    assert [line for line in lines if not commands.LINE.fullmatch(line)] == []


def test_systemd_hears_that_it_captures_and_that_it_ends(tmp_path: Path, settings: dict[str, str]) -> None:
    """Type=notify: READY=1 with the first row, WATCHDOG=1 in its time, STOPPING=1; and SIGTERM ends it well."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        systemd = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
        with commands.running(DEPTH, ["collect"], tmp_path, settings | systemd) as process:
            heard: list[str] = []
            while not {"READY=1", "WATCHDOG=1"} <= set(heard):
                heard += manager.recv(4096).decode().split("\n")
            ended = commands.finish(process, signal.SIGTERM)
        manager.settimeout(5)
        while heard[-1] != "STOPPING=1":
            heard += manager.recv(4096).decode().split("\n")
    assert ended.code == 0
    assert epochs(tmp_path)


def test_neither_prefect_nor_google_nor_other_exchanges_are_loaded(tmp_path: Path, settings: dict[str, str]) -> None:
    """What keeps the collector small: only what it needs is in the process, after a whole run."""
    code = """
import sys
from depth.__main__ import main

assert main(["collect", "--duration", "3"]) == 0
print(*sorted(set(sys.modules) & {"prefect", "google.cloud", "grpc", "ccxt", "pyarrow", "fastapi", "sqlalchemy"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=commands.environment(tmp_path, **settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_help_names_every_command_and_option(tmp_path: Path) -> None:
    """--help exits 0 and says what there is."""
    ended = commands.run(DEPTH, ["--help"], tmp_path)
    assert ended.code == 0
    assert "python -m depth" in ended.out
    assert "collect" in ended.out
    ended = commands.run(DEPTH, ["collect", "--help"], tmp_path)
    assert ended.code == 0
    for name in CollectOptions.model_fields:
        assert "--" + name.replace("_", "-") in ended.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name one of"),
        (["dance"], "error: there is no command dance: name one of collect, "),
        (["collect", "--step", "0"], "--step: Input should be greater than"),
        (["collect", "--step", "0", "--symbols", "X"], "--symbols: 'X' is not BASE/QUOTE"),
        (["collect", "--nonsense", "1"], "--nonsense"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments: list[str], says: str, tmp_path: Path) -> None:
    """What is wrong is named; nothing is on standard output."""
    ended = commands.run(DEPTH, arguments, tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert says in ended.err


def test_a_wrong_setting_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """Named as it is spelt in the environment."""
    ended = commands.run(DEPTH, ["collect"], tmp_path, CONNECTIONS="0")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert ended.err.startswith("error: CONNECTIONS: ")


def test_a_frozen_process_goes_on_where_it_was(tmp_path: Path, settings: dict[str, str]) -> None:
    """SIGSTOP for some seconds: it is not taken for a stall, and no second is lost."""
    with commands.running(DEPTH, ["collect"], tmp_path, settings) as process:
        wait_for_rows(tmp_path, 2)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(4)
        os.kill(process.pid, signal.SIGCONT)
        wait_for_rows(tmp_path, len(epochs(tmp_path)) + 6)
        ended = commands.finish(process, signal.SIGTERM)
    assert ended.code == 0, ended.err
    stored = epochs(tmp_path)
    assert stored == list(range(stored[0], stored[0] + len(stored)))


def wait_for_rows(folder: Path, count: int) -> None:
    """Wait until so many rows are stored in a database that may not be there yet."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (folder / "depth.db").exists():
            try:
                if len(epochs(folder)) >= count:
                    return
            except sqlite3.OperationalError:
                pass
        time.sleep(0.1)
    pytest.fail(f"not {count} rows within 60 s")
