"""`python flows/collect.py`, as typed."""

import asyncio
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from depth import rowkey
from depth.exchange.simulated import Handle, Options, SyntheticSource, threaded
from depth.storage.bigtable import BigtableStore
from flows import collect
from tests import commands, emulator

pytestmark = [pytest.mark.commands, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def exchange() -> Iterator[Handle]:
    """One exchange for all commands of this module."""
    with threaded(SyntheticSource(("BTC/USDT", "ETH/BTC=0.035")), Options(weight_limit=100_000)) as handle:
        yield handle


def stored(
    folder: Path, columns: str = "row_key, price, orderbook", table: str = "binance_btc_depth"
) -> list[tuple[str, ...]]:
    """Read a table, newest first."""
    with closing(sqlite3.connect(folder / "depth.db")) as db:
        return db.execute(f"SELECT {columns} FROM {table} ORDER BY row_key").fetchall()  # noqa: S608  # our own names


async def read_bigtable(host: str) -> dict[str, Mapping[str, str]]:
    """Read the whole table from the emulator."""
    store = BigtableStore("p", "i", None, host)
    try:
        everything = rowkey.bounds(0, 9_999_999_999)
        return {record.key: record.columns async for record in store.scan("binance_btc_depth", *everything)}
    finally:
        await store.close()


def waiting(folder: Path) -> int:
    """Count what waits in the spool."""
    with closing(sqlite3.connect(folder / "spool.db")) as db:
        count: int = db.execute("SELECT count(*) FROM spooled").fetchone()[0]
        return count


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something in a database that may not have been made yet."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if holds():
                return
        except sqlite3.OperationalError:
            pass
        time.sleep(0.1)
    pytest.fail(f"not within {seconds} s")


def test_dry_run_prints_the_contract_s_line_and_nothing_else(tmp_path: Path, settings: dict[str, str]) -> None:
    """One line a second on standard output, nothing stored, exit 0."""
    arguments = ["--dry-run", "--duration", "6", "--symbols", "BTC/USDT,ETH/BTC"]
    ended = commands.run("collect", arguments, tmp_path, **settings)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert len(lines) >= 6
    assert [line for line in lines if not commands.LINE.fullmatch(line)] == []
    assert {line.split("|")[1].split()[0] for line in lines} == {"BTC/USDT", "ETH/BTC"}
    assert ended.error.endswith("nothing was stored")
    assert not (tmp_path / "depth.db").exists()
    assert not (tmp_path / "spool.db").exists()


def test_rows_are_stored_without_prefect(tmp_path: Path, settings: dict[str, str]) -> None:
    """Direct mode says so in one line, stores consecutive seconds and leaves the spool empty."""
    ended = commands.run("collect", ["--duration", "7"], tmp_path, **settings)
    assert ended.code == 0, ended.err
    assert ended.out == ""
    assert "running without Prefect" in ended.err
    keys = [int(key.split("#")[0]) for (key,) in stored(tmp_path, "row_key")]
    assert len(keys) >= 3
    assert keys == list(range(keys[0], keys[0] + len(keys)))
    assert waiting(tmp_path) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_well_within_5_s(
    number: signal.Signals, code: int, tmp_path: Path, settings: dict[str, str]
) -> None:
    """SIGTERM gives 0, Ctrl-C 130; every captured second is in the store, and no traceback is shown."""
    with commands.running("collect", [], tmp_path, settings) as process:
        wait_until(lambda: len(stored(tmp_path)) >= 2)
        began = time.monotonic()
        ended = commands.finish(process, number)
    assert time.monotonic() - began < 5
    assert ended.code == code
    assert "Traceback" not in ended.err
    captured = re.search(r"BTC/USDT (\d+) rows", ended.err)
    assert captured is not None
    assert len(stored(tmp_path)) + waiting(tmp_path) >= int(captured[1])


def test_kill_9_loses_no_durable_row_and_the_next_run_ships_them(tmp_path: Path, settings: dict[str, str]) -> None:
    """Rows in the spool of a killed run are adopted and stored by the next one."""
    with commands.running("collect", [], tmp_path, settings | {"FLUSH_SECONDS": "3600"}) as process:
        wait_until(lambda: waiting(tmp_path) >= 3)
        commands.finish(process, signal.SIGKILL)
    spooled = waiting(tmp_path)
    assert spooled >= 3
    ended = commands.run("collect", ["--duration", "4"], tmp_path, **settings)
    assert ended.code == 0, ended.err
    collectors = [name for (name,) in stored(tmp_path, "collector")]
    assert collectors.count(collectors[-1]) == spooled
    assert waiting(tmp_path) == 0


def test_two_collectors_and_two_stores_write_the_same_bytes(tmp_path: Path, settings: dict[str, str]) -> None:
    """SQLite and Bigtable, two processes, two starting times: equal price and orderbook for every common second."""
    if emulator.find() is None:
        pytest.skip(emulator.MISSING)
    with emulator.running() as host:
        cloud = settings | {"BIGTABLE_EMULATOR_HOST": host, "BIGTABLE_PROJECT_ID": "p", "BIGTABLE_INSTANCE_ID": "i"}
        (tmp_path / "other").mkdir()
        arguments = ["--duration", "9", "--backend", "bigtable"]
        with commands.running("collect", arguments, tmp_path / "other", cloud) as process:
            here = commands.run("collect", ["--duration", "8"], tmp_path, **settings)
            there = commands.finish(process)
        assert (here.code, there.code) == (0, 0), here.err + there.err
        rows = asyncio.run(read_bigtable(host))
    mine = {key: (price, book) for key, price, book in stored(tmp_path)}
    theirs = {key: (columns["price"], columns["orderbook"]) for key, columns in rows.items()}
    common = mine.keys() & theirs.keys()
    assert len(common) >= 3
    assert {key: mine[key] for key in common} == {key: theirs[key] for key in common}


def test_another_grid_needs_another_table(tmp_path: Path, settings: dict[str, str]) -> None:
    """A run whose steps differ from the table's exits 2 and names both; a suffix gives it a table of its own."""
    assert commands.run("collect", ["--duration", "3"], tmp_path, **settings).code == 0
    other = commands.run("collect", ["--duration", "3", "--steps", "20"], tmp_path, **settings)
    assert other.code == 2
    assert '"steps":40' in other.error
    assert '"steps":20' in other.error
    assert "--table-suffix" in other.error
    own = ["--duration", "3", "--steps", "20", "--table-suffix", "_20"]
    assert commands.run("collect", own, tmp_path, **settings).code == 0


def test_unknown_symbol_is_one_line_and_exit_2(tmp_path: Path, settings: dict[str, str]) -> None:
    """The exchange is asked, and what it does not list is bad usage."""
    ended = commands.run("collect", ["--symbols", "FOO/USDT"], tmp_path, **settings)
    assert ended.code == 2
    assert "lists no spot market FOO/USDT" in ended.error
    assert "Traceback" not in ended.err


def test_unreachable_exchange_is_said_at_once_and_tried_on(tmp_path: Path) -> None:
    """One clear line, then it keeps trying; Ctrl-C still ends it well."""
    nowhere = {"BINANCE_REST_URL": "http://127.0.0.1:9", "BINANCE_WS_URL": "ws://127.0.0.1:9"}
    with commands.running("collect", ["--dry-run"], tmp_path, nowhere) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "127.0.0.1:9 cannot be reached" in line
        assert "check network and BINANCE_REST_URL" in line
        ended = commands.finish(process, signal.SIGINT)
    assert ended.code == 130
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("garbage", ["depth.db", "spool.db"])
def test_garbage_in_an_existing_file_is_refused_and_left_alone(
    garbage: str, tmp_path: Path, settings: dict[str, str]
) -> None:
    """A file that is no database of ours is named in one line and stays as it is, byte for byte."""
    content = b"not a database " * 1000
    (tmp_path / garbage).write_bytes(content)
    ended = commands.run("collect", ["--duration", "3"], tmp_path, **settings)
    assert ended.code == 1
    assert ended.error.startswith("error: ")
    assert garbage in ended.error
    assert "Traceback" not in ended.err
    assert (tmp_path / garbage).read_bytes() == content


@pytest.mark.parametrize("variable", ["SQLITE_PATH", "SPOOL_PATH"])
def test_unwritable_path_is_one_line(variable: str, tmp_path: Path, settings: dict[str, str]) -> None:
    """A path below a file can never be made: one line names it."""
    (tmp_path / "file").touch()
    ended = commands.run(
        "collect", ["--duration", "3"], tmp_path, **settings | {variable: str(tmp_path / "file" / "x.db")}
    )
    assert ended.code == 1
    assert ended.error.startswith("error: ")
    assert "x.db" in ended.error or str(tmp_path / "file") in ended.error
    assert "Traceback" not in ended.err


def test_bad_usage_as_a_subprocess(tmp_path: Path) -> None:
    """A wrong option ends the process with 2 and exactly one line."""
    ended = commands.run("collect", ["--step", "0"], tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "error: --step: Input should be greater than or equal to 0.000000001 (got '0')\n"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--step", "-1"], "--step"),
        (["--step", "abc"], "--step"),
        (["--step", "nan"], "--step"),
        (["--steps", "0"], "--steps"),
        (["--steps", "10001"], "--steps"),
        (["--interval", "0"], "--interval"),
        (["--interval", "1.5"], "--interval"),
        (["--duration", "-1"], "--duration"),
        (["--backend", "foo"], "--backend"),
        (["--symbols", "BTCUSDT"], "--symbols"),
        (["--symbols", "BTC/USDT,BTC/USDT"], "--symbols"),
        (["--symbols", ""], "--symbols"),
        (["--table-suffix", "a b"], "--table-suffix"),
        (["--nonsense", "3"], "--nonsense"),
        (["--step"], "--step"),
    ],
)
def test_each_wrong_option_is_named_in_one_line(
    arguments: list[str], names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, one line on standard error, nothing on standard output."""
    assert collect.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert names in shown.err


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DB_BACKEND", "mysql"),
        ("BINANCE_REST_URL", "https://api.binance.com/api/v3"),
        ("BINANCE_WS_URL", "stream.binance.com"),
        ("CONNECTIONS", "0"),
        ("SPOOL_MAX_MB", "many"),
        ("FLUSH_SECONDS", "-1"),
    ],
)
def test_each_wrong_setting_is_named_in_one_line(
    variable: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2, and the variable is named as it is spelt in the environment."""
    monkeypatch.setenv(variable, value)
    assert collect.main([]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"error: {variable}: ")
    assert shown.err.count("\n") == 1


def test_bigtable_without_an_instance_is_bad_usage(tmp_path: Path, settings: dict[str, str]) -> None:
    """Exit 2 names the two variables."""
    ended = commands.run("collect", ["--backend", "bigtable", "--duration", "3"], tmp_path, **settings)
    assert ended.code == 2
    assert "BIGTABLE_PROJECT_ID and BIGTABLE_INSTANCE_ID" in ended.error


def test_help_is_no_error(tmp_path: Path) -> None:
    """--help names every option of the contract and exits 0."""
    ended = commands.run("collect", ["--help"], tmp_path)
    assert ended.code == 0
    for option in ("--dry-run", "--symbols", "--step", "--steps", "--interval", "--duration", "--backend"):
        assert option in ended.out


def test_a_relay_hands_over_without_losing_a_second(tmp_path: Path, settings: dict[str, str]) -> None:
    """A run that is over goes on while nobody can take over, and ends by itself once a later one has."""
    arguments = ["--relay", "--duration", "2"]
    with commands.running("collect", arguments, tmp_path, settings) as old:
        wait_until(lambda: len(stored(tmp_path)) >= 4)  # its two seconds are over, it goes on
        with commands.running("collect", arguments, tmp_path, settings) as new:
            ended = commands.finish(old, seconds=60)
            wait_until(lambda: len({name for (name,) in stored(tmp_path, "collector")}) == 2)
            commands.finish(new, signal.SIGTERM)
    assert ended.code == 0, ended.err
    assert "1 later collectors have taken over" in ended.err
    epochs = [9_999_999_999 - int(key.split("#")[0]) for (key,) in stored(tmp_path, "row_key")]
    assert epochs == list(range(epochs[0], epochs[-1] - 1, -1))
