"""Days as files: what they hold, when they are written again, and where they can go."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from depth import reader, reading, rowkey
from depth.errors import DestinationRefused, UsageError
from depth.export.exporting import DAY_SECONDS, Export, Exported, days
from depth.export.formats import FORMATS
from depth.export.places import Place
from depth.gaps import Interval
from depth.ledger import UNKNOWN
from depth.storage.base import Store
from tests import archive
from tests.archive import DAY, LOST, some
from tests.stored_rows import SYMBOL, TABLE, rows, store_rows

FOLDER = "exchange=binance/symbol=BTC-USDT/date=2026-01-10"
TWO_HOURS = (DAY + 3600, DAY + 10_800)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hours of rows, with a gap."""
    return archive.make(tmp_path_factory.mktemp("archive") / "depth.db", some(DAY, DAY + 10_800), [LOST])


async def exported(store: Store, place: Path | str, form: str = "parquet", span: Sequence[int] = TWO_HOURS) -> list[Exported]:  # fmt: skip  # noqa: E501
    """Export the one table."""
    [table] = await reading.find(store, [SYMBOL])
    found: list[Exported] = []
    spans = list(days(*span))
    export = Export(table, Place(str(place)), FORMATS[form], spans, found.append)
    assert str(export) == f"{len(spans)} days of binance_btc_depth"
    assert await export.run() == sum(one.state == "written" for one in found)
    assert await export.run() == 0
    return found


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Write as Arrow does what others hold in a way of their own: NaN, NaT, arrays, tuples."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("buckets"):
            found[name] = [None if pd.isna(one) else one for one in value]
        elif name not in ("exchange", "symbol", "date"):
            found[name] = None if pd.isna(value) else value
    return found


async def test_parquet_is_read_back_row_by_row(database: Path, tmp_path: Path) -> None:
    """By DuckDB, polars and pandas: what `load` gives, nulls and all, without a row in the gap."""
    async with archive.opened(database) as store:
        [one] = await exported(store, tmp_path)
    loaded = reader.load(*TWO_HOURS, store=database)
    truth = loaded.to_pylist()
    assert len(truth) == 7_200 - 600
    assert any(None in row["bid_buckets"] and None not in row["bid_buckets"][:25] for row in truth)

    pattern = f"{tmp_path}/**/*.parquet"
    assert pl.read_parquet(pattern, hive_partitioning=False).to_dicts() == truth
    found = duckdb.execute("FROM read_parquet(?, hive_partitioning=false)", [pattern]).fetchall()
    assert [plain(dict(zip(loaded.schema.names, row, strict=True))) for row in found] == truth
    assert [plain(row) for row in pd.read_parquet(tmp_path).to_dict("records")] == truth
    table = pq.read_table(tmp_path / one.file)
    assert table.replace_schema_metadata(None).equals(loaded.replace_schema_metadata(None))
    assert one.size == (tmp_path / one.file).stat().st_size


async def test_the_layout_is_one_of_hive(database: Path, tmp_path: Path) -> None:
    """Exchange, symbol and day are columns for who reads the directory."""
    async with archive.opened(database) as store:
        await exported(store, tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.is_file()] == [
        f"{FOLDER}/depth.parquet"
    ]
    [found] = duckdb.execute(
        "SELECT DISTINCT exchange, symbol, date FROM read_parquet(?)", [f"{tmp_path}/**/*.parquet"]
    ).fetchall()
    assert found == ("binance", "BTC-USDT", datetime(2026, 1, 10, tzinfo=UTC).date())


async def test_csv_is_read_back_row_by_row(database: Path, tmp_path: Path) -> None:
    """By DuckDB, polars and pandas; every bucket a column, empty where not known."""
    async with archive.opened(database) as store:
        [one] = await exported(store, tmp_path, "csv")
    truth = []
    for row in reader.load(*TWO_HOURS, store=database).to_pylist():
        flat: dict[str, Any] = {}
        for name, value in row.items():
            side = name.removesuffix("_buckets")
            flat |= {name: value} if side == name else {f"{side}_{i}": money for i, money in enumerate(value)}
        truth.append(flat)
    path = tmp_path / one.file
    times = ["time", "event_time", "received_at"]

    frame = pl.read_csv(path, try_parse_dates=True)
    assert frame.to_dicts() == truth
    found = duckdb.execute("FROM read_csv(?, hive_partitioning=false)", [str(path)])
    names = [column[0] for column in found.description]
    assert [dict(zip(names, row, strict=True)) for row in found.fetchall()] == truth
    records = pd.read_csv(path, parse_dates=times).to_dict("records")
    assert [plain(row) for row in records] == truth


