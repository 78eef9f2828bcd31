"""The page of results, docs/RELIABILITY.md."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from benchmarks import machine
from tests.faults.elsewhere import ELSEWHERE, HOSTILE
from tests.faults.fault import Fault
from tests.faults.played import Played
from tests.faults.soak import RESULTS, SLOPE_MINUTES

_SOAK = """Both collectors side by side. Limits: no epoch missing, no row left in the spool, less than 1 MB more an hour
from a quarter of the run on, open files as they were, and in real time 250 ms from an epoch's end to its commit."""

_TEXT = """# Reliability

What was done to the collector, what must happen then, and what did. `make faults` plays every fault below and writes
this page; a fast part of it is in `make test`, and `make soak HOURS=2` runs the collector for hours.

In every row, or it is called **broken**: each stored row is the simulated exchange's own book of that second; each
missing second stands in the gap ledger with its cause; open files and tasks are no more afterwards than before; nobody
has to act but where it says so; nothing is logged with a traceback.

- Faults of sockets, snapshots, market and times are played in virtual time, at five moments of a second each; the worst
  is shown. The exchange is the simulated one, with real sockets and the real client; its rules are Binance's own.
- Faults of stores, disks and processes are played in real time, with real files and signals, and the Bigtable emulator
  behind a TCP and a gRPC proxy. What a store has acknowledged and then loses itself is not counted against it.
- Not shown: the real Binance; the real Bigtable with its quotas and regions; a power cut (each commit is synced, but
  whether the disk keeps its word is not tested); another processor than the one named.
"""


def page(results: Sequence[Played], seconds: float) -> str:
    """Write the page.

    Args:
        results: of each fault, in the order of the page.
        seconds: that all took.

    Returns:
        Markdown.
    """
    when = time.strftime("%Y-%m-%d", time.gmtime())
    parts = [
        _TEXT,
        f"Played on {when} in {seconds / 60:.0f} minutes on {_machine()}: {_summary(results)}.\n",
    ]
    for section, of_section in groupby(results, key=lambda played: played.fault.section):
        parts.append(f"## {section}\n\n" + _table(of_section))
    return "\n".join([*parts, elsewhere()])


def elsewhere() -> str:
    """Write what other commands and tests have shown; the last parts of the page."""
    said = "What takes a Prefect server, workers and minutes is tried by tests; `make e2e` runs them."
    hostile = "Tried by tests of `make test`; `make fuzz` looks for more of it, guided by what the bytes reach."
    return "\n".join(
        [
            f"## Orchestration, by tests\n\n{said}\n\n{_tests(ELSEWHERE)}",
            f"## Hostile input\n\n{hostile}\n\n{_tests(HOSTILE)}",
            _soaked(),
        ]
    )


def _tests(named: Mapping[str, tuple[str, str]]) -> str:
    lines = [f"| {name} | `{path}`: `{test}` |" for name, (path, test) in named.items()]
    return "\n".join(["| what | test |", "|---|---|", *lines, ""])


def _soaked() -> str:
    """Tell of the last soak, where there was one."""
    if not RESULTS.exists():
        return "## Soak\n\n`make soak` has not been run.\n"
    told = json.loads(RESULTS.read_text(encoding="utf-8"))
    here = told["machine"]
    where = f"{here['cores']} cores of {here['cpu']}, {here['python']}, load average {told['load']:.0f}"
    lines = [f"## Soak\n\nRun on {told['date']} on {where}.\n\n{_SOAK}\n"]
    for run in told["runs"]:
        verdict = "**broken**: " + "; ".join(run["broken"]) if run["broken"] else "all within limits"
        lines.append(
            f"- {run['speed']} times the market's speed for {run['minutes']} minutes, {run['epochs']:,} epochs: "
            f"{run['missing']} missing ({run['lost']}), {run['waiting']} rows left in the spool, "
            f"{run['megabytes']} MB at the end, {run['slope']:+} MB an hour{_short(run)}, "
            f"open files {run['files'][0]} then {run['files'][1]}, "
            f"{_latency(run)}{run['processor']:.0%} of a core: {verdict}"
        )
    return "\n".join(lines) + "\n"


def _machine() -> str:
    here = machine.describe()
    busy = os.getloadavg()[2]
    return f"{here['cores']} cores of {here['cpu']}, {here['system']}, {here['python']}, load average {busy:.0f}"


def _short(run: Mapping[str, float]) -> str:
    return "" if run["minutes"] >= SLOPE_MINUTES else " (too short a run to tell)"


def _latency(run: Mapping[str, int]) -> str:
    """Where the market is faster than the clock, seconds from one to the other mean nothing."""
    return f"epoch to commit p99 {run['latency_ms']} ms, " if run["speed"] == 1 else ""


def _summary(results: Iterable[Played]) -> str:
    counted: dict[str, int] = {}
    for played in results:
        counted[played.verdict] = counted.get(played.verdict, 0) + 1
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(counted.items()))


def _table(results: Iterable[Played]) -> str:
    lines = ["| fault | what must happen | what happened | figures |", "|---|---|---|---|"]
    for played in results:
        cells = (played.fault.name, played.fault.must, happened(played), _figures(played.figures))
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines) + "\n"


def happened(played: Played) -> str:
    """Say in one line what came of a fault."""
    if played.verdict == "held":
        return played.happened
    return f"**{played.verdict}**: " + "; ".join([*played.broken, played.happened][:3])


def _figures(figures: Mapping[str, int | float | str]) -> str:
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in figures.items()
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def line(fault: Fault, played: Played) -> str:
    """Say on the terminal what came of a fault."""
    return f"{played.verdict:>10} {played.seconds:6.1f} s  {fault.section}: {fault.name}: {happened(played)}"
