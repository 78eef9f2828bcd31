"""Sinks: one line a second on the terminal, or the spool, and what happens while the spool takes nothing."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from depth import rowkey, snapshot
from depth.errors import SpoolFull
from depth.incidents import Report
from depth.losses import Incident
from depth.sinks import SpoolSink, TerminalSink
from depth.snapshot import Snapshot
from depth.storage.spool import Spool
from tests import commands, stored_rows

TABLE = "binance_btc_depth"
START = 1_700_000_000
NOTHING: Sequence[tuple[str, Incident]] = ()


@dataclass
class Place:
    """A spool file, and a sink on it."""

    path: Path
    spool: Spool
    thread: ThreadPoolExecutor
    sink: SpoolSink

    def spooled(self) -> list[tuple[str, str]]:
        """Give table and key of every row in the file, in order, as another process sees them."""
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute(
                "SELECT target, row_key FROM spooled JOIN queues ON queue = queues.id ORDER BY spooled.id"
            ).fetchall()

    def epochs(self) -> list[int]:
        return [rowkey.decode(key)[0] - START for table, key in self.spooled() if table == TABLE]


def open_place(path: Path, limit_bytes: int) -> Iterator[Place]:
    spool, thread = Spool(path, "mine", limit_bytes), ThreadPoolExecutor(1)
    thread.submit(spool.open).result()
    yield Place(path, spool, thread, SpoolSink(spool, thread, "sqlite", {"BTC/USDT": TABLE}, "mine"))
    thread.submit(spool.close).result()
    thread.shutdown()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A spool with room."""
    yield from open_place(tmp_path / "spool.db", 2**30)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Place]:
    """A spool that is full with its own tables."""
    yield from open_place(tmp_path / "spool.db", 1)


def rows(start: int, end: int) -> list[Snapshot]:
    return list(stored_rows.rows(START + start, START + end))


async def test_the_terminal_gets_one_line_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    """Each row is the contract's line on standard output, at once."""
    sink = TerminalSink()
    await sink.put(rows(0, 3), NOTHING)
    await sink.close()
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines == [snapshot.line(row) for row in rows(0, 3)]
    assert all(commands.LINE.fullmatch(line) for line in lines)
    assert shown.err == ""


async def test_what_is_lost_is_said_beside_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """An incident is no data: it goes to standard error, with its cause."""
    await TerminalSink().put([], [("BTC/USDT", Incident(START, START + 2, "disconnect"))])
    assert capsys.readouterr() == ("", f"BTC/USDT: no row for [{START}, {START + 2}): disconnect\n")


async def test_rows_are_in_the_file_when_put_returns(place: Place) -> None:
    """Another process sees them at once, in order, for the table of their symbol."""
    await place.sink.put(rows(0, 3), NOTHING)
    assert place.epochs() == [0, 1, 2]


async def test_incidents_are_spooled_for_the_companion_table(place: Place) -> None:
    """One that grows keeps its key, and says start, end, cause and collector."""
    short, long = Incident(START, START + 1, "disconnect"), Incident(START, START + 9, "disconnect")
    await place.sink.put([], [("BTC/USDT", short)])
    await place.sink.put([], [("BTC/USDT", long)])
    (one, first), (other, second) = place.spooled()
    assert one == other == f"{TABLE}_collectors"
    assert first == second
    with closing(sqlite3.connect(place.path)) as db:
        newest = json.loads(db.execute("SELECT columns FROM spooled ORDER BY id DESC").fetchone()[0])
    said = json.loads(newest["value"])
    assert (said["start"], said["end"], said["cause"]) == (START, START + 9, "disconnect")


async def test_the_last_captured_epoch_is_told(place: Place) -> None:
    """The health check reads it beside the rows."""
    await place.sink.put(rows(0, 3), NOTHING)
    with closing(sqlite3.connect(place.path)) as db:
        assert db.execute("SELECT captured FROM queues").fetchone() == (START + 2,)


