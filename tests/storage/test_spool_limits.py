"""The spool at its ends: its limit, a full disk, a file that is none; and what it tells of itself."""

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from depth.alerts.board import Board, Place
from depth.alerts.cells import SpoolCells
from depth.alerts.conditions import Bad, Good
from depth.alerts.delivery import Dispatcher
from depth.errors import SpoolFull, StoreRefused
from depth.record import Record
from depth.storage import spool as spool_module
from depth.storage.spool import Spool
from depth.storage.spool_state import SpoolState, read_state
from depth.storage.sqlite import SqliteStore
from tests.alerts.fakes import FakeChannel
from tests.spooling import B, T, append, append_until_full, epochs, ship, ship_all

MEGABYTES = 2**20
Opener = Callable[..., Spool]
Starter = Callable[[str, int, str], subprocess.Popen[str]]


def test_at_the_limit_nothing_is_taken_until_rows_have_left(open_spool: Opener, spool_path: Path) -> None:
    spool = open_spool(limit_bytes=MEGABYTES)
    taken, said = append_until_full(spool, 5_000)
    assert "1,048,576 bytes" in said
    assert "SPOOL_MAX_MB" in said
    assert spool.stats().count == taken
    assert ship(spool, limit=50) == 50
    for cycle in range(5):
        append(spool, 3_000 + cycle, text="x" * 5_000)
        ship(spool)
    assert spool_path.stat().st_size < 1.1 * MEGABYTES


def test_a_disk_filled_by_the_spool_itself_empties_again(open_spool: Opener, small_disk: Path) -> None:
    """A delete needs room as well, so some is kept."""
    spool = open_spool(at=small_disk / "spool.db")
    taken, said = append_until_full(spool, 100_000)
    assert f"free disk space under {small_disk}" in said
    assert spool.stats().count == taken
    ship_all(spool)
    append(spool, 9_999)
    assert epochs(spool) == [9_999]


def test_a_disk_filled_by_others_stops_neither_shipping_nor_loses_a_row(
    open_spool: Opener, small_disk: Path, junk: Path, fill: Callable[[], None]
) -> None:
    spool = open_spool(at=small_disk / "spool.db")
    for epoch in range(1, 101):
        append(spool, epoch)
    fill()
    with pytest.raises(SpoolFull):
        append(spool, 101)
    shipped = epochs(spool, limit=30)
    with pytest.raises(SpoolFull, match="disk is full"):
        ship_all(spool, limit=30)
    assert epochs(spool)[0] > shipped[0]
    junk.unlink()
    append(spool, 102)
    ship_all(spool)
    assert spool.stats().count == 0


def test_on_a_full_disk_a_file_with_room_inside_is_emptied_all_the_same(
    open_spool: Opener, small_disk: Path, fill: Callable[[], None]
) -> None:
    """The log cannot grow there, but it can be moved into the file and begun anew."""
    first = open_spool(at=small_disk / "spool.db")
    append(first, *range(1, 1_001), text="x" * 8_000)
    ship(first, limit=500)
    first.close()
    spool = open_spool(at=small_disk / "spool.db")
    append(spool, *range(1_001, 1_101), text="x" * 8_000)
    fill()
    tries = 0
    while spool.stats().count and tries < 100:
        tries += 1
        with suppress(SpoolFull):
            ship(spool, limit=20)
    assert tries < 100


