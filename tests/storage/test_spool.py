"""Nothing captured is lost: what the spool keeps through kills, full disks and neighbours."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import rowkey
from depth.errors import StoreRefused
from depth.record import Record
from depth.storage import spool as spool_module
from depth.storage.ownership import Ownership
from depth.storage.spool import Spool, SpoolFull
from depth.storage.spool_state import SpoolState, read_state

T = "binance_btc_depth"
B = "sqlite"
MEGABYTES = 2**20
Opener = Callable[..., Spool]

# A collector in a process of its own: argv is path, id, rows, and what it does then.
COLLECTOR = """
import os, signal, sys, time
from pathlib import Path
from depth import rowkey
from depth.record import Record
from depth.storage.spool import Spool
path, collector, rows, then = sys.argv[1:]
spool = Spool(Path(path), collector, 2**30)
spool.open()
for epoch in range(1, int(rows) + 1):
    row = Record(rowkey.encode(epoch, "BTC/USDT"), {"collector": collector}, epoch * 1000)
    spool.append("sqlite", [("binance_btc_depth", row)], {"binance_btc_depth": epoch})
if then == "die":
    os.kill(os.getpid(), signal.SIGKILL)
print("ready", flush=True)
sys.stdin.readline()
if then == "adopt":
    print(spool.adopt(), flush=True)
    sys.stdin.readline()
spool.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folders" / "spool.db"


@pytest.fixture
def open_spool(path: Path) -> Iterator[Opener]:
    opened: list[Spool] = []

    def opener(collector: str = "me", limit_bytes: int = 2**30, at: Path = path) -> Spool:
        spool = Spool(at, collector, limit_bytes)
        spool.open()
        opened.append(spool)
        return spool

    yield opener
    for spool in opened:
        spool.close()


