"""`python -m tests.faults [--only TEXT] [--page FILE]`: play the faults, and write the page of them."""

import argparse
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.faults.fault import Fault
from tests.faults.page import line, page
from tests.faults.played import Played, play
from tests.faults.table import FAULTS

_IDLE_AT_ONCE = 6


def main() -> int:
    """Exit 0 where all is as it must be, 1 where not."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", default="", help="faults whose section or name holds this text")
    parser.add_argument("--page", type=Path, help="file to write the results to")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if options.only in fault.name or options.only == fault.section]
    if not chosen:
        parser.error(f"no fault has {options.only!r} in its name")
    began = time.monotonic()
    results = _all(chosen)
    if options.page:
        options.page.write_text(page(results, time.monotonic() - began), encoding="utf-8")
    broken = sum(played.verdict == "broken" for played in results)
    sys.stdout.write(f"{len(results)} faults in {time.monotonic() - began:.0f} s, {broken} broken\n")
    return 1 if broken else 0


def _all(chosen: list[Fault]) -> list[Played]:
    """Those that wait together, those that reckon one a core, those that are measured one by one."""
    groups = (
        ([fault for fault in chosen if fault.idle and not fault.alone], _IDLE_AT_ONCE),
        ([fault for fault in chosen if not fault.idle and not fault.alone], os.cpu_count() or 1),
        ([fault for fault in chosen if fault.alone], 1),
    )
    results = [played for faults, jobs in groups for played in _told(play(faults, jobs))]
    return sorted(results, key=lambda played: FAULTS.index(played.fault))


def _told(results: Iterable[Played]) -> Iterable[Played]:
    for played in results:
        sys.stdout.write(line(played.fault, played) + "\n")
        sys.stdout.flush()
        yield played


if __name__ == "__main__":
    sys.exit(main())
