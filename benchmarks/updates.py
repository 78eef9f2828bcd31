"""Microseconds from the text of a message to the book, candidate beside candidate.

Every round drives all of them, in turn and each time in another order, over the same frames; the clock is the process'
own CPU time, and the garbage collector is on, with everything older frozen, for all alike.
"""

import gc
import logging
import statistics
import time
from collections.abc import Callable
from typing import Protocol

from benchmarks import ours
from benchmarks.ours import Ours, OursInCapture, Parsing
from benchmarks.recording import Recording, ensure
from benchmarks.rivals import Ccxt, DictUpdate, JsonParse, PythonBinance, count_calls

_NANOSECONDS = 1000  # in a µs


class Candidate(Protocol):
    """What is driven over the stream.

    Attributes:
        name: key of its result.
    """

    name: str

    async def start(self, recording: Recording) -> None:
        """Build everything anew and take the joining frame; not timed."""
        ...

    async def run(self, recording: Recording) -> None:
        """Take the stream; timed."""
        ...

    def check(self, recording: Recording) -> None:
        """Raise `BenchmarkBroken` unless it did what it was asked to; not timed."""
        ...


def candidates() -> list[Candidate]:
    """Give all that are measured."""
    return [
        JsonParse(),
        Parsing(),
        Ours(),
        OursInCapture("ours_in_capture"),
        Ours("ours_with_two_sockets", sockets=("a", "b")),
        OursInCapture("ours_full", interval=1),
        DictUpdate(),
        PythonBinance(),
        PythonBinance("python_binance_recv", whole=True),
        Ccxt(),
    ]


async def measure(recording: Recording, rounds: int, progress: Callable[[str], None]) -> dict[str, list[float]]:
    """Measure all candidates.

    Args:
        recording: what they are driven over.
        rounds: how often.
        progress: told what is done next.

    Returns:
        By candidate, µs per message of each round.

    Raises:
        BenchmarkBroken: a candidate did not do its work.
    """
    logging.getLogger("depth.capture").setLevel(logging.ERROR)
    progress("checking that every candidate really applies every update")
    await _verify(recording)
    everyone = candidates()
    results: dict[str, list[float]] = {candidate.name: [] for candidate in everyone}
    for number in range(rounds):
        progress(f"updates, round {number + 1} of {rounds}")
        turn = number % len(everyone)
        for candidate in (*everyone[turn:], *everyone[:turn]):
            results[candidate.name].append(await _pass(candidate, recording))
    return results


def medians(results: dict[str, list[float]]) -> dict[str, float]:
    """Give each candidate's median."""
    return {name: statistics.median(times) for name, times in results.items()}


def ratios(results: dict[str, list[float]]) -> dict[str, float]:
    """Give the median of each candidate's ratio to the parse of the same round: what slowed a round slowed both."""
    floor = results[JsonParse.name]
    return {
        name: statistics.median(time / parse for time, parse in zip(times, floor, strict=True))
        for name, times in results.items()
    }


async def _pass(candidate: Candidate, recording: Recording) -> float:
    await candidate.start(recording)
    gc.collect()
    gc.freeze()
    try:
        began = time.process_time_ns()
        await candidate.run(recording)
        took = time.process_time_ns() - began
    finally:
        gc.unfreeze()
    candidate.check(recording)
    if isinstance(candidate, Ccxt):
        await candidate.stop()
    return took / _NANOSECONDS / len(recording.stream)


async def _verify(recording: Recording) -> None:
    """Count the updates that the others apply, and see that all books end at the same best prices."""
    for rival in (Ccxt(), PythonBinance(), PythonBinance(whole=True)):
        await rival.start(recording)
        applied = count_calls(*rival.hook())
        await rival.run(recording)
        count = applied()
        ensure(count == len(recording.stream), f"{rival.name}: {count} of {len(recording.stream)} messages applied")
        rival.check(recording)
        if isinstance(rival, Ccxt):
            await rival.stop()
    best = await ours.verify(recording)
    ensure(best == recording.final.best(), f"ours: best prices {best}, the others say {recording.final.best()}")