@pytest.mark.parametrize("form", list(FORMATS))
async def test_the_file_tells_of_itself(form: str, database: Path, tmp_path: Path) -> None:
    """Grid, coverage, every gap with its cause, the software: inside a Parquet file, beside the others."""
    async with archive.opened(database) as store:
        [one] = await exported(store, tmp_path, form)
    path = tmp_path / one.file
    told = pq.read_metadata(path).metadata[b"depth"] if form == "parquet" else path.with_name(f"{path.name}.json").read_bytes()  # fmt: skip  # noqa: E501
    assert json.loads(told) == {
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "table": "binance_btc_depth",
        "step": 0.00002,
        "steps": 40,
        "interval": 1,
        "start": DAY + 3600,
        "end": DAY + 10_800,
        "expected": 7200,
        "rows": 6600,
        "coverage": 6600 / 7200,
        "gaps": [{"start": LOST.start, "end": LOST.end, "missing": 600, "cause": "disconnect"}],
        "software": "depth-collector 0.1.0",
    }


@pytest.mark.parametrize("form", list(FORMATS))
async def test_the_same_rows_give_the_same_bytes(form: str, database: Path, tmp_path: Path) -> None:
    """In another place, at another time; where the file is there already, nothing is written."""
    async with archive.opened(database) as store:
        [one] = await exported(store, tmp_path / "one", form)
        [two] = await exported(store, tmp_path / "two", form)
        before = (tmp_path / "one" / one.file).stat()
        [again] = await exported(store, tmp_path / "one", form)
    assert (one.state, two.state, again.state) == ("written", "written", "unchanged")
    assert (tmp_path / "one" / one.file).read_bytes() == (tmp_path / "two" / one.file).read_bytes()
    assert (tmp_path / "one" / one.file).stat().st_mtime_ns == before.st_mtime_ns
    assert replace(again, state="written") == one


async def test_a_day_is_a_file(tmp_path: Path) -> None:
    """Cut at midnight UTC; a day without rows has none."""
    async with archive.opened(tmp_path / "depth.db") as store:
        await archive.fill(store, [*rows(DAY - 5, DAY + 5), *rows(DAY + 2 * DAY_SECONDS, DAY + 2 * DAY_SECONDS + 5)])
        found = await exported(store, tmp_path, span=(DAY - 10, DAY + 2 * DAY_SECONDS + 5))
    assert [(one.file[-26:-16], one.state, one.about.rows if one.about else None) for one in found] == [
        ("/date=2026-01-09/depth.parquet"[-26:-16], "written", 5),
        ("/date=2026-01-10/depth.parquet"[-26:-16], "written", 5),
        ("/date=2026-01-11/depth.parquet"[-26:-16], "empty", None),
        ("/date=2026-01-12/depth.parquet"[-26:-16], "written", 5),
    ]
    assert [one.day for one in found] == [DAY + DAY_SECONDS * number for number in (-1, 0, 1, 2)]
    assert [path.parent.name for path in sorted(tmp_path.rglob("*.parquet"))] == [
        "date=2026-01-09",
        "date=2026-01-10",
        "date=2026-01-12",
    ]


async def test_before_the_first_row_nothing_is_missing(tmp_path: Path) -> None:
    """Of the day on which a table began; a day later everything is due."""
    async with archive.opened(tmp_path / "depth.db") as store:
        await archive.fill(store, [*rows(DAY + 10, DAY + 20), *rows(DAY + DAY_SECONDS + 10, DAY + DAY_SECONDS + 20)])
        first, second = await exported(store, tmp_path, span=(DAY, DAY + DAY_SECONDS + 20))
    assert first.about is not None
    assert second.about is not None
    assert (first.about.expected, first.about.rows) == (DAY_SECONDS - 10, 10)
    assert [(gap.start, gap.cause) for gap in first.about.gaps] == [(DAY + 20, UNKNOWN)]
    assert (second.about.expected, second.about.rows, second.about.gaps[0].start) == (20, 10, DAY + DAY_SECONDS)


async def test_late_rows_and_new_causes_are_written(tmp_path: Path) -> None:
    """What the file would say has changed."""
    async with archive.opened(tmp_path / "depth.db") as store:
        await archive.fill(store, [row for row in rows(DAY, DAY + 20) if row.epoch not in (DAY + 7, DAY + 9)])
        states = [(await exported(store, tmp_path, span=(DAY, DAY + 20)))[0].state]
        await archive.store_ledger(store, [replace(LOST, start=DAY + 7, end=DAY + 8, missing=1)])
        states += [(await exported(store, tmp_path, span=(DAY, DAY + 20)))[0].state for _ in range(2)]
        await store_rows(store, rows(DAY + 9, DAY + 10))
        states += [(await exported(store, tmp_path, span=(DAY, DAY + 20)))[0].state for _ in range(2)]
    assert states == ["written", "written", "unchanged", "written", "unchanged"]
    table = pq.read_table(tmp_path / FOLDER)
    assert table.num_rows == 19
    assert [
        gap["cause"]
        for gap in json.loads(pq.read_metadata(tmp_path / FOLDER / "depth.parquet").metadata[b"depth"])["gaps"]
    ] == ["disconnect"]


