"""Recorded traffic as the benchmarks need it: bare frames behind a snapshot, and the book they must lead to.

Nothing of the project reads it: what the measured books are checked against comes from ``json`` and two dictionaries.
"""

import gzip
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

SESSION = "spot-btcusdt-20240808"
"""Real, 6,495 frames in 650 s, 1,000-level snapshot."""
DEEP = "rest/depth5000_btcusdt_1744588800180.json"
"""Real REST body of 5,000 levels a side."""
_MARKETS = "rest/exchangeInfo_btc_eth_only_2023-04-10_api.binance.me.json"

Body = dict[str, Any]
"""A REST depth body: ``{"lastUpdateId": 1, "bids": [["61837.63000000", "3.78826000"], …], "asks": […]}``."""
Stream = Sequence[tuple[str, float]]
"""Bare frames, as a ``/ws`` socket delivers them, each with its arrival in seconds."""


class BenchmarkBroken(Exception):
    """What was measured is not what it says: the numbers would be worthless."""


class NoRecordings(Exception):
    """The recorded traffic is not there."""


def ensure(fact: object, otherwise: str) -> None:
    """Raise `BenchmarkBroken` with the text unless the fact holds."""
    if not fact:
        raise BenchmarkBroken(otherwise)


class Levels:
    """A book with nothing but its levels: what the others are checked against.

    Attributes:
        last_id: update id that it stands at.
        bids: price to amount.
        asks: price to amount.
    """

    def __init__(self, body: Body) -> None:
        """Take the levels of a REST body."""
        self.last_id: int = body["lastUpdateId"]
        self.bids = {float(price): float(amount) for price, amount in body["bids"]}
        self.asks = {float(price): float(amount) for price, amount in body["asks"]}

    def apply(self, frame: str) -> None:
        """Apply one bare frame."""
        event = json.loads(frame)
        self.last_id = event["u"]
        for side, changes in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, amount in changes:
                side[float(price)] = float(amount)
                if not float(amount):
                    del side[float(price)]

    def body(self, limit: int | None = None) -> Body:
        """Write the REST body that an exchange with this book would send; `limit` levels a side."""
        sides = {"bids": sorted(self.bids.items(), reverse=True), "asks": sorted(self.asks.items())}
        text = {name: [[f"{p:.8f}", f"{a:.8f}"] for p, a in levels[:limit]] for name, levels in sides.items()}
        return {"lastUpdateId": self.last_id, **text}

    def best(self) -> tuple[float, float]:
        """Give the best bid and the best ask of the levels that are known."""
        return max(self.bids), min(self.asks)


@dataclass(frozen=True)
class Recording:
    """A stretch of one market's depth stream with the snapshot that it joins.

    Attributes:
        name: its folder.
        events: frames in the recording, whether they are used or not.
        snapshot: REST body.
        joining: the frame that the snapshot is joined by; every client takes it before the clock starts.
        stream: the frames after it.
        market: the market's entry in ``exchangeInfo``.
    """

    name: str
    events: int
    snapshot: Body
    joining: tuple[str, float]
    stream: Stream
    market: Body

    @cached_property
    def frames(self) -> Sequence[str]:
        """The text of the stream alone."""
        return [frame for frame, _ in self.stream]

    @cached_property
    def changes(self) -> int:
        """Level changes in the stream."""
        events = [json.loads(frame) for frame in self.frames]
        return sum(len(event["b"]) + len(event["a"]) for event in events)

    @cached_property
    def final(self) -> Levels:
        """The book after the last frame."""
        levels = Levels(self.snapshot)
        for frame in (self.joining[0], *self.frames):
            levels.apply(frame)
        return levels


def load() -> Recording:
    """Read the session.

    Raises:
        NoRecordings: the folder or a file of it is missing.
    """
    try:
        with gzip.open(_folder() / SESSION / "diffs.jsonl.gz", "rt", encoding="utf-8") as lines:
            received = [json.loads(line) for line in lines]
        snapshot, markets = body(f"{SESSION}/snapshot.json"), body(_MARKETS)
    except FileNotFoundError as error:
        raise NoRecordings("no recordings: set DEPTH_RECORDINGS to the folder of recorded traffic") from error
    stream = [(_bare(line["raw"]), line["recv_ms"] / 1000) for line in received]
    last_id = snapshot["lastUpdateId"]
    joined = next(place for place, (frame, _) in enumerate(stream) if json.loads(frame)["u"] > last_id)
    market = next(entry for entry in markets["symbols"] if entry["symbol"] == "BTCUSDT")
    return Recording(SESSION, len(stream), snapshot, stream[joined], stream[joined + 1 :], market)


def body(path: str) -> Body:
    """Read one REST body by its path in the recordings."""
    content: Body = json.loads((_folder() / path).read_text(encoding="utf-8"))
    return content


def _folder() -> Path:
    override = os.environ.get("DEPTH_RECORDINGS")
    return Path(override) if override else Path(__file__).resolve().parents[2] / "shared" / "recordings"


def _bare(frame: str) -> str:
    """Take the message out of its combined-stream wrapper, byte for byte."""
    if not frame.startswith('{"stream":'):
        return frame
    return frame[frame.index('"data":') + len('"data":') : -1]