def test_disk_full_in_the_middle_of_an_append_takes_none_of_its_rows(
    open_spool: Opener, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_RESERVE_BYTES", 0)
    spool = open_spool(at=small_disk / "spool.db")
    append(spool, 1)
    with pytest.raises(SpoolFull, match=r"database or disk is full.*free disk space"):
        append(spool, *range(2, 100), text="x" * MEGABYTES)
    assert epochs(spool) == [1]


def test_stats_tell_what_waits(open_spool: Opener) -> None:
    spool = open_spool()
    assert (spool.stats().count, spool.stats().oldest) == (0, {})
    append(spool, 1_768_054_365, 1_768_054_366)
    spool.append(B, [(f"{T}_collectors", Record("incident#1", {"value": "{}"}))], {})
    stats = spool.stats()
    assert (stats.count, stats.oldest, stats.waiting) == (3, {T: 1_768_054_365}, {B: 3})
    assert 0 < stats.used_bytes < MEGABYTES


def test_the_file_has_one_id(open_spool: Opener, tmp_path: Path) -> None:
    """Whoever opens it, whenever; another file has another."""
    first = open_spool("gone")
    spool = first.stats().spool
    first.close()
    assert open_spool("me").stats().spool == open_spool("another").stats().spool == spool
    assert open_spool(at=tmp_path / "elsewhere.db").stats().spool != spool


def test_another_process_reads_how_far_every_collector_is(
    collect: Starter, open_spool: Opener, spool_path: Path
) -> None:
    """Beside a live writer, after a kill, and after a clean stop."""
    me = open_spool()
    append(me, 7, 8, 9)
    assert read_state(spool_path) == [SpoolState("me", B, T, 9, None)]
    me.acknowledge(B, [], {T: 8})
    me.acknowledge(B, [], {T: 5})  # late: the last stays 8
    assert read_state(spool_path) == [SpoolState("me", B, T, 9, 8)]
    collect("dead", 3, "die").wait(20)
    me.close()
    assert read_state(spool_path) == [SpoolState("me", B, T, 9, 8), SpoolState("dead", B, T, 3, None)]


def test_a_collector_is_forgotten_once_its_rows_are_shipped(open_spool: Opener, spool_path: Path) -> None:
    gone, me = open_spool("gone"), open_spool("me")
    append(gone, 1)
    append(me, 2)
    gone.close()
    me.adopt()
    assert [state.collector for state in read_state(spool_path)] == ["gone", "me"]
    ship(me)
    assert [state.collector for state in read_state(spool_path)] == ["me"]


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(open_spool: Opener, spool_path: Path) -> None:
    spool_path.parent.mkdir(parents=True)
    spool_path.write_bytes(b"somebody's letters " * 1_000)
    for call in (open_spool, lambda: read_state(spool_path)):
        with pytest.raises(StoreRefused, match=r"spool\.db: file is not a database.*move it away"):
            call()
    assert spool_path.read_bytes() == b"somebody's letters " * 1_000
    assert [file.name for file in spool_path.parent.iterdir()] == ["spool.db"]


def test_a_folder_that_cannot_be_made_is_refused(open_spool: Opener, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreRefused, match="right to write"):
        open_spool(at=tmp_path / "file" / "spool.db")


def test_a_read_only_disk_is_refused(open_spool: Opener, read_only_disk: Path) -> None:
    with pytest.raises(StoreRefused, match="right to write"):
        open_spool(at=read_only_disk / "spool.db")


def test_there_is_no_state_before_the_first_collector(spool_path: Path) -> None:
    with pytest.raises(StoreRefused, match="start the collector"):
        read_state(spool_path)
    assert not spool_path.parent.exists()


async def test_a_disk_that_is_full_to_the_last_byte_is_told_of_once(small_disk: Path, fill: Callable[[], None]) -> None:
    """By each process: what was told is kept in memory where it cannot be kept in the file."""
    store = SqliteStore(small_disk / "spool.db")
    cells = SpoolCells(store)
    channel = FakeChannel()
    board = Board(Place("BTC/USDT", "BTC/USDT", "here", "here"), cells, Dispatcher([channel]))
    await board.report("spool-full", Good(1))
    fill()
    now = int(time.time())
    for _ in range(3):
        await board.report("spool-full", Bad(now, now, "no room"))
    assert channel.events == ["spool-full.opened"]
    await board.report("spool-full", Good(now + 60))
    assert channel.events == ["spool-full.opened", "spool-full.resolved"]
    await store.close()
