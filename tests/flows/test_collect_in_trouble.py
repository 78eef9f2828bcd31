"""`python flows/collect.py` when its reader, its store or its user make trouble."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests import commands

pytestmark = [pytest.mark.timeout(120), pytest.mark.commands]


def spooled(folder: Path) -> int:
    """Count the seconds in the spool; 0 while there is none."""
    try:
        with closing(sqlite3.connect(folder / "spool.db")) as db:
            count: int = db.execute("SELECT count(*) FROM spooled WHERE row_key GLOB '[0-9]*'").fetchone()[0]
            return count
    except sqlite3.OperationalError:
        return 0


def test_a_reader_that_goes_away_ends_a_dry_run_quietly(tmp_path: Path, settings: dict[str, str]) -> None:
    """``python flows/collect.py --dry-run | head -1``: one line, exit 0, and no complaint."""
    command = [sys.executable, str(commands.ROOT / "flows" / "collect.py"), "--dry-run"]
    with (
        (tmp_path / "said").open("w") as said,
        subprocess.Popen(
            command,
            env=commands.environment(tmp_path, **settings),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 0
    assert commands.LINE.fullmatch(line.rstrip())
    assert "Error" not in (tmp_path / "said").read_text()


def test_sigterm_ends_it_well_although_the_store_is_locked(tmp_path: Path, settings: dict[str, str]) -> None:
    """The end does not wait for the other process; every captured second waits in the spool."""
    with closing(sqlite3.connect(tmp_path / "depth.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        with commands.running("collect", [], tmp_path, settings) as process:
            until = time.monotonic() + 60
            while spooled(tmp_path) < 3 and time.monotonic() < until:
                time.sleep(0.1)
            began = time.monotonic()
            ended = commands.finish(process, signal.SIGTERM)
            took = time.monotonic() - began
    assert ended.code == 0, ended.err
    assert took < 5  # three of them for the last upload
    assert "Traceback" not in ended.err
    captured = re.search(r"BTC/USDT (\d+) rows", ended.err)
    assert captured is not None
    assert spooled(tmp_path) == int(captured[1]) >= 3


def test_two_quick_interrupts_are_one(tmp_path: Path, settings: dict[str, str]) -> None:
    """An impatient user gets the clean end, too: exit 130 and no traceback."""
    with commands.running("collect", ["--dry-run"], tmp_path, settings) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        ended = commands.finish(process, signal.SIGINT)
    assert ended.code == 130
    assert "Traceback" not in ended.err


def test_logs_as_json_are_one_object_a_line(tmp_path: Path, settings: dict[str, str]) -> None:
    """LOG_FORMAT=json: every line but the outcome can be read by a log collector; standard output is the data's."""
    ended = commands.run("collect", ["--duration", "3"], tmp_path, LOG_FORMAT="json", LOG_LEVEL="DEBUG", **settings)
    assert (ended.code, ended.out) == (0, "")
    lines = ended.err.splitlines()
    assert lines[-1].startswith("BTC/USDT ")
    assert {"time", "severity", "logger", "message"} <= json.loads(lines[0]).keys()
    assert all(json.loads(line)["logger"].startswith("depth") for line in lines[:-1])
