"""`make growth`: how much a day of one live collector adds to Prefect's database, at default settings.

Runs the stack in a folder of its own on free ports for ten minutes (MINUTES) from the collector's first row on. The
first minute is not counted: a server and a collector that start write more than they do later. Exit 1 where a day would
add 250 MB or more, or where nothing was collected.
"""

import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from deploy.local.stack import DATA, Stack, say, up

LIMIT_MB = 250
_DAY_SECONDS = 86_400
_TABLE = "binance_btc_depth"
_FIRST_ROW_SECONDS = 300.0
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
        before, collected, began = size(folder), rows(folder), time.monotonic()
        time.sleep(max(60.0, seconds - 60))
        grown, took = size(folder) - before, time.monotonic() - began
        collected = rows(folder) - collected
    finally:
        Stack(folder, os.environ).down()
    daily = grown / took * _DAY_SECONDS / 1e6
    say(f"{grown / 1e6:.2f} MB in {took:.0f} s, {collected} rows stored: {daily:.0f} MB a day of {LIMIT_MB} MB allowed")
    return 0 if daily < LIMIT_MB and collected > _COLLECTED_SHARE * took else 1


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
