"""`flows/export.py` without a server: what it says, what it makes, and that it is light to import."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from prefect.runtime import flow_run

import settings
from depth.snapshot import Snapshot
from flows import export
from tests import archive
from tests.archive import DAY
from tests.stored_rows import rows

WHOLE = ["--start", "2026-01-10", "--end", "2026-01-11"]


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a database that is not there, and no Prefect server; stand in the folder."""
    path = tmp_path / "depth.db"
    monkeypatch.setenv("SQLITE_PATH", str(path))
    for name in ("DB_BACKEND", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return path


def make(path: Path, made: Iterable[Snapshot]) -> None:
    """Store rows."""
    asyncio.run(_make(path, made))


async def _make(path: Path, made: Iterable[Snapshot]) -> None:
    async with archive.opened(path) as store:
        await archive.fill(store, made)


def test_a_person_is_shown_what_was_written(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Below the folder where he stands; a row a day within 80 columns, and one line in sum."""
    make(database, rows(DAY + 86_000, DAY + 86_410))
    command = ["--start", str(DAY + 86_000), "--end", "2026-01-12", "--out", "files/of/mine"]
    assert export.main(command) == 0
    shown = capsys.readouterr()
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    first, second = (line.split() for line in shown.out.splitlines()[1:])
    assert first[:5] == ["2026-01-10", "BTC/USDT", "400", "100.000%", "0"]
    assert second[:5] == ["2026-01-11", "BTC/USDT", "10", "0.012%", "1"]
    assert first[-1] == second[-1] == "written"
    assert "2 files, 2 of them written, " in shown.err
    assert len(list((database.parent / "files/of/mine").rglob("*.parquet"))) == 2
    assert export.main(command) == 0
    assert "2 files, 0 of them written, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([*WHOLE], 2, "the following arguments are required: --out"),
        ([*WHOLE, "--out", "files", "--format", "xls"], 2, "--format: Input should be 'parquet', 'csv' or 'tardis'"),
        (
            ["--start", "2026-01-11", "--end", "2026-01-10", "--out", "files"],
            2,
            "--end: is not after --start 2026-01-11",
        ),
        (["--start", "2200-01-01", "--out", "files"], 2, "is older than 30 s: give an earlier --start"),
        (["--start", "soon", "--out", "files"], 2, "--start: 'soon' is no time: write"),
        (["--days", "0", "--out", "files"], 2, "--days: Input should be greater than or equal to 1"),
        ([*WHOLE, "--out", "files", "--symbols", "DOGE/USDT"], 2, "DOGE/USDT was never collected, there is no table"),
        ([*WHOLE, "--out", "fax://files"], 2, "--out fax://files: Protocol not known: fax"),
        ([*WHOLE, "--out", "depth.db/files"], 1, "depth.db/files (Not a directory): make room or name another --out"),
        (
            ["--start", "2026-02-10", "--end", "2026-02-11", "--out", "files"],
            1,
            "no row of BTC/USDT is stored from 2026-02-10T00:00:00Z to 2026-02-11T00:00:00Z: nothing was written",
        ),
        (["--out", "files"], 1, "no row of BTC/USDT is stored from"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], code: int, said: str, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its exit code; nothing on standard output, no traceback."""
    make(database, rows(DAY, DAY + 5))
    assert export.main(arguments) == code
    captured = capsys.readouterr()
    [line] = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert said in line
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_missing_database_is_a_failure(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1; neither it nor a folder is made."""
    assert export.main([*WHOLE, "--out", "files"]) == 1
    assert f"error: no database {database}" in capsys.readouterr().err
    assert list(database.parent.iterdir()) == []


def test_without_a_start_the_last_whole_days_are_written(database: Path) -> None:
    """Up to midnight; of today nothing."""
    midnight = int(time.time()) // 86_400 * 86_400
    make(database, [*rows(midnight - 86_403, midnight - 86_398), *rows(midnight - 2, midnight + 3)])
    assert export.main(["--days", "2", "--out", "files"]) == 0
    assert [pq.read_metadata(path).num_rows for path in sorted(database.parent.rglob("*.parquet"))] == [3, 4]


async def test_a_deployment_understands_a_relative_path_from_the_project_root(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the worker stands."""
    await _make(database, rows(DAY, DAY + 5))
    root = database.parent / "root"
    root.mkdir()
    monkeypatch.setattr(settings, "PROJECT_ROOT", root)
    options = export.ExportOptions(start="2026-01-10", end="2026-01-11", out="data/export")
    assert len(await export._export(options, lambda one: one.run())) == 1
    assert len(list((root / "data" / "export").rglob("*.parquet"))) == 1


async def test_a_run_that_the_next_one_has_overtaken_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an absence of the worker the newest run does the work of all."""
    monkeypatch.setattr("flows._command.is_overtaken", lambda period: period == 86_400)
    assert (await export.export.fn(export.ExportOptions(out="files"))).name == "Skipped"
    assert flow_run.name is None


def test_a_crash_hook_imports_no_arrow() -> None:
    """The worker imports a flow's file after a crash, and has to be quick."""
    code = "import sys, flows.export; sys.exit('pyarrow' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
