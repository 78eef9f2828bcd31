"""`python -m depth watch`, as typed: into a pipe, and on a terminal."""

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from depth.command import INTERRUPTED
from tests import archive, commands
from tests.commands import LINE
from tests.stored_rows import rows, store_rows

pytestmark = pytest.mark.commands

DEPTH = "-m depth"
COVERED = re.compile(LINE.pattern + r" \| last hour: \d+\.\d\d%")
ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"
SECONDS = 60.0


def lines_of(stream: IO[str], count: int) -> list[str]:
    """Read some lines of a command that goes on."""
    found: list[str] = []
    reading = threading.Thread(target=lambda: found.extend(stream.readline() for _ in range(count)), daemon=True)
    reading.start()
    reading.join(SECONDS)
    assert len(found) == count, found
    return found


def lines_until(stream: IO[str], said: str) -> None:
    """Read lines until one holds a text."""
    found: list[str] = []

    def read() -> None:
        for line in iter(stream.readline, ""):
            found.append(line)
            if said in line:
                return

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(SECONDS)
    assert found, f"nothing, not {said!r}"
    assert said in found[-1], found


def fill(folder: Path, start: int, end: int) -> None:
    """Write rows as a collector does."""

    async def work() -> None:
        async with archive.opened(folder / "depth.db") as store:
            await store_rows(store, rows(start, end))
            await archive.begin(store)

    asyncio.run(work())


def test_a_dry_run_prints_a_line_a_second_and_stores_nothing(tmp_path: Path, settings: dict[str, str]) -> None:
    """Ctrl-C ends it with 130."""
    with commands.running(DEPTH, ["watch", "--dry-run"], tmp_path, settings) as process:
        assert process.stdout is not None
        said = lines_of(process.stdout, 3)
        ended = commands.finish(process, signal.SIGINT)
    assert ended.code == INTERRUPTED
    assert [line for line in said if not COVERED.fullmatch(line.strip())] == []
    epochs = [int(re.findall(r"epoch: (\d+)", line)[0]) for line in said]
    assert epochs == list(range(epochs[0], epochs[0] + 3))
    assert "Traceback" not in ended.err
    assert {path.name for path in tmp_path.iterdir()} <= {"prefect"}


def test_a_store_that_is_written_is_followed(tmp_path: Path, settings: dict[str, str]) -> None:
    """Beside a collector that writes the file."""
    with commands.running(DEPTH, ["collect"], tmp_path, settings) as collector:
        wait_for(lambda: has_rows(tmp_path))
        with commands.running(DEPTH, ["watch"], tmp_path, {}) as process:
            assert process.stdout is not None
            said = lines_of(process.stdout, 4)
            ended = commands.finish(process, signal.SIGTERM)
        assert commands.finish(collector, signal.SIGTERM).code == 0
    assert ended.code == 0
    epochs = [int(re.findall(r"epoch: (\d+)", line)[0]) for line in said]
    assert epochs == list(range(epochs[0], epochs[0] + 4))
    assert all(line.rstrip().endswith("last hour: 100.00%") for line in said)


def has_rows(folder: Path) -> bool:
    """Whether the store has its first row."""
    if not (folder / "depth.db").exists():
        return False
    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(folder / "depth.db")) as db:
        return bool(db.execute("SELECT count(*) FROM binance_btc_depth").fetchone()[0])
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_store_without_rows_and_one_that_goes_away_say_so_once_and_are_tried_again(tmp_path: Path) -> None:
    """A line each; rows that come are printed."""
    fill(tmp_path, 0, 0)
    database, away = tmp_path / "depth.db", tmp_path / "away.db"
    with commands.running(DEPTH, ["watch"], tmp_path, {}) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines_until(process.stderr, "no row is stored yet: is a collector running?")
        now = int(time.time())
        fill(tmp_path, now - 2, now)
        assert COVERED.fullmatch(lines_of(process.stdout, 1)[0].strip())
        database.rename(away)
        lines_until(process.stderr, f"no database {database}")
        away.rename(database)
        fill(tmp_path, now, now + 1)
        assert f"epoch: {now} " in lines_of(process.stdout, 1)[0]
        ended = commands.finish(process, signal.SIGINT)
    assert ended.code == INTERRUPTED
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--symbol", "DOGE/USDT"], 2, "DOGE/USDT was never collected, there is no table binance_doge_depth"),
        (["--symbol", "DOGE"], 2, "--symbol: 'DOGE' is not BASE/QUOTE"),
        (["--symbol", "A/B,C/D"], 2, "--symbol: 'A/B,C/D' is not BASE/QUOTE"),
        (["--table-suffix", "_5s"], 2, "there is no table binance_btc_depth_5s: there is binance_btc_depth"),
        (["--dry-run", "--backend", "sqlite"], 2, "--dry-run reads no store"),
        (["--backend", "bigtable"], 2, "needs BIGTABLE_PROJECT_ID"),
        (["--dry-run", "--symbol", "DOGE/USDT"], 2, "lists no spot market DOGE/USDT"),
    ],
)
def test_what_cannot_be_watched_is_one_line(
    arguments: list[str], code: int, says: str, tmp_path: Path, settings: dict[str, str]
) -> None:
    fill(tmp_path, 100, 101)
    ended = commands.run(DEPTH, ["watch", *arguments], tmp_path, **settings)
    assert (ended.code, ended.out) == (code, "")
    assert says in ended.error
    assert ended.err.count("\n") == 1


