"""A sequence that tests feed over two sockets."""

import json
import math
from collections.abc import Iterable

from depth.events import Event, parse
from depth.sequence import Broken, Ordered
from depth.sequence import Sequence as Stream
from tests import oracle

Steps = Iterable[tuple[Event, Ordered] | Broken]


def read(wire: oracle.Event) -> Event:
    """Parse an event of the oracle's."""
    return parse(json.dumps(wire))


def event(first: int, last: int | None = None, time: int | None = None) -> Event:
    """Make an event without levels; its E is `at` its last id unless given."""
    last = last or first
    wire = {"e": "depthUpdate", "E": time or at(last), "s": "BTCUSDT", "U": first, "u": last, "b": [], "a": []}
    return read(wire)


def at(last_id: int) -> int:
    """Give the E of an event by its id: 100 ms each."""
    return 1_723_161_255_000 + 100 * last_id


def shown(steps: Steps) -> list[int | str]:
    """Write steps as update ids and causes."""
    return [step.cause if isinstance(step, Broken) else step[1].last_id for step in steps]


class Sockets:
    """Two sockets, A and B, that feed one sequence; the clock stands still unless it is moved, and no time is odd."""

    def __init__(self, names: str = "AB", odd_ms: float = math.inf) -> None:
        self.sequence = Stream(odd_ms)
        self.now = 0.0
        for name in names:
            self.sequence.opened(name)

    def deliver(self, socket: str, *events: Event) -> list[int | str]:
        """Deliver some events over one socket."""
        return [
            step for each in events for step in shown(self.sequence.deliver(socket, each, self.now + 0.5, self.now))
        ]

    def wait(self, seconds: float) -> list[int | str]:
        """Let time pass."""
        self.now += seconds
        return shown(self.sequence.tick(self.now))

    def close(self, socket: str) -> list[int | str]:
        """Close one socket."""
        return shown(self.sequence.closed(socket, self.now))
