"""``python -m benchmarks``: measure, print one table, write ``benchmarks/results.json``.

Exit 0 well, 1 broken or (with ``--check``) a target missed, 2 no recordings.
"""

import argparse
import asyncio
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import anchors, machine, recording, report, sampling, updates
from benchmarks.recording import BenchmarkBroken, NoRecordings
from benchmarks.rivals import JSON_PARSER

_ROUNDS = 9


def main() -> int:
    """Run the benchmarks; returns the exit code."""
    options = _options()
    try:
        results = asyncio.run(_measure(options.rounds))
    except NoRecordings as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except BenchmarkBroken as error:
        sys.stderr.write(f"broken: {error}\n")
        return 1
    held = report.targets(results)
    results["targets"] = [asdict(target) for target in held]
    report.write(results, options.output)
    report.show(results, held)
    return int(options.check and not all(target.met for target in held))


async def _measure(rounds: int) -> report.Results:
    session = recording.load()
    with Console(stderr=True).status("reading the recording") as status:
        times = await updates.measure(session, rounds, status.update)
        status.update("samples")
        samples = await sampling.measure(session)
        status.update("anchors")
        anchor = anchors.measure(session, rounds)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "recording": {
            "name": session.name,
            "events": session.events,
            "messages": len(session.stream),
            "changes_per_message": session.changes / len(session.stream),
        },
        "rounds": rounds,
        "clock": "process_time",
        "json_parser": JSON_PARSER,
        "update_path_us": times,
        "ratios": updates.ratios(times),
        "snapshot_us": samples,
        "anchor_ms": anchor,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the update path on real traffic."
    )
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="how often each candidate is driven (%(default)s)")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_name("results.json"), help="where the results are written"
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