async def test_a_file_grows_and_never_shrinks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A narrower range takes nothing away; rows that the store has deleted stay in the file."""
    async with archive.opened(tmp_path / "depth.db") as store:
        await archive.fill(store, rows(DAY, DAY + 60))
        wide = await exported(store, tmp_path, span=(DAY + 10, DAY + 40))
        inside = await exported(store, tmp_path, span=(DAY + 20, DAY + 30))
        beside = await exported(store, tmp_path, span=(DAY + 50, DAY + 60))
        assert [one.state for [one] in (wide, inside, beside)] == ["written", "unchanged", "written"]
        assert beside[0].about is not None
        assert (beside[0].about.start, beside[0].about.end, beside[0].about.rows) == (DAY + 10, DAY + 60, 50)
        before = (tmp_path / wide[0].file).read_bytes()
        await store.delete(TABLE.name, [rowkey.encode(DAY + 11, SYMBOL)])
        with caplog.at_level(logging.WARNING):
            [kept] = await exported(store, tmp_path, span=(DAY + 10, DAY + 60))
    assert (kept.state, kept.about) == ("kept", beside[0].about)
    assert "holds 50 rows, the store has 49: it is kept" in caplog.text
    assert (tmp_path / wide[0].file).read_bytes() == before
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["depth.parquet"]


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("content", [b"", b"PAR1 but not really PAR1", b'{"rows":1}'])
async def test_a_file_of_another_program_is_written_anew(
    form: str, content: bytes, database: Path, tmp_path: Path
) -> None:
    """It says nothing that could be compared."""
    async with archive.opened(database) as store:
        [one] = await exported(store, tmp_path, form)
        path = tmp_path / one.file
        good = path.read_bytes()
        for each in path.parent.iterdir():
            each.write_bytes(content)
        [again] = await exported(store, tmp_path, form)
    assert again.state == "written"
    assert path.read_bytes() == good


@pytest.mark.parametrize("form", ["parquet", "csv"])
async def test_any_place_of_fsspec_will_do(form: str, database: Path, tmp_path: Path) -> None:
    """The same bytes as in a directory, nothing else, and the second time nothing is written."""
    files: Any = fsspec.filesystem("memory")
    files.store.clear()
    async with archive.opened(database) as store:
        [here] = await exported(store, tmp_path, form)
        [there] = await exported(store, "memory://bucket/depth", form)
        [again] = await exported(store, "memory://bucket/depth", form)
    assert (there.state, again.state) == ("written", "unchanged")
    assert files.cat_file(f"/bucket/depth/{there.file}") == (tmp_path / here.file).read_bytes()
    assert len(files.find("/bucket")) == (1 if form == "parquet" else 2)
    files.store.clear()


async def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    """A file where the directory should be; a protocol that nobody knows; a package that is missing."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DestinationRefused, match=r"cannot write to .*/file/out \(Not a directory\): make room or name"):
        Place(str(tmp_path / "file" / "out")).demand()
    with pytest.raises(UsageError, match=r"--out fax://1: Protocol not known: fax.*: give a directory, gs://"):
        Place("fax://1")
    with pytest.raises(UsageError, match=r"--out gs://bucket: .*gcsfs.*: add that package"):
        Place("gs://bucket")


async def test_a_table_with_a_suffix_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Its lists have another size: they are not to be read together."""
    table = replace(TABLE, name="binance_btc_depth_fine")
    found: list[Exported] = []
    async with archive.opened(tmp_path / "depth.db") as store:
        await archive.fill(store, rows(DAY, DAY + 5))
        await store.ensure_table(table.name, ("row_key", "price", "orderbook"))
        records = [record async for record in store.scan(TABLE.name, *rowkey.bounds(DAY, DAY + 5))]
        await store.ensure_table(table.name, tuple(records[0].columns))
        await store.write(table.name, records)
        table_reader = reading.TableReader(store, table, ())
        await Export(
            table_reader, Place(str(tmp_path)), FORMATS["parquet"], [Interval(DAY, DAY + 5)], found.append
        ).run()
    assert [one.file for one in found] == [f"{FOLDER}/depth_fine.parquet"]


def test_days_are_cut_at_midnight() -> None:
    """Half-open, without an empty one."""
    assert list(days(DAY, DAY)) == []
    assert list(days(DAY, DAY + DAY_SECONDS)) == [Interval(DAY, DAY + DAY_SECONDS)]
    assert list(days(DAY - 1, DAY + 1)) == [Interval(DAY - 1, DAY), Interval(DAY, DAY + 1)]


async def test_what_a_dead_process_left_is_taken_away(tmp_path: Path) -> None:
    """Of this machine; what a live one writes stays."""
    place = Place(str(tmp_path))
    with place.staging("day/depth.parquet") as part:
        mine = part.name
    folder = tmp_path / "day"
    dead = folder / mine.replace(mine.split(".")[-2], "4194305")
    other = folder / ".depth.parquet.elsewhere.1.part"
    alive = folder / mine.replace(mine.split(".")[-2], "1")
    for path in (dead, other, alive):
        path.write_bytes(b"half")
    with place.staging("day/depth.parquet"):
        assert sorted(path.name for path in folder.iterdir()) == sorted([other.name, alive.name])
