"""What is SQLite's own: the file, its locks, its errors, its layout."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from depth.errors import StoreRefused, StoreUnavailable
from depth.record import Record
from depth.storage import sqlfile
from depth.storage.sqlite import SqliteStore

T = "binance_btc_depth"
GARBAGE = {
    "short": b"not a database",
    "long": b"\x7fELF" * 9_000,
    "header alone": b"SQLite format 3\0" + b"\xff" * 9_000,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folders" / "depth.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.ensure_table(T, ["price", "covered"])
    yield store
    await store.close()


def row(key: str = "1", price: str = "1") -> Record:
    return Record(key, {"price": price})


async def test_the_file_is_laid_out_as_documented(store: SqliteStore, path: Path) -> None:
    """8 KiB pages, WAL, an ordinary rowid table with TEXT columns: what other tools read."""
    await store.write(T, [row("8231945634#BTCUSDT", "90538.465")])
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA page_size").fetchone() == (8192,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("SELECT rowid, * FROM binance_btc_depth").fetchall() == [
            (1, "8231945634#BTCUSDT", "90538.465", None)
        ]
        columns = db.execute("SELECT name, type, pk FROM pragma_table_info('binance_btc_depth')").fetchall()
        assert columns == [("row_key", "TEXT", 1), ("price", "TEXT", 0), ("covered", "TEXT", 0)]


async def test_commits_reach_the_disk(store: SqliteStore) -> None:
    """synchronous=FULL (2): an acknowledged row survives a power cut."""
    assert await store._run(lambda: store._open().execute("PRAGMA synchronous").fetchone()) == (2,)


@pytest.mark.parametrize("name", GARBAGE)
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(GARBAGE[name])
    store = SqliteStore(path)
    for call in (store.ensure_table(T, ["price"]), store.write(T, [row()]), store.get(T, "1")):
        with pytest.raises(StoreRefused, match=r"depth\.db: file is not a database.*move it away"):
            await call
    await store.close()
    assert path.read_bytes() == GARBAGE[name]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_reading_creates_no_file(path: Path) -> None:
    store = SqliteStore(path)
    for call in (store.get(T, "1"), anext(store.keys(T, "0", "9")), store.write(T, [row()])):
        with pytest.raises(StoreRefused, match=r"no database .*depth\.db.*start the collector once"):
            await call
    await store.close()
    assert not path.parent.exists()


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = SqliteStore(tmp_path / "file" / "depth.db")
    with pytest.raises(StoreRefused, match=r"cannot make the folder .*/file .*right to write"):
        await store.ensure_table(T, ["price"])
    await store.close()


async def test_a_read_only_disk_is_refused(read_only_disk: Path) -> None:
    store = SqliteStore(read_only_disk / "depth.db")
    with pytest.raises(StoreRefused, match="right to write"):
        await store.ensure_table(T, ["price"])
    await store.close()


async def test_a_full_disk_is_transient_and_keeps_what_was_acknowledged(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "depth.db")
    await store.ensure_table(T, ["price"])
    await store.write(T, [row("first")])
    with pytest.raises(StoreUnavailable, match=f"disk is full.*free disk space under {small_disk}"):
        await store.write(T, [row(str(key), "9" * 2**20) for key in range(60)])
    assert [key async for key in store.keys(T, "", "~")] == ["first"]
    await store.close()


async def test_a_locked_file_is_transient_and_never_blocks_the_loop(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlfile, "BUSY_SECONDS", 0.5)
    second = SqliteStore(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(second.write(T, [row()]))
        longest, last = 0.0, asyncio.get_running_loop().time()
        while not writing.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, (now := asyncio.get_running_loop().time()) - last), now
        with pytest.raises(StoreUnavailable, match="database is locked"):
            await writing
        assert longest < 0.3
        assert await second.get(T, "1") is None  # readers go on
    await second.write(T, [row()])
    assert await store.get(T, "1") == row()
    await second.close()


@pytest.mark.usefixtures("store")
async def test_a_write_behind_another_has_waited_for_the_lock_as_well(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four at once fail after one patience, and not after four."""
    monkeypatch.setattr(sqlfile, "BUSY_SECONDS", 1.0)
    second = SqliteStore(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = asyncio.get_running_loop().time()
        failed = await asyncio.gather(*(second.write(T, [row()]) for _ in range(4)), return_exceptions=True)
        assert asyncio.get_running_loop().time() - began < 3
    assert [str(error) for error in failed if "database is locked" not in str(error)] == []
    await second.close()


@pytest.mark.usefixtures("store")
async def test_closing_gives_up_a_write_that_waits_for_a_lock(path: Path) -> None:
    second = SqliteStore(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(second.write(T, [row()]))
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await second.close()
        assert asyncio.get_running_loop().time() - began < 1
        with pytest.raises(StoreUnavailable, match="database is locked"):
            await writing


async def test_an_older_file_gets_the_columns_it_lacks(store: SqliteStore) -> None:
    await store.write(T, [row()])
    await store.ensure_table(T, ["price", "event_time", "update_id"])
    new = Record("2", {"price": "2", "event_time": "3", "update_id": "4"})
    await store.write(T, [new])
    assert [found async for found in store.scan(T, "0", "9")] == [row(), new]


async def test_a_column_that_the_table_lacks_is_refused(store: SqliteStore) -> None:
    with pytest.raises(StoreRefused, match=r"no column named bogus.*start the collector once"):
        await store.write(T, [Record("1", {"bogus": "1"})])


async def test_the_table_of_another_program_is_refused(store: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (id INTEGER)")
    with pytest.raises(StoreRefused, match="theirs is not ours"):
        await store.ensure_table("theirs", ["price"])


async def test_a_bulk_with_a_mistake_leaves_nothing_behind(store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="without `covered`"):
        await store.write(T, [row("1"), Record("2", {"price": "2"}, version=1000)])
    assert await store.get(T, "1") is None


async def test_a_name_with_a_quote_never_reaches_sql(store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="is no name"):
        await store.get('x"; DROP TABLE y; --', "1")


async def test_rows_are_never_acknowledged_into_a_deleted_file(store: SqliteStore, path: Path) -> None:
    await store.write(T, [row()])
    path.unlink()
    with pytest.raises(StoreRefused, match="no database"):
        await store.write(T, [row("2")])
    await store.ensure_table(T, ["price"])
    await store.write(T, [row("3")])
    assert [key async for key in store.keys(T, "0", "9")] == ["3"]


async def test_a_reader_between_two_pages_holds_no_snapshot(store: SqliteStore, path: Path) -> None:
    """An open cursor would keep the write-ahead log from being emptied, and it would grow."""
    await store.write(T, [row(f"{key:04}") for key in range(1_500)])
    reader = store.scan(T, "0", "9")
    await anext(reader)
    with closing(sqlite3.connect(path)) as db:
        busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy
    assert path.with_name("depth.db-wal").stat().st_size == 0


def test_eight_processes_may_begin_one_file(path: Path) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from depth.record import Record\nfrom depth.storage.sqlite import SqliteStore\n"
        "async def main():\n"
        " store = SqliteStore(Path(sys.argv[1]))\n"
        f" await store.ensure_table('{T}', ['price', sys.argv[2]])\n"
        f" await store.write('{T}', [Record(sys.argv[2], {{'price': '1', sys.argv[2]: '2'}})])\n"
        " await store.close()\n"
        "asyncio.run(main())"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, path, f"column{number}"]) for number in range(8)]
    assert [child.wait(30) for child in children] == [0] * 8
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM binance_btc_depth").fetchone() == (8,)