def test_a_missing_file_is_one_line_and_exit_1(tmp_path: Path) -> None:
    """It is not made."""
    ended = commands.run(DEPTH, ["watch"], tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "no database" in ended.err
    assert not (tmp_path / "depth.db").exists()


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path, settings: dict[str, str]) -> None:
    """`… | head -1`."""
    with commands.running(DEPTH, ["watch", "--dry-run"], tmp_path, settings) as process:
        assert process.stdout is not None
        lines_of(process.stdout, 1)
        process.stdout.close()
        assert process.wait(SECONDS) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, arguments: list[str], folder: Path, settings: dict[str, str], size: tuple[int, int]) -> None:
        sizes = ("COLUMNS", "LINES")  # of whatever runs the tests
        inherited = {name: value for name, value in commands.environment(folder).items() if name not in sizes}
        self._mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "depth", "watch", *arguments],
            cwd=folder,
            env=inherited | {"TERM": "xterm-256color"} | settings,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.shown = b""

    def until(self, condition: Callable[[bytes], bool]) -> None:
        """Read until what was shown meets a condition."""
        until = time.monotonic() + SECONDS
        while not condition(self.shown):
            assert time.monotonic() < until, self.shown[-2000:]
            if not self._read():
                break
        assert condition(self.shown), self.shown[-2000:]

    def end(self, number: signal.Signals) -> int:
        """End it, and read what it leaves."""
        self.process.send_signal(number)
        until = time.monotonic() + SECONDS
        while self._read():
            assert time.monotonic() < until
        return self.process.wait(SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._mine)

    def _read(self) -> bool:
        """Read what is there; False once the other end is closed."""
        ready, _, _ = select.select([self._mine], [], [], 0.2)
        if not ready:
            return True
        try:
            self.shown += os.read(self._mine, 65_536)
        except OSError:  # how Linux says that nobody holds the other end
            return False
        return True


@contextlib.contextmanager
def terminal(
    arguments: list[str], folder: Path, settings: dict[str, str], size: tuple[int, int] = (24, 80)
) -> Iterator[Terminal]:
    opened = Terminal(arguments, folder, settings, size)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_terminal_shows_the_book_and_is_given_back(
    number: signal.Signals, code: int, tmp_path: Path, settings: dict[str, str]
) -> None:
    """The alternate screen is entered once and left last; log lines do not run into it."""
    with terminal(["--dry-run"], tmp_path, settings) as shown:
        shown.until(lambda text: text.count(b"proven after") >= 2)
        assert shown.end(number) == code
        assert shown.shown.count(ENTERED) == shown.shown.count(LEFT) == 1
        assert shown.shown.rstrip().endswith(LEFT)
        for part in ("BTC/USDT", "dry run, ", "bid ", "mid ", "coverage", "2 of 2 open", "nothing is stored", "█"):
            assert part.encode() in shown.shown
        assert b"Traceback" not in shown.shown


def test_a_store_on_a_narrow_terminal(tmp_path: Path) -> None:
    """40 columns: no line is longer."""
    now = int(time.time())
    fill(tmp_path, now - 20, now)
    with terminal([], tmp_path, {}, (24, 40)) as shown:
        shown.until(lambda text: b"Ctrl-C ends" in text and b"100.00%" in text)
        assert shown.end(signal.SIGINT) == INTERRUPTED
    frames = shown.shown.decode().replace("\x1b[H", "\r\n")  # each begins at the upper left corner
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frames)
    assert {len(line) for line in plain.split("\r\n")} <= {*range(41)}


def test_an_error_is_told_on_the_terminal_s_own_screen(tmp_path: Path, settings: dict[str, str]) -> None:
    """After the alternate screen is left."""
    with terminal(["--dry-run", "--symbol", "DOGE/USDT"], tmp_path, settings) as shown:
        assert shown.process.wait(SECONDS) == 2
        shown.until(lambda text: b"lists no spot market" in text)
        assert LEFT not in shown.shown[shown.shown.index(b"error: ") :]


def test_a_dumb_terminal_gets_lines(tmp_path: Path, settings: dict[str, str]) -> None:
    with terminal(["--dry-run"], tmp_path, settings | {"TERM": "dumb"}) as shown:
        shown.until(lambda text: b"last hour: 100.00%" in text)
        assert shown.end(signal.SIGINT) == INTERRUPTED
        assert ENTERED not in shown.shown


def test_who_reads_a_store_loads_neither_arrow_nor_the_exchange(tmp_path: Path) -> None:
    """A view that stays open all day must be small."""
    fill(tmp_path, 100, 101)
    code = """
import os, signal, sys, threading
from depth.__main__ import main

threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT)).start()
assert main(["watch"]) == 130
print(*sorted({name.partition(".")[0] for name in sys.modules}
              & {"prefect", "google", "grpc", "ccxt", "aiohttp", "pyarrow", "numpy", "rich"}), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=commands.environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, ""), done.stderr
