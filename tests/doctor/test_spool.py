"""What the doctor says of the spool and its disk."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from depth.doctor import spool
from depth.epochs import Grid
from depth.plan import Plan
from depth.storage.spool import Spool
from tests.doctor.conftest import the
from tests.spooling import B, T, append


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"NO SMALL DISK, ITS TEST DOES NOT RUN: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_with_room_is_ok_and_stays_empty(plan: Plan) -> None:
    found = spool.check(plan)
    assert {finding.level for finding in found} == {"ok"}, found
    assert "24 h of rows take 99 MB" in the("space", found).text
    assert list(plan.spool_path.parent.iterdir()) == []


def test_the_spool_of_a_live_collector_is_ok(plan: Plan) -> None:
    """It is looked at beside the collector, which holds it open."""
    live = Spool(plan.spool_path, "live", 2**30)
    live.open()
    append(live, int(time.time()))
    live.acknowledge(B, [], {T: int(time.time())})
    assert the("spool", spool.check(plan)).level == "ok"
    append(live, int(time.time()))
    live.close()


def test_rows_that_have_waited_for_long_are_a_warning(plan: Plan) -> None:
    live = Spool(plan.spool_path, "live", 2**30)
    live.open()
    now = int(time.time())
    append(live, now)
    live.acknowledge(B, [], {T: now - 1000})
    live.close()
    found = the("spool", spool.check(plan))
    assert found.level == "warn"
    assert "rows of 1000 s wait" in found.text


def test_a_folder_that_cannot_be_written_fails(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = the("spool", spool.check(replace(plan, spool_path=tmp_path / "file" / "spool.db")))
    assert found.level == "fail"
    assert "SPOOL_PATH" in found.text


def test_a_file_that_is_no_spool_fails_and_is_left_alone(plan: Plan) -> None:
    plan.spool_path.write_bytes(b"letters " * 1000)
    assert the("spool", spool.check(plan)).level == "fail"
    assert plan.spool_path.read_bytes() == b"letters " * 1000


def test_a_disk_without_room_for_a_day_fails(plan: Plan, small_disk: Path) -> None:
    found = the("space", spool.check(replace(plan, spool_path=small_disk / "spool.db")))
    assert found.level == "fail"
    assert "2 MB are free" in found.text
    assert "free some, or move SPOOL_PATH" in found.text


def test_a_limit_without_room_for_a_day_is_a_warning(plan: Plan) -> None:
    """More symbols and more buckets need more."""
    many = replace(plan, symbols=("BTC/USDT", "ETH/USDT"), grid=Grid(steps=200))
    found = the("space", spool.check(many))
    assert found.level == "warn"
    assert "raise SPOOL_MAX_MB" in found.text
