"""The reader as people call it: from a script, from a notebook, with the tools they know."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from depth import reader, rowkey, tables
from depth.errors import StoreRefused, UsageError
from depth.record import Record
from depth.summary import summarise
from tests import archive
from tests.archive import DAY, DOUBTED, LATE, LOST, some
from tests.stored_rows import SYMBOL, TABLE, rows

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README.split("## Read\n")[1].split("\n## ")[0], re.DOTALL)
MONDAY = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hours of rows, with a gap; a ledger and summaries."""
    path = tmp_path_factory.mktemp("archive") / "depth.db"
    return archive.make(path, some(DAY, DAY + 10_800), [LOST, LATE, DOUBTED], hours=3)


def test_the_store_is_the_one_of_the_settings(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the one given, by path or by options."""
    given = reader.load(DAY, DAY + 9, store=database)
    assert given.num_rows == 9
    monkeypatch.setenv("DB_BACKEND", "sqlite")
    monkeypatch.setenv("SQLITE_PATH", str(database))
    assert reader.load(DAY, DAY + 9).equals(given)
    assert reader.load(DAY, DAY + 9, "btc/usdt", store=reader.StoreOptions("sqlite", database)).equals(given)


async def test_it_works_inside_a_running_loop(database: Path) -> None:
    """As a notebook has one."""
    assert reader.load(DAY, DAY + 9, store=database).num_rows == 9


@pytest.mark.parametrize(
    "start", [DAY, str(DAY), "2026-01-10", MONDAY, MONDAY.astimezone(timezone(timedelta(hours=9)))], ids=repr
)
def test_a_time_may_be_written_in_many_ways(start: reader.Time, database: Path) -> None:
    """Text, seconds, a datetime with a zone."""
    table = reader.load(start, "2026-01-10T00:00:02Z", columns=["price"], store=database)
    assert table["time"].to_pylist() == [MONDAY, MONDAY + timedelta(seconds=1)]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda db: reader.load("yesterday", DAY, store=db), "'yesterday' is no time: write"),
        (lambda db: reader.load(DAY, DAY, store=db), "ends at 2026-01-10T00:00:00Z, not after its start"),
        (lambda db: reader.load(DAY, 0, store=db), "ends at 1970-01-01T00:00:00Z, not after its start"),
        (lambda db: reader.load(DAY * 1000, DAY * 1001, store=db), "seconds and not milliseconds"),
        (lambda db: reader.load(datetime(2026, 1, 1), DAY, store=db), "names no time zone: add tzinfo=UTC"),  # noqa: DTZ001
        (lambda db: reader.load(DAY, DAY + 1, "DOGE/USDT", store=db), "DOGE/USDT was never collected"),
        (lambda db: reader.load(DAY, DAY + 1, "DOGE", store=db), "which Bigtable cannot hold"),
        (lambda db: reader.load(DAY, DAY + 1, columns=["bids"], store=db), "no column bids: choose from time, price"),
        (lambda db: reader.load(DAY, DAY + 1, table_suffix="_5s", store=db), "no table binance_btc_depth_5s"),
        (lambda db: next(reader.iter_batches(DAY, DAY, store=db)), "not after its start"),
        (lambda db: reader.latest(0, store=db), "the latest 0 rows are none"),
        (lambda db: reader.load(DAY, DAY + 1, store=reader.StoreOptions("bigtable", db)), "needs BIGTABLE_PROJECT_ID"),
    ],
)
def test_a_bad_call_says_what_to_change(call: Callable[[Path], object], said: str, database: Path) -> None:
    """In one line."""
    with pytest.raises(UsageError) as raised:
        call(database)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    """A wrong path is an error, not an empty answer."""
    with pytest.raises(StoreRefused, match="no database"):
        reader.load(DAY, DAY + 1, store=tmp_path / "nowhere.db")
    assert list(tmp_path.iterdir()) == []


def test_a_range_without_rows_is_an_empty_table(database: Path) -> None:
    """With all its columns."""
    table = reader.load(DAY - 100, DAY, store=database)
    assert table.num_rows == 0
    assert table.schema == reader.load(DAY, DAY + 1, store=database).schema
    assert list(reader.iter_batches(DAY - 100, DAY, store=database)) == []


def test_batches_are_what_load_gives(database: Path) -> None:
    """A reader that stops early leaves nothing open."""
    whole = reader.load(DAY, DAY + 10_800, store=database)
    batches = reader.iter_batches(DAY, DAY + 10_800, store=database)
    first = next(batches)
    batches.close()  # type: ignore[attr-defined]  # a generator
    assert pa.Table.from_batches([first]).equals(whole.slice(0, first.num_rows))
    assert pa.Table.from_batches(list(reader.iter_batches(DAY, DAY + 10_800, store=database))).equals(whole)


def test_the_latest_rows(database: Path) -> None:
    """Oldest first."""
    assert reader.latest(5, store=database).equals(reader.load(DAY + 10_795, DAY + 10_800, store=database))


def test_pandas_polars_and_duckdb_see_what_was_stored(database: Path) -> None:
    """Row by row, nulls and all; an hour with a gap in the middle."""
    loaded = reader.load(DAY + 5_400, DAY + 9_000, store=database, fill_gaps=True)
    truth = loaded.to_pylist()
    assert pl.from_arrow(loaded).to_dicts() == truth  # type: ignore[union-attr]  # a frame
    found = duckdb.execute("FROM loaded").fetchall()
    assert [plain(dict(zip(loaded.schema.names, row, strict=True))) for row in found] == truth
    assert [plain(row) for row in loaded.to_pandas().to_dict("records")] == truth


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Write as Arrow does what others hold in a way of their own: NaN, NaT, arrays, tuples."""
    found = {}
    for name, value in row.items():
        if name.endswith("buckets"):
            found[name] = None if value is None else [None if pd.isna(one) else one for one in value]
        else:
            found[name] = None if pd.isna(value) else value
    return found


def test_summaries_are_flat(database: Path) -> None:
    """Names that a column can have; hours and gaps as times."""
    table = reader.summaries(DAY, DAY + 10_800, store=database)
    assert table["hour"].to_pylist() == [MONDAY + timedelta(hours=hour) for hour in range(3)]
    assert table["count"].to_pylist() == [3600, 3400, 3200]
    [gap] = table["gaps"].to_pylist()[1]
    assert gap == {"start": MONDAY + timedelta(seconds=7000), "end": MONDAY + timedelta(seconds=7200)}
    assert table["bid_profile"].type == pa.list_(pa.field("item", pa.float64()), 40)
    for name in ("mid_close", "spread_bps_p95", "bid_depth_min", "imbalance_p5", "cost_bps_sell_1000000"):
        assert table[name].type == pa.float64()
        assert table[name].null_count == 0


def test_gaps_keep_cause_and_times(database: Path) -> None:
    """Open, resolved and suspect."""
    assert reader.gaps(DAY, DAY + 10_800, store=database).to_pylist() == [
        {
            "start": datetime.fromtimestamp(entry.start, UTC),
            "end": datetime.fromtimestamp(entry.end, UTC),
            "missing": entry.missing,
            "cause": entry.cause,
            "detected_at": datetime.fromtimestamp(entry.detected_at, UTC),
            "resolved_at": None if entry.resolved_at is None else datetime.fromtimestamp(entry.resolved_at, UTC),
        }
        for entry in (DOUBTED, LATE, LOST)
    ]


def test_a_year_of_summaries_loads_in_a_second(tmp_path: Path) -> None:
    """8,760 hours."""
    hour = summarise(SYMBOL, DAY, TABLE.grid, rows(DAY, DAY + 60))
    records = [
        Record(
            rowkey.encode(DAY + 3600 * number, SYMBOL),
            {"summary": json.dumps({**hour, "hour": DAY + 3600 * number}, separators=(",", ":"))},
        )
        for number in range(8760)
    ]

    async def write() -> None:
        async with archive.opened(tmp_path / "depth.db") as store:
            await archive.fill(store, rows(DAY, DAY + 1))
            name = tables.hourly_table(TABLE.name)
            await store.ensure_table(name, tables.HOURLY_COLUMNS)
            await store.write(name, records)

    asyncio.run(write())
    began = time.process_time()
    table = reader.summaries(DAY, DAY + 366 * 86_400, store=tmp_path / "depth.db")
    assert time.process_time() - began < 1
    assert table.num_rows == 8760


@pytest.mark.parametrize("block", EXAMPLES)
def test_the_examples_of_the_readme_run(block: str, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand there; each gives rows."""
    monkeypatch.setenv("DB_BACKEND", "sqlite")
    monkeypatch.setenv("SQLITE_PATH", str(database))
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102  # our own README
    made = {name: names[name] for name in re.findall(r"^(\w+) = ", block, re.MULTILINE)}
    assert len(made) >= 4
    sizes = {name: value if isinstance(value, int) else len(value) for name, value in made.items()}
    assert sizes["day"] == 10_200
    assert min(sizes.values()) > 0
