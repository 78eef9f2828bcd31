"""`flows/report.py`: what it says, what it makes, and that it is light to import."""

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import settings
from depth import tables
from depth.record import Record
from depth.snapshot import Snapshot
from depth.tables import META_KEY, TableMeta
from flows import report
from tasks.reports import build_report
from tests import archive, commands
from tests.archive import DAY
from tests.stored_rows import TABLE, rows


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a database that is not there, and no Prefect server; stand in the folder."""
    path = tmp_path / "depth.db"
    monkeypatch.setenv("SQLITE_PATH", str(path))
    for name in ("DB_BACKEND", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return path


async def add_another(path: Path, symbol: str) -> None:
    """Begin a table for another symbol, with a copy of the rows."""
    table = replace(TABLE, name=tables.depth_table(symbol), symbol=symbol)
    async with archive.opened(path) as store:
        for name in (table.name, tables.collectors_table(table.name)):
            await store.ensure_table(name, tables.columns(name))
        meta = TableMeta(symbol, "binance", table.grid)
        await store.create(tables.collectors_table(table.name), Record(META_KEY, {"value": meta.text()}))
        market = symbol.partition("/")[0]
        copied = [record async for record in store.scan(TABLE.name, "0", "A")]
        renamed = [Record(record.key.replace("BTC", market), record.columns) for record in copied]
        await store.write(table.name, renamed)


def make(path: Path, made: Iterable[Snapshot]) -> None:
    """Store rows."""
    archive.make(path, made)


def test_the_page_is_written_where_a_person_says(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Below the folder where he stands; one line says what is in it, standard output stays empty."""
    make(database, rows(DAY, DAY + 600))
    assert report.main(["--date", "2026-01-10", "--out", "some/where.html"]) == 0
    page = database.parent / "some" / "where.html"
    assert page.read_text().startswith("<!doctype html>")
    shown = capsys.readouterr()
    assert f"BTC/USDT: 600 rows, coverage 0.694%, report in {page}" in shown.err
    assert shown.out == ""
    assert [path.name for path in page.parent.iterdir()] == ["where.html"]


def test_every_table_has_a_page(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named by symbol and date; one name for two pages is refused before anything is written."""
    make(database, rows(DAY, DAY + 60))
    asyncio.run(add_another(database, "ETH/USDT"))
    date = ["--date", "2026-01-10"]
    assert report.main([*date, "--out", "{symbol}-{date}.html"]) == 0
    assert sorted(path.name for path in database.parent.glob("*.html")) == [
        "BTC-USDT-2026-01-10.html",
        "ETH-USDT-2026-01-10.html",
    ]
    capsys.readouterr()
    assert report.main([*date, "--out", "page.html"]) == 2
    said = "error: --out names one page for binance_btc_depth, binance_eth_depth: put {symbol} into it, or name one of"
    assert said in capsys.readouterr().err
    assert not (database.parent / "page.html").exists()
    assert report.main([*date, "--symbols", "ETH/USDT", "--out", "page.html"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "the following arguments are required: --out"),
        (["--out", "{day}.html"], 2, "--out: knows {symbol} and {date} alone: write other braces twice"),
        (["--out", "a.html", "--date", "2026-01-10T12:00"], 2, "--date: is no whole day: write 2026-01-10"),
        (["--out", "a.html", "--date", "today"], 2, "--date: 'today' is no time: write"),
        (["--out", "a.html", "--date", "2200-01-01"], 2, "--date: 2200-01-01 has not begun: give an earlier one"),
        (
            ["--out", "a.html", "--date", "2026-01-11"],
            1,
            "no row of BTC/USDT is stored of 2026-01-11: there is nothing",
        ),
        (["--out", "a.html"], 1, "no row of BTC/USDT is stored of"),
        (["--out", "a.html", "--symbols", "DOGE/USDT"], 2, "DOGE/USDT was never collected, there is no table"),
        (
            ["--out", "depth.db/a.html", "--date", "2026-01-10"],
            1,
            "depth.db/a.html (File exists): make room or name",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], code: int, said: str, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its exit code; nothing is written, no traceback."""
    make(database, rows(DAY, DAY + 5))
    assert report.main(arguments) == code
    captured = capsys.readouterr()
    [line] = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert said in line
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert not (database.parent / "a.html").exists()


def test_without_a_date_the_last_whole_day_is_drawn(database: Path) -> None:
    """Today's page has to be asked for, and is drawn as far as the day is."""
    midnight = int(time.time()) // 86_400 * 86_400
    make(database, [*rows(midnight - 100, midnight - 50), *rows(midnight, midnight + 1)])
    assert report.main(["--out", "{date}.html"]) == 0
    [page] = database.parent.glob("*.html")
    assert page.name == f"{time.strftime('%Y-%m-%d', time.gmtime(midnight - 1))}.html"


async def test_a_deployment_understands_a_relative_path_from_the_project_root(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the worker stands; a run that the next one has overtaken is skipped."""
    async with archive.opened(database) as store:
        await archive.fill(store, rows(DAY, DAY + 60))
    root = database.parent / "root"
    monkeypatch.setattr(settings, "PROJECT_ROOT", root)
    options = report.ReportOptions(out="data/{symbol}/{date}.html", date="2026-01-10")
    [written] = await report._report(options, build_report.fn, settings.PROJECT_ROOT)
    assert written.file == root / "data" / "BTC-USDT" / "2026-01-10.html"
    monkeypatch.setattr("flows._command.is_overtaken", lambda period: period == 86_400)
    assert (await report.report.fn(report.ReportOptions(out="a.html"))).name == "Skipped"


def test_a_crash_hook_imports_neither_arrow_nor_plotly() -> None:
    """The worker imports a flow's file after a crash, and has to be quick."""
    code = "import sys, flows.report; sys.exit(len({'pyarrow', 'numpy', 'plotly', 'PIL'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.alone
def test_a_run_leaves_a_link_and_a_thumbnail(prefect_api: str, database: Path) -> None:
    """On a server: where the page is, and a picture that the UI shows; a failure says its one line."""
    make(database, rows(DAY, DAY + 600))
    arguments = ["--date", "2026-01-10", "--out", "page.html"]
    ended = commands.run("report", arguments, database.parent, PREFECT_API_URL=prefect_api)
    assert ended.code == 0, ended.err
    page = database.parent / "page.html"
    found = {}
    for key in ("report-btc-usdt", "heat-map-btc-usdt"):
        filters = {"artifacts": {"key": {"any_": [key]}}}
        [found[key]] = httpx.post(f"{prefect_api}/artifacts/filter", json=filters).json()
    assert found["report-btc-usdt"]["data"] == f"[page.html]({page.as_uri()})"
    assert found["report-btc-usdt"]["description"].startswith("BTC/USDT: 600 rows, coverage 0.694%, report in ")
    assert found["heat-map-btc-usdt"]["type"] == "image"
    picture = found["heat-map-btc-usdt"]["data"]
    address = picture if isinstance(picture, str) and picture.startswith("data:") else json.loads(picture)["image_url"]
    kind, _, packed = address.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(packed).startswith(b"\x89PNG")

    failed = commands.run("report", ["--date", "2026-01-12", "--out", "b.html"], database.parent, PREFECT_API_URL=prefect_api)  # fmt: skip  # noqa: E501
    assert failed.code == 1
    assert "\nerror: no row of BTC/USDT is stored of 2026-01-12" in failed.err
