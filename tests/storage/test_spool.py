"""Nothing captured is lost: what the spool keeps through kills and beside neighbours."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth.errors import StoreRefused
from depth.record import Record
from depth.storage.ownership import Ownership
from depth.storage.spool import Spool
from tests.spooling import B, T, append, epochs, row, says, ship, tell

Opener = Callable[..., Spool]
Starter = Callable[[str, int, str], subprocess.Popen[str]]


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


def test_rows_survive_kill_9_right_after_append(collect: Starter, open_spool: Opener) -> None:
    assert collect("killed", 20, "die").wait(20) == -signal.SIGKILL
    heir = open_spool("heir")
    assert heir.adopt() == 20
    assert epochs(heir) == list(range(1, 21))


def test_a_collector_that_comes_back_finds_its_rows(open_spool: Opener, spool_path: Path) -> None:
    first = open_spool("me")
    append(first, 1)
    first.close()
    assert [file.name for file in spool_path.parent.iterdir()] == ["spool.db"]
    assert epochs(open_spool("me")) == [1]


def test_exactly_one_of_several_adopts(collect: Starter, open_spool: Opener, spool_path: Path) -> None:
    heirs = [collect(f"heir {number}", 0, "adopt") for number in range(3)]
    collect("dead", 50, "die").wait(20)
    assert [says(heir) for heir in heirs] == ["ready"] * 3
    for heir in heirs:
        tell(heir)
    assert sorted(int(says(heir)) for heir in heirs) == [0, 0, 50]
    assert not list(spool_path.parent.glob("*dead*"))
    for heir in heirs:
        tell(heir)
        assert heir.wait(10) == 0
    assert open_spool().adopt() == 50  # what a heir did not ship is inherited again
    assert not list(spool_path.parent.glob("*heir*"))


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_live_collector_keeps_its_rows(collect: Starter, open_spool: Opener, state: str) -> None:
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


def test_two_processes_append_to_one_file_at_the_same_time(collect: Starter, open_spool: Opener) -> None:
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


def test_any_id_may_name_a_collector(open_spool: Opener, spool_path: Path) -> None:
    append(open_spool("host/7:€ %2F"), 1)
    assert open_spool().adopt() == 0
    assert all(file.parent == spool_path.parent for file in spool_path.parent.rglob("*"))
