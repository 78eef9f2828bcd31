"""A recording, played by the simulated exchange to the real ccxt client and the real collector."""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from depth.anchoring import Schedule
from depth.collector import Collector
from depth.epochs import Grid
from depth.events import Anchor
from depth.exchange.binance import Binance
from depth.exchange.simulated import Options, RecordingSource, SimulatedExchange, Source
from depth.losses import Incident
from depth.outcome import Outcome
from depth.snapshot import Snapshot
from tests import oracle, recordings

SHAPE = oracle.Shape(0.00002, 40)


@dataclass
class Rows:
    """A sink that keeps what it is given."""

    rows: list[Snapshot] = field(default_factory=list)
    incidents: dict[int, Incident] = field(default_factory=dict)

    async def put(self, rows: Sequence[Snapshot], incidents: Sequence[tuple[str, Incident]]) -> None:
        self.rows += rows
        self.incidents |= {incident.start: incident for _, incident in incidents}

    async def close(self) -> None:
        """Nothing is held."""


class Witness(Binance):
    """The real client; the test also keeps the snapshots that it was given."""

    def __init__(self, rest_url: str, ws_url: str, connections: int = 2) -> None:
        super().__init__(rest_url, ws_url, connections)
        self.bodies: list[oracle.Body] = []

    async def anchor(self, symbol: str) -> Anchor:
        anchor = await super().anchor(symbol)
        self.bodies.append(json.loads(msgspec.json.encode(_body(anchor))))
        return anchor


@dataclass(frozen=True)
class Replayed:
    """What one collector made of a replay."""

    rows: dict[int, Snapshot]
    incidents: list[Incident]
    bodies: list[oracle.Body]
    outcome: Outcome


def first_anchor_only() -> Schedule:
    """Keep a book's first snapshot for ever."""
    return Schedule(hourly=math.inf, edge=math.inf)


async def collect(
    exchange: SimulatedExchange,
    schedule: Callable[[], Schedule] = Schedule,
    *,
    connections: int = 2,
    delay: float = 0.0,
) -> Replayed:
    """Run one collector against an exchange until the recording is over."""
    await asyncio.sleep(delay)
    client, sink, stop = Witness(exchange.rest_url, exchange.ws_url, connections), Rows(), asyncio.Event()
    running = asyncio.create_task(Collector(client, Grid(), "test", sink, schedule).run(["BTC/USDT"], stop))
    try:
        await exchange.finished()
        await asyncio.sleep(0.3)
        stop.set()
        outcome = await running
    finally:
        running.cancel()
        await client.close()
    return Replayed({row.epoch: row for row in sink.rows}, list(sink.incidents.values()), client.bodies, outcome)


def source(name: str, limit: int | None = None) -> Source:
    """Give a recording at its own time."""
    return RecordingSource(recordings.folder() / name, shift=False, limit=limit)


async def replay(name: str, options: Options, schedule: Callable[[], Schedule] = Schedule) -> Replayed:
    """Play a recording to one collector."""
    async with SimulatedExchange(source(name), options) as exchange:
        return await collect(exchange, schedule)


def _body(anchor: Anchor) -> dict[str, object]:
    sides = {side: [(f"{p:.8f}", f"{a:.8f}") for p, a in getattr(anchor, side)] for side in ("bids", "asks")}
    return {"lastUpdateId": anchor.last_id, **sides}