async def test_a_full_spool_is_said_and_ends_nothing(full: Place, caplog: pytest.LogCaptureFixture) -> None:
    """No exception reaches the capture; one error line says how many rows are held and what to do."""
    for second in range(5):
        await full.sink.put(rows(second, second + 1), NOTHING)
    [record] = [record for record in caplog.records if record.name == "depth.sinks"]
    assert record.levelno == logging.ERROR
    assert record.message.startswith("1 rows are held in memory, 0 were dropped: spool ")
    assert record.message.endswith("see why the store takes no rows, or raise SPOOL_MAX_MB")
    assert full.spooled() == []


async def test_a_full_spool_is_known_since_when_it_is_full_until_it_has_room(full: Place) -> None:
    """For whoever tells people."""
    assert full.sink.trouble is None
    await full.sink.put(rows(0, 1), NOTHING)
    first = full.sink.trouble
    await full.sink.put(rows(1, 2), NOTHING)
    assert first is not None
    assert full.sink.trouble is not None
    assert (full.sink.trouble.since, type(full.sink.trouble.error)) == (first.since, SpoolFull)
    full.spool._limit_bytes = 2**30
    await full.sink.put(rows(2, 3), NOTHING)
    assert full.sink.trouble is None


async def test_rows_held_in_memory_follow_in_order_when_there_is_room(full: Place) -> None:
    """Nothing is missing, nothing is twice, the oldest comes first."""
    await full.sink.put(rows(0, 2), NOTHING)
    await full.sink.put(rows(2, 4), NOTHING)
    full.spool._limit_bytes = 2**30
    await full.sink.put(rows(4, 5), NOTHING)
    assert full.epochs() == [0, 1, 2, 3, 4]


async def test_the_end_of_a_run_tries_the_held_rows_once_more(full: Place) -> None:
    """Where there is room by then, they are durable."""
    await full.sink.put(rows(0, 2), NOTHING)
    full.spool._limit_bytes = 2**30
    await full.sink.close()
    assert full.epochs() == [0, 1]


async def test_rows_that_cannot_be_made_durable_are_counted_at_the_end(
    full: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """The last line says how many are lost with the process."""
    await full.sink.put(rows(0, 3), NOTHING)
    await full.sink.close()
    assert caplog.messages[-1] == "3 rows could not be made durable and are lost with this process"


async def test_of_a_long_standstill_the_last_hour_is_kept(full: Place) -> None:
    """After 3,700 seconds the first 100 are gone for good, and the 3,600 since then follow later."""
    await full.sink.put(rows(0, 3650), NOTHING)
    await full.sink.put(rows(3650, 3700), NOTHING)
    full.spool._limit_bytes = 2**30
    await full.sink.close()
    assert full.epochs() == list(range(100, 3700))


async def test_seconds_that_fell_out_of_memory_are_reported(full: Place) -> None:
    """The ledger learns why they are missing once the spool takes rows again, in one report however long it was."""
    for start in range(0, 3650, 50):
        await full.sink.put(rows(start, start + 50), NOTHING)
    full.spool._limit_bytes = 2**30
    await full.sink.put(rows(3650, 3651), NOTHING)
    reports = full.thread.submit(full.spool.oldest, "sqlite", 10).result()[f"{TABLE}_collectors"]
    assert [Report.parse(row.record) for row in reports] == [Report(START, START + 50, "spool full", "mine")]


async def test_each_symbol_has_its_own_hour(tmp_path: Path) -> None:
    """With two symbols twice as many rows are held."""
    for place in open_place(tmp_path / "spool.db", 1):
        sink = SpoolSink(place.spool, place.thread, "sqlite", {"BTC/USDT": "one", "ETH/USDT": "two"}, "mine")
        both = [row for each in rows(0, 3600) for row in (each, replace(each, symbol="ETH/USDT"))]
        await sink.put(both, NOTHING)
        place.spool._limit_bytes = 2**30
        await sink.close()
        assert len(place.spooled()) == 7200


async def test_a_put_that_is_cancelled_loses_no_row(place: Place) -> None:
    """The end of a run may come in the middle of a write: what it was given is durable once the sink is closed."""
    putting = asyncio.ensure_future(place.sink.put(rows(0, 2), NOTHING))
    await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await place.sink.close()
    assert set(place.epochs()) == {0, 1}
