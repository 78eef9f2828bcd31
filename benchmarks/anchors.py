"""Milliseconds that a new 5,000-level anchor of a live book keeps the event loop from the sockets, step by step."""

import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from random import Random

from benchmarks.ours import GRID, PLACES, SYMBOL
from benchmarks.recording import DEEP, Body, Levels, Recording, body, ensure
from depth.anchoring import Schedule
from depth.book import Book
from depth.capture import Capture
from depth.events import parse, parse_anchor

_LEVELS = 5000
_KEPT = 200  # events of 20 s: a request takes no longer
_BEFORE = 400  # events before the snapshot
_SPACING_SECONDS = 0.099  # a little closer than recorded: all are within the minute that is kept
_NANOSECONDS = 1_000_000  # in a ms
_TICK = 0.01


def measure(recording: Recording, rounds: int) -> dict[str, float]:
    """Measure one re-anchoring `rounds` times.

    The snapshot is the one that an exchange with the same book would have sent 20 s ago, so that the audit agrees; all
    events since are applied to it again.

    Returns:
        Median ms of each step. ``blocked`` is `Capture.anchored`: all steps from ``build`` on. The loop runs before and
        after ``parse``.
    """
    first = _deepen(recording.snapshot, body(DEEP))
    frames = [recording.joining[0], *recording.frames[: _BEFORE + _KEPT - 1]]
    levels = Levels(first)
    for frame in frames[:_BEFORE]:
        levels.apply(frame)
    second = levels.body(_LEVELS)
    for frame in frames[_BEFORE:]:
        levels.apply(frame)
    measured = [_steps(first, second, frames) | _whole(first, second, frames) for _ in range(rounds)]
    return {step: statistics.median(times[step] for times in measured) for step in measured[0]}


def _steps(first: Body, second: Body, frames: Sequence[str]) -> dict[str, float]:
    live = Book(parse_anchor(json.dumps(first)), GRID, PLACES)
    for frame in frames:
        live.apply(parse(frame))
    live.sample()
    text = json.dumps(second, separators=(",", ":"))
    anchor = parse_anchor(text)
    candidate = Book(anchor, GRID, PLACES)

    def replay() -> None:
        for frame in frames[_BEFORE:]:
            candidate.apply(parse(frame))

    steps = {
        "parse": _timed(lambda: parse_anchor(text)),
        "build": _timed(lambda: Book(anchor, GRID, PLACES)),
        "replay": _timed(replay),
        "audit": _timed(lambda: live.audit(candidate)),
        "margin": _timed(candidate.margin),
    }
    audit = live.audit(candidate)
    ensure(audit.agrees and audit.compared > _LEVELS, f"the audit of the anchor says {audit}")
    return steps


def _whole(first: Body, second: Body, frames: Sequence[str]) -> dict[str, float]:
    capture = Capture(SYMBOL, GRID, PLACES, "benchmark", Schedule(chance=Random(0)))  # noqa: S311  # jitter
    capture.opened("a")
    now = 0.0
    for number, frame in enumerate(frames):
        now = number * _SPACING_SECONDS
        capture.delivered("a", parse(frame), now, now)
        if number == 0:
            capture.anchored(parse_anchor(json.dumps(first)), "start", now)
    anchor = parse_anchor(json.dumps(second))
    blocked = _timed(lambda: capture.anchored(anchor, "hourly", now))
    counts = capture.counts
    ensure((counts.anchors, counts.audits_agreed) == (2, 1), f"the anchor was not taken: {counts}")
    return {"blocked": blocked}


def _timed(step: Callable[[], object]) -> float:
    gc.collect()
    gc.freeze()
    began = time.process_time_ns()
    kept = step()
    took = time.process_time_ns() - began
    gc.unfreeze()
    del kept  # freeing it is not the step's
    return took / _NANOSECONDS


def _deepen(snapshot: Body, deep: Body) -> Body:
    """Put a real 5,000-level body behind the last levels of the recording's 1,000: prices moved, amounts not."""
    sides = {}
    for side, tick in (("bids", -_TICK), ("asks", _TICK)):
        near = snapshot[side]
        offset = float(near[-1][0]) + tick - float(deep[side][0][0])
        far = [[f"{float(price) + offset:.8f}", amount] for price, amount in deep[side][: _LEVELS - len(near)]]
        sides[side] = [*near, *far]
    return {"lastUpdateId": snapshot["lastUpdateId"], **sides}
