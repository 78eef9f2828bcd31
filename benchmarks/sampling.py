"""Microseconds of one sample: best prices and 40 buckets a side with exact sums.

Beside it the original's way to do the same: ccxt's sorted levels, floats, and an exit at the last bucket.
"""

import json
import math
import statistics
import time
from collections.abc import Sequence

from benchmarks.ours import GRID, PLACES
from benchmarks.recording import DEEP, Body, Recording, body, ensure
from benchmarks.rivals import Ccxt
from depth.book import Book, Sample
from depth.events import parse, parse_anchor

Statistics = dict[str, float]

_REPEATS = 500
_NANOSECONDS = 1000  # in a µs
# Of a bucket: ours is rounded to the cent, the original's float sum is not.
_TOLERANCE = 0.006
_MILLISECONDS = 1000


async def measure(recording: Recording) -> dict[str, Statistics]:
    """Measure samples.

    Returns:
        - ``session``: one at each second of the recording that the book can vouch for, between updates as they came.
        - ``session_original``: the original's arithmetic on ccxt's book at the same moments.
        - ``body_5000``: repeated on a book of a real 5,000-level body; ``body_5000_first``: its first one, which parts
          near from far levels; ``body_5000_original``: the original's.
    """
    mine, theirs = await _session(recording)
    deep = body(DEEP)
    sides = [[(float(price), float(amount)) for price, amount in deep[side]] for side in ("bids", "asks")]
    book = Book(parse_anchor(json.dumps(deep)), GRID, PLACES)
    anchor = parse_anchor(json.dumps(deep))
    firsts = [_timed_sample(Book(anchor, GRID, PLACES))[0] for _ in range(_REPEATS // 10)]
    repeated = [_timed_sample(book)[0] for _ in range(_REPEATS)]
    return {
        "session": _describe(mine),
        "session_original": _describe(theirs),
        "body_5000": _describe(repeated),
        "body_5000_first": _describe(firsts),
        "body_5000_original": _describe([_timed_original(*sides)[0] for _ in range(_REPEATS)]),
    }


def original(levels: Sequence[Sequence[float]]) -> list[float]:
    """Sum a side's money by bucket as the original does; `levels` are price and amount, best first."""
    sums = [0.0] * GRID.steps
    best = levels[0][0]
    for price, amount in levels:
        bucket = int(abs(math.log(best) - math.log(price)) / GRID.step)
        if bucket >= GRID.steps:
            break
        sums[bucket] += price * amount
    return sums


async def _session(recording: Recording) -> tuple[list[float], list[float]]:
    """Replay into both books, and sample both before the first event of each second."""
    book = Book(parse_anchor(json.dumps(recording.snapshot)), GRID, PLACES)
    book.apply(parse(recording.joining[0]))
    ccxt = Ccxt()
    await ccxt.start(recording)
    mine, theirs = list[float](), list[float]()
    second = 0
    for frame in recording.frames:
        event = parse(frame)
        if event.time // _MILLISECONDS != second:
            second = event.time // _MILLISECONDS
            took, sample = _timed_sample(book)
            if sample is not None:
                mine.append(took)
                took, buckets = _timed_original(ccxt.book["bids"], ccxt.book["asks"])
                theirs.append(took)
                _compare(sample, buckets, ccxt.book)
        book.apply(event)
        ccxt.take(frame)
    ccxt.check(recording)
    await ccxt.stop()
    ensure(len(mine) > _REPEATS, f"only {len(mine)} seconds could be sampled")
    return mine, theirs


def _timed_sample(book: Book) -> tuple[float, Sample | None]:
    began = time.process_time_ns()
    sample = book.sample()
    took = time.process_time_ns() - began
    return took / _NANOSECONDS, None if isinstance(sample, str) else sample


def _timed_original(
    bids: Sequence[Sequence[float]], asks: Sequence[Sequence[float]]
) -> tuple[float, tuple[list[float], list[float]]]:
    began = time.process_time_ns()
    buckets = original(bids), original(asks)
    return (time.process_time_ns() - began) / _NANOSECONDS, buckets


def _compare(sample: Sample, buckets: tuple[list[float], list[float]], book: Body) -> None:
    best = (book["bids"][0][0], book["asks"][0][0])
    ensure(best == (sample.best_bid, sample.best_ask), f"best prices {best} differ from {sample}")
    for ours, theirs in zip((sample.bid_buckets, sample.ask_buckets), buckets, strict=True):
        for value, other in zip(ours, theirs, strict=True):
            ensure(value is None or abs(value - other) <= _TOLERANCE, f"a bucket of {other} is {value} in {sample}")


def _describe(times: list[float]) -> Statistics:
    centiles = statistics.quantiles(times, n=100, method="inclusive")
    return {"median": statistics.median(times), "p99": centiles[98], "samples": len(times)}
