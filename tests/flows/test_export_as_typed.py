"""`flows/export.py` as a person types it and as Prefect runs it."""

import json
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests import archive, commands
from tests.archive import DAY
from tests.stored_rows import rows

pytestmark = pytest.mark.commands

DAYS = 3
RANGE = ["--start", "2026-01-10", "--end", "2026-01-13"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of four hours in each of three days."""
    folder = tmp_path_factory.mktemp("typed")
    for day in range(DAY, DAY + DAYS * 86_400, 86_400):
        archive.make(folder / "depth.db", rows(day, day + 14_400))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Give what a person finds in a folder, hidden files too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", ["parquet", "csv", "tardis"])
def test_an_export_that_is_killed_and_run_again_gives_the_same_bytes(form: str, folder: Path, tmp_path: Path) -> None:
    """With kill -9 while a day is being written: no half file is seen, and nothing is left of it."""
    arguments = [*RANGE, "--format", form, "--out"]
    undisturbed = commands.run("export", [*arguments, str(tmp_path / "one")], folder)
    assert undisturbed.code == 0, undisturbed.err
    whole = contents(tmp_path / "one")
    assert len(whole) == (DAYS if form == "parquet" else 2 * DAYS)

    broken = tmp_path / "two"
    with commands.running("export", [*arguments, str(broken)], folder, {}) as process:
        until = time.monotonic() + 60
        while not list(broken.glob("**/date=2026-01-11/.*.part")):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    left = contents(broken)
    assert len(left) < len(whole)
    parts = {name for name in left if name.endswith(".part")}
    assert {name: left[name] for name in left.keys() - parts} == {name: whole[name] for name in left.keys() - parts}
    again = commands.run("export", [*arguments, str(broken)], folder)
    assert again.code == 0, again.err
    assert contents(broken) == whole


@pytest.mark.alone
def test_a_run_leaves_the_list_of_its_files(prefect_api: str, folder: Path, tmp_path: Path) -> None:
    """On a server: a flow run whose task writes, and a table of what was written; a failure says its one line."""
    out = ["--out", str(tmp_path / "files")]
    ended = commands.run("export", [*RANGE, *out], folder, PREFECT_API_URL=prefect_api)
    assert ended.code == 0, ended.err
    assert len(contents(tmp_path / "files")) == DAYS
    filters = {"artifacts": {"key": {"any_": ["exports"]}}}
    [artifact] = httpx.post(f"{prefect_api}/artifacts/filter", json=filters).json()
    found = json.loads(artifact["data"])
    assert [(row["day"], row["rows"], row["state"]) for row in found] == [
        (f"2026-01-1{number}", 14_400, "written") for number in range(DAYS)
    ]
    assert [(tmp_path / "files" / row["file"]).stat().st_size for row in found] == [row["bytes"] for row in found]

    failed = commands.run("export", [*RANGE, "--symbols", "DOGE/USDT", *out], folder, PREFECT_API_URL=prefect_api)
    assert failed.code == 2
    assert "\nerror: DOGE/USDT was never collected" in failed.err
    runs = httpx.post(
        f"{prefect_api}/flow_runs/filter",
        json={"flows": {"name": {"any_": ["export"]}}, "sort": "EXPECTED_START_TIME_ASC"},
    ).json()
    assert [run["state"]["name"] for run in runs] == ["Completed", "Failed"]
    assert runs[0]["state"]["message"].startswith("3 files, 3 of them written, ")
