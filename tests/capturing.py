"""A capture by hand: events and snapshots go in as the exchange writes them, rows come out as they are stored."""

import json
import math
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from depth.anchoring import Reason, Schedule
from depth.capture import Capture
from depth.epochs import Grid
from depth.events import parse, parse_anchor
from depth.losses import Incident
from depth.snapshot import encode
from tests import oracle

AGAINST_STREAMS = settings(
    deadline=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],  # to explain a failure takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SHAPE = oracle.Shape(Grid().step, Grid().steps)
SECOND = 1_700_000_000
START = SECOND * 1000

Columns = dict[str, str]


class Run:
    """A capture, its sockets and a clock that stands still unless it is moved; no time is odd unless asked for.

    The frame of an event is received at its own update id, in seconds: so `timestamp` says which event closed a row.
    """

    def __init__(self, sockets: str = "A", grid: Grid | None = None, places: int = 2, odd_ms: float = math.inf) -> None:
        chance = Random(0)  # noqa: S311  (jitter)
        self.capture = Capture("BTC/USDT", grid or Grid(), places, "test", Schedule(chance=chance))
        self.capture.sequence.odd_ms = odd_ms
        self.now = 0.0
        for socket in sockets:
            self.capture.opened(socket)

    def deliver(self, socket: str, *events: oracle.Event) -> None:
        """Deliver some events over one socket."""
        for wire in events:
            self.capture.delivered(socket, parse(json.dumps(wire)), float(wire["u"]), self.now)

    def anchor(self, body: oracle.Body, reason: Reason = "start") -> None:
        """Hand in a snapshot."""
        self.capture.anchored(parse_anchor(json.dumps(body)), reason, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.capture.tick(self.now)

    @property
    def wants(self) -> Reason | None:
        """Say why a snapshot is wanted."""
        return self.capture.wants_anchor(self.now)

    @property
    def rows(self) -> dict[int, Columns]:
        """Give the columns of every row, as stored; each epoch once and in order."""
        epochs = [row.epoch for row in self.capture.rows]
        assert epochs == sorted(set(epochs))
        return {row.epoch: dict(encode(row).columns) for row in self.capture.rows}

    @property
    def lost(self) -> dict[int, str]:
        """Give the cause of every epoch without a row; each epoch once."""
        grid = self.capture.grid
        lost = [
            (epoch, incident.cause)
            for incident in self.capture.losses.incidents
            if incident.cause != "suspect"
            for epoch in range(incident.start, incident.end, grid.interval)
        ]
        assert len(dict(lost)) == len(lost)
        return dict(lost)

    @property
    def incidents(self) -> list[Incident]:
        """Give the incidents in order."""
        return self.capture.losses.incidents


def columns(row: oracle.OracleRow) -> Columns:
    """Give the stored columns of the oracle's row, byte for byte."""
    return {
        "price": row.price,
        "orderbook": row.orderbook,
        "timestamp": repr(float(row.closed_by)),
        "event_time": str(row.event_time),
        "update_id": str(row.update_id),
        "covered": "{},{}".format(*row.covered),
        "collector": "test",
    }


def stored(sampled: oracle.Sampled) -> dict[int, Columns]:
    """Give the stored columns of all the oracle's rows."""
    return {epoch: columns(row) for epoch, row in sampled.rows.items()}


def event(
    first: int, ms: int, bids: Sequence[str] = (), asks: Sequence[str] = (), last: int | None = None
) -> dict[str, Any]:
    """Write an event `ms` after the start, with levels as "price amount"."""
    ids = {"E": START + ms, "s": "BTCUSDT", "U": first, "u": last or first}
    return {"e": "depthUpdate", **ids, "b": [level.split() for level in bids], "a": [level.split() for level in asks]}


def body(update_id: int, bids: Sequence[str] = (), asks: Sequence[str] = ()) -> dict[str, Any]:
    """Write a REST body with levels as "price amount"; without any, a plain book of four."""
    bids, asks = bids or ["100 1", "90 1"], asks or ["101 1", "111 1"]
    return {"lastUpdateId": update_id, "bids": [level.split() for level in bids], "asks": [a.split() for a in asks]}


def ticks(first: int, last: int) -> list[oracle.Event]:
    """Write events without changes, one id and 100 ms each; id 1 is 100 ms after the start."""
    return [event(number, 100 * number) for number in range(first, last + 1)]


def epochs(*offsets: int) -> list[int]:
    """Give epochs by their distance from the start."""
    return [SECOND + offset for offset in offsets]


def chained(sockets: str = "A", *, last: int = 20) -> Run:
    """Make a run with a book, with the events 1 to 20 delivered over every socket: two seconds."""
    run = Run(sockets)
    for number, wire in enumerate(ticks(1, last)):
        for socket in sockets:
            run.deliver(socket, wire)
        if number == 0:
            run.anchor(body(1))
    return run
