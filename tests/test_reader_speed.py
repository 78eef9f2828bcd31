"""How fast rows are read and exported: the best of three, on a machine without other work."""

import json
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from depth import reader, reading, rowkey
from depth.export.exporting import Export, Exported, days
from depth.export.formats import FORMATS
from depth.export.places import Place
from depth.storage.bigtable import BigtableStore
from tests import archive
from tests.archive import DAY
from tests.stored_rows import SYMBOL, TABLE, rows

pytestmark = pytest.mark.alone

PIECE = 10_800


async def best(work: Callable[[], Awaitable[int]], count: int) -> float:
    """Give the seconds of the best of three."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        assert await work() == count
        seconds.append(time.perf_counter() - began)
    print(f"{[round(each, 2) for each in seconds]} s")  # noqa: T201  # pytest -rP shows it
    return min(seconds)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day."""
    path = tmp_path_factory.mktemp("day") / "depth.db"
    for start in range(DAY, DAY + 86_400, PIECE):
        archive.make(path, rows(start, start + PIECE))
    return path


async def test_a_day_is_loaded_about_as_fast_as_its_json_is_parsed(database: Path) -> None:
    """86,400 rows with all columns from SQLite; 2 s where the standard library reads and parses them in 1.6."""

    async def parse() -> int:
        with closing(sqlite3.connect(database)) as db:
            found = db.execute(f"SELECT * FROM {TABLE.name}").fetchall()  # noqa: S608  # ours
            column = [name for _, name, *_ in db.execute(f"PRAGMA table_info({TABLE.name})")].index("orderbook")
        return len([json.loads(row[column]) for row in found])

    async def load() -> int:
        return len(reader.load(DAY, DAY + 86_400, store=database))

    assert await best(load, 86_400) <= 1.25 * await best(parse, 86_400)


async def test_a_day_is_exported_in_five_seconds(database: Path, tmp_path: Path) -> None:
    """86,400 rows from SQLite to Parquet."""

    async def work() -> int:
        found: list[Exported] = []
        async with archive.opened(database) as store:
            [table] = await reading.find(store, [SYMBOL])
            place = Place(tempfile.mkdtemp(dir=tmp_path))
            await Export(table, place, FORMATS["parquet"], list(days(DAY, DAY + 86_400)), found.append).run()
        [one] = found
        return one.about.rows if one.about else 0

    assert await best(work, 86_400) <= 5


async def test_the_reader_is_nearly_as_fast_as_a_plain_scan(bigtable_host: str) -> None:
    """On Bigtable within 1.5 times of reading keys and values and doing nothing with them."""
    store = BigtableStore("project", "reader-speed", None, bigtable_host)
    try:
        await archive.fill(store, rows(DAY, DAY + PIECE))
        [table] = await reading.find(store, [SYMBOL])

        async def plain() -> int:
            return len([record async for record in store.scan(TABLE.name, *rowkey.bounds(DAY, DAY + PIECE))])

        async def read() -> int:
            return sum([batch.num_rows async for batch in table.batches(DAY, DAY + PIECE)])

        assert await best(read, PIECE) <= 1.5 * await best(plain, PIECE)
    finally:
        await store.close()