@pytest.fixture
def collect(path: Path) -> Iterator[Callable[[str, int, str], subprocess.Popen[str]]]:
    """Run collectors as processes."""
    children: list[subprocess.Popen[str]] = []

    def run(collector: str, rows: int, then: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", COLLECTOR, path, collector, str(rows), then],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield run
    for child in children:
        with child:
            child.kill()


def says(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def row(epoch: int, text: str = "") -> tuple[str, Record]:
    return T, Record(rowkey.encode(epoch, "BTC/USDT"), {"orderbook": text or str(epoch)}, epoch * 1000)


def append(spool: Spool, *epochs: int, text: str = "") -> None:
    spool.append(B, [row(epoch, text) for epoch in epochs], {T: epochs[-1]})


def epochs(spool: Spool, limit: int = 1000) -> list[int]:
    return [rowkey.decode(spooled.record.key)[0] for spooled in spool.oldest(B, limit).get(T, [])]


def ship(spool: Spool, limit: int = 1000) -> int:
    rows = spool.oldest(B, limit).get(T, [])
    spool.acknowledge(B, [each.rowid for each in rows], {T: rowkey.decode(rows[-1].record.key)[0]} if rows else {})
    return len(rows)


def ship_all(spool: Spool, limit: int = 1000) -> None:
    while ship(spool, limit):
        pass


def append_until_full(spool: Spool, size: int) -> tuple[int, str]:
    """Append rows of `size` characters; give how many were taken and what was said then."""
    for epoch in range(1, 5_000):
        try:
            append(spool, epoch, text="x" * size)
        except SpoolFull as full:
            return epoch - 1, str(full)
    raise AssertionError("never full")


def test_a_row_comes_back_as_it_went_in(open_spool: Opener) -> None:
    spool = open_spool()

    @settings(max_examples=50, deadline=None, database=None)
    @given(st.text(min_size=1), st.dictionaries(st.text(), st.text()), st.none() | st.integers(0, 2**62))
    def there_and_back(key: str, columns: dict[str, str], version: int | None) -> None:
        spool.append(B, [(T, Record(key, columns, version))], {})
        [found] = spool.oldest(B, 1)[T]
        assert found.record == Record(key, columns, version)
        spool.acknowledge(B, [found.rowid], {})

    there_and_back()


def test_rows_leave_oldest_first_and_after_the_acknowledgement_alone(open_spool: Opener) -> None:
    spool = open_spool()
    append(spool, 1, 2)
    append(spool, 3)
    assert epochs(spool, limit=2) == [1, 2]
    assert epochs(spool, limit=2) == [1, 2]
    assert ship(spool, limit=2) == 2
    assert epochs(spool) == [3]


def test_the_limit_counts_for_each_table(open_spool: Opener) -> None:
    """A table that the store refuses does not stand in the way of the others."""
    spool = open_spool()
    rows = [("refused", Record(str(number), {"value": ""})) for number in range(10)]
    spool.append(B, [*rows, row(1)], {T: 1})
    assert {table: len(waiting) for table, waiting in spool.oldest(B, 5).items()} == {"refused": 5, T: 1}


def test_rows_of_another_backend_wait_for_it(open_spool: Opener) -> None:
    spool = open_spool()
    spool.append("bigtable", [row(1)], {T: 1})
    assert spool.oldest(B, 10) == {}
    assert len(spool.oldest("bigtable", 10)[T]) == 1
    assert spool.stats().waiting == {"bigtable": 1}


def test_a_row_that_is_rewritten_meanwhile_stays(open_spool: Opener) -> None:
    spool = open_spool()
    append(spool, 1, text="before")
    [uploading] = spool.oldest(B, 10)[T]
    append(spool, 1, text="after")
    spool.acknowledge(B, [uploading.rowid], {T: 1})
    assert [each.record.columns["orderbook"] for each in spool.oldest(B, 10)[T]] == ["after"]


def test_a_late_acknowledgement_deletes_no_newer_row(open_spool: Opener) -> None:
    """Numbers are never used twice, though SQLite would."""
    spool = open_spool()
    append(spool, 1)
    [old] = spool.oldest(B, 10)[T]
    ship(spool)
    append(spool, 2)
    spool.acknowledge(B, [old.rowid], {})
    assert epochs(spool) == [2]


def test_rows_survive_kill_9_right_after_append(
    collect: Callable[[str, int, str], subprocess.Popen[str]], open_spool: Opener
) -> None:
    assert collect("killed", 20, "die").wait(20) == -signal.SIGKILL
    heir = open_spool("heir")
    assert heir.adopt() == 20
    assert epochs(heir) == list(range(1, 21))


def test_a_collector_that_comes_back_finds_its_rows(open_spool: Opener, path: Path) -> None:
    first = open_spool("me")
    append(first, 1)
    first.close()
    assert [file.name for file in path.parent.iterdir()] == ["spool.db"]
    assert epochs(open_spool("me")) == [1]


def test_exactly_one_of_several_adopts(
    collect: Callable[[str, int, str], subprocess.Popen[str]], open_spool: Opener, path: Path
) -> None:
    heirs = [collect(f"heir {number}", 0, "adopt") for number in range(3)]
    collect("dead", 50, "die").wait(20)
    assert [says(heir) for heir in heirs] == ["ready"] * 3
    for heir in heirs:
        tell(heir)
    assert sorted(int(says(heir)) for heir in heirs) == [0, 0, 50]
    assert not list(path.parent.glob("*dead*"))
    for heir in heirs:
        tell(heir)
        assert heir.wait(10) == 0
    assert open_spool().adopt() == 50  # what a heir did not ship is inherited again
    assert not list(path.parent.glob("*heir*"))


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_live_collector_keeps_its_rows(
    collect: Callable[[str, int, str], subprocess.Popen[str]], open_spool: Opener, state: str
) -> None:
    """Even frozen: it will go on and ship them."""
    other = collect("other", 5, "wait")
    assert says(other) == "ready"
    if state == "stopped":
        other.send_signal(signal.SIGSTOP)
    assert open_spool().adopt() == 0


def test_adopted_rows_are_shipped_in_the_order_of_their_coming(open_spool: Opener) -> None:
    other, me = open_spool("other"), open_spool("me")
    for epoch in range(1, 9):
        append(me if epoch % 2 else other, epoch)
    other.close()
    assert me.adopt() == 4
    assert epochs(me, limit=5) == [1, 2, 3, 4, 5]
    assert ship(me) == 8


def test_two_processes_append_to_one_file_at_the_same_time(
    collect: Callable[[str, int, str], subprocess.Popen[str]], open_spool: Opener
) -> None:
    others = [collect(f"other {number}", 100, "wait") for number in range(2)]
    me = open_spool("me")
    for epoch in range(1, 101):
        append(me, epoch)
    assert [says(other) for other in others] == ["ready"] * 2
    assert epochs(me) == list(range(1, 101))
    for other in others:
        tell(other)
        assert other.wait(10) == 0
    assert me.adopt() == 200


def test_a_second_collector_of_the_same_id_is_refused(open_spool: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depth.storage.ownership._ADOPTION_SECONDS", 0.1)
    first = open_spool("me")
    with pytest.raises(StoreRefused, match=r"collector me already runs on .*: stop it first"):
        open_spool("me")
    append(first, 1)


def test_a_lock_whose_file_is_removed_under_the_waiting_has_one_holder(tmp_path: Path) -> None:
    """The holder unlinks the file: one who waited for that file must not believe that it holds the name."""
    inside: list[int] = []
    most: list[int] = []

    def contend() -> None:
        locks = Ownership(tmp_path / "spool.db")
        for _ in range(300):
            with locks.of_the_dead("somebody") as is_mine:
                if is_mine:
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()

    threads = [Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert list(tmp_path.iterdir()) == []


def test_any_id_may_name_a_collector(open_spool: Opener, path: Path) -> None:
    append(open_spool("host/7:€ %2F"), 1)
    assert open_spool().adopt() == 0
    assert all(file.parent == path.parent for file in path.parent.rglob("*"))


def test_at_the_limit_nothing_is_taken_until_rows_have_left(open_spool: Opener, path: Path) -> None:
    spool = open_spool(limit_bytes=MEGABYTES)
    taken, said = append_until_full(spool, 5_000)
    assert "1,048,576 bytes" in said
    assert "SPOOL_MAX_MB" in said
    assert spool.stats().count == taken
    assert ship(spool, limit=50) == 50
    for cycle in range(5):
        append(spool, 3_000 + cycle, text="x" * 5_000)
        ship(spool)
    assert path.stat().st_size < 1.1 * MEGABYTES


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
    append(spool, 1_001)
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
    assert (spool.stats().count, spool.stats().oldest_epoch) == (0, None)
    append(spool, 1_768_054_365, 1_768_054_366)
    spool.append(B, [(f"{T}_collectors", Record("incident#1", {"value": "{}"}))], {})
    stats = spool.stats()
    assert (stats.count, stats.oldest_epoch, stats.waiting) == (3, 1_768_054_365, {B: 3})
    assert 0 < stats.used_bytes < MEGABYTES


def test_another_process_reads_how_far_every_collector_is(
    collect: Callable[[str, int, str], subprocess.Popen[str]], open_spool: Opener, path: Path
) -> None:
    """Beside a live writer, after a kill, and after a clean stop."""
    me = open_spool()
    append(me, 7, 8, 9)
    assert read_state(path) == [SpoolState("me", B, T, 9, None)]
    me.acknowledge(B, [], {T: 8})
    me.acknowledge(B, [], {T: 5})  # late: the last stays 8
    assert read_state(path) == [SpoolState("me", B, T, 9, 8)]
    collect("dead", 3, "die").wait(20)
    me.close()
    assert read_state(path) == [SpoolState("me", B, T, 9, 8), SpoolState("dead", B, T, 3, None)]


def test_a_collector_is_forgotten_once_its_rows_are_shipped(open_spool: Opener, path: Path) -> None:
    gone, me = open_spool("gone"), open_spool("me")
    append(gone, 1)
    append(me, 2)
    gone.close()
    me.adopt()
    assert [state.collector for state in read_state(path)] == ["gone", "me"]
    ship(me)
    assert [state.collector for state in read_state(path)] == ["me"]


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(open_spool: Opener, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"somebody's letters " * 1_000)
    for call in (open_spool, lambda: read_state(path)):
        with pytest.raises(StoreRefused, match=r"spool\.db: file is not a database.*move it away"):
            call()
    assert path.read_bytes() == b"somebody's letters " * 1_000
    assert [file.name for file in path.parent.iterdir()] == ["spool.db"]


def test_a_folder_that_cannot_be_made_is_refused(open_spool: Opener, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreRefused, match="right to write"):
        open_spool(at=tmp_path / "file" / "spool.db")


def test_a_read_only_disk_is_refused(open_spool: Opener, read_only_disk: Path) -> None:
    with pytest.raises(StoreRefused, match="right to write"):
        open_spool(at=read_only_disk / "spool.db")


def test_there_is_no_state_before_the_first_collector(path: Path) -> None:
    with pytest.raises(StoreRefused, match="start the collector"):
        read_state(path)
    assert not path.parent.exists()
