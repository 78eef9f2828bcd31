"""Microseconds from the text of a message to the book, candidate beside candidate.

In every round all of them take the same frames, 500 at a time, each time in another order, so that whatever else the
machine does meanwhile slows all alike. Each 500 count with their median over the rounds. The clock is the process' own
CPU time; the garbage collector is on, with everything older frozen.
"""

import gc
import logging
import statistics
import time
from collections.abc import Callable
from random import Random
from typing import Protocol

from benchmarks import ours
from benchmarks.ours import Ours, OursInCapture, Parsing
from benchmarks.recording import Recording, Stream, ensure
from benchmarks.rivals import Ccxt, DictUpdate, JsonParse, PythonBinance, count_calls

_TURN = 500  # frames
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

    async def run(self, stream: Stream) -> None:
        """Take the next frames; timed."""
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


async def measure(recording: Recording, rounds: int, progress: Callable[[str], None]) -> dict[str, float]:
    """Measure all candidates.

    Args:
        recording: what they are driven over.
        rounds: how often.
        progress: told what is done next.

    Returns:
        By candidate, µs per message.

    Raises:
        BenchmarkBroken: a candidate did not do its work.
    """
    logging.getLogger("depth.capture").setLevel(logging.ERROR)
    progress("checking that every candidate really applies every update")
    await _verify(recording)
    everyone, chance = candidates(), Random(0)  # noqa: S311  # an order, not secrets
    measured = []
    for number in range(rounds):
        progress(f"updates, round {number + 1} of {rounds}")
        measured.append(await _round(everyone, recording, chance))
    return {
        candidate.name: sum(map(statistics.median, zip(*(times[candidate.name] for times in measured), strict=True)))
        / (_NANOSECONDS * len(recording.stream))
        for candidate in everyone
    }


def ratios(times: dict[str, float]) -> dict[str, float]:
    """Give each candidate's time in times of the JSON parse."""
    return {name: time / times[JsonParse.name] for name, time in times.items()}


async def _round(everyone: list[Candidate], recording: Recording, chance: Random) -> dict[str, list[int]]:
    """Drive all candidates over the stream; gives each one's ns by chunk."""
    for candidate in everyone:
        await candidate.start(recording)
    took: dict[str, list[int]] = {candidate.name: [] for candidate in everyone}
    stream = recording.stream
    gc.collect()
    gc.freeze()
    try:
        for chunk in (stream[start : start + _TURN] for start in range(0, len(stream), _TURN)):
            for candidate in chance.sample(everyone, len(everyone)):
                began = time.process_time_ns()
                await candidate.run(chunk)
                took[candidate.name].append(time.process_time_ns() - began)
    finally:
        gc.unfreeze()
    for candidate in everyone:
        candidate.check(recording)
        if isinstance(candidate, Ccxt):
            await candidate.stop()
    return took


async def _verify(recording: Recording) -> None:
    """Count the updates that the others apply, and see that all books end at the same best prices."""
    for rival in (Ccxt(), PythonBinance(), PythonBinance(whole=True)):
        await rival.start(recording)
        applied = count_calls(*rival.hook())
        await rival.run(recording.stream)
        count = applied()
        ensure(count == len(recording.stream), f"{rival.name}: {count} of {len(recording.stream)} messages applied")
        rival.check(recording)
        if isinstance(rival, Ccxt):
            await rival.stop()
    best = await ours.verify(recording)
    ensure(best == recording.final.best(), f"ours: best prices {best}, the others say {recording.final.best()}")
