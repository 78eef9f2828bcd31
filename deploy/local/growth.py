"""`make growth`: how much a day of one live collector adds to Prefect's database, at default settings.

Runs the stack in a folder of its own on free ports for ten minutes (MINUTES) from the collector's first row on. The
first minute is not counted: a server and a collector that start write more than they do later. What stays is counted:
each minute the server deletes the events of uploads, so the least of two minutes at the beginning is held against the
least of two minutes at the end. Exit 1 where a day would add 250 MB or more, or where nothing was collected.
"""

import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from deploy.local.stack import DATA, Stack, say, up

LIMIT_MB = 250
_DAY_SECONDS = 86_400
_TABLE = "binance_btc_depth"
_FIRST_ROW_SECONDS = 300.0
_VACUUMS_SECONDS = 120.0  # PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS, twice
_COLLECTED_SHARE = 0.9


def main(folder: Path = DATA / "growth") -> int:
    """Measure; give the exit code."""
    seconds = 60 * float(os.environ.get("MINUTES") or 10)
    Stack(folder, os.environ).down()
    shutil.rmtree(folder)
    if up(folder, os.environ | {"PORT": "0"}):
        return 1
    try:
        until = time.monotonic() + _FIRST_ROW_SECONDS
        while not rows(folder) and time.monotonic() < until:
            time.sleep(1)
        time.sleep(60)
        collected, began = rows(folder), time.monotonic()
        first = lowest(folder)
        time.sleep(max(0.0, seconds - 60 - 2 * _VACUUMS_SECONDS))
        last = lowest(folder)
        collected, took = rows(folder) - collected, time.monotonic() - began
    finally:
        Stack(folder, os.environ).down()
    grown, apart = last.bytes - first.bytes, last.at - first.at
    daily = grown / apart * _DAY_SECONDS / 1e6
    say(
        f"{grown / 1e6:.2f} MB in {apart:.0f} s, {collected} rows stored: {daily:.0f} MB a day of {LIMIT_MB} MB allowed"
    )
    return 0 if daily < LIMIT_MB and collected > _COLLECTED_SHARE * took else 1


class Size(NamedTuple):
    """What the server's database used at a monotonic time in seconds."""

    bytes: int
    at: float


def lowest(folder: Path) -> Size:
    """Watch for two minutes; give the least."""
    until, found = time.monotonic() + _VACUUMS_SECONDS, []
    while (now := time.monotonic()) < until:
        found.append(Size(size(folder), now))
        time.sleep(1)
    return min(found)


def size(folder: Path) -> int:
    """Give the bytes that the server's database uses, pages that wait in its log included."""
    with closing(sqlite3.connect(folder / "prefect" / "prefect.db")) as database:
        used, page = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        free = database.execute("PRAGMA freelist_count").fetchone()[0]
    return int((used - free) * page)


def rows(folder: Path) -> int:
    """Count the rows that were stored so far."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(folder / "simulated.db")) as database:
        return int(database.execute(f"SELECT count(*) FROM {_TABLE}").fetchone()[0])  # noqa: S608  # ours
    return 0


if __name__ == "__main__":
    sys.exit(main())
