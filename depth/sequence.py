"""One ordered stream of events out of any number of sockets.

Pure: no I/O; `now` is a monotonic clock in seconds, given by the caller.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from depth.events import Event, parse

BreakCause = Literal["sequence break", "ids reset"]

_KEEP_SECONDS = 60.0
_PATIENCE_SECONDS = 2.0
_RESET_EVENTS = 3
_RESET_AHEAD_MS = 2000


class Ordered(msgspec.Struct, gc=False):
    """An event in its place.

    Attributes:
        first_id: Binance's U.
        last_id: Binance's u.
        event_time: its own E, ms.
        time: max(its E, the time of the event before it), ms.
        received: local receive time of its frame, float seconds UTC.
        arrived: monotonic arrival, seconds.
        raw: its frame.
    """

    first_id: int
    last_id: int
    event_time: int
    time: int
    received: float
    arrived: float
    raw: str

    def event(self) -> Event:
        """Parse the frame once more: a minute of text is a tenth of a minute of parsed levels."""
        return parse(self.raw)


@dataclass(frozen=True, slots=True)
class Broken:
    """The chain of update ids ends here; what follows belongs to a new one."""

    cause: BreakCause


@dataclass(slots=True)
class _Socket:
    last_id: int = 0
    stale: int = 0


@dataclass(slots=True)
class Sequence:
    """Orders events by update id, drops what it had, and waits for what is missing.

    Attributes:
        position: last update id in order, None before the first event.
        batch_mismatch: pairs of events from two sockets with the same u but another U or E.
    """

    position: int | None = None
    batch_mismatch: int = 0
    _time: int = 0
    _sockets: dict[str, _Socket] = field(default_factory=dict)
    _kept: deque[Ordered] = field(default_factory=deque)
    _beyond: dict[int, tuple[Event, Ordered]] = field(default_factory=dict)
    _timers_from: float = float("-inf")

    @property
    def hole(self) -> bool:
        """Whether events are missing between those applied and those received."""
        return bool(self._beyond)

    @property
    def sockets(self) -> int:
        """How many sockets are open."""
        return len(self._sockets)

    def opened(self, socket: str) -> None:
        """Count a socket in: a hole is lost only when it, too, has delivered beyond it."""
        self._sockets[socket] = _Socket()

    def closed(self, socket: str, now: float) -> list[tuple[Event, Ordered] | Broken]:
        """Count a socket out; a hole that only it could still fill is lost."""
        self._sockets.pop(socket, None)
        return list(self._resolve(now))

    def restart_timers(self, now: float) -> None:
        """Begin the wait for a hole anew, after the process itself stood still."""
        self._timers_from = now

    def tick(self, now: float) -> list[tuple[Event, Ordered] | Broken]:
        """Look whether a hole has been waited for long enough."""
        return list(self._resolve(now))

    def deliver(self, socket: str, event: Event, received: float, now: float) -> list[tuple[Event, Ordered] | Broken]:
        """Take one event from one socket.

        Args:
            socket: name of an open socket; its events come in its own TCP order.
            event: the event.
            received: local time of its frame, float seconds UTC.
            now: monotonic seconds.

        Returns:
            What is now in order: events, and a `Broken` where the chain ended before those after it.
        """
        state = self._sockets[socket]
        position = self.position
        if position is not None and event.last_id <= position:
            return self._had(state, event, received, now)
        state.stale = 0
        state.last_id = event.last_id
        waiting = self._beyond.get(event.last_id)
        if waiting is not None and (event.first_id, event.time) != (waiting[0].first_id, waiting[0].time):
            self.batch_mismatch += 1
        if position is None or event.first_id <= position + 1:
            return [(event, self._place(self._stamp(event, received, now))), *self._resolve(now)]
        if waiting is None or event.first_id < waiting[0].first_id:
            arrived = now if waiting is None else waiting[1].arrived
            self._beyond[event.last_id] = (event, self._stamp(event, received, arrived))
        return list(self._resolve(now))

    def market_time(self, now: float) -> int | None:
        """Estimate the exchange's time in ms at `now`, monotonic seconds; whatever the local clock says."""
        if not self._kept:
            return None
        newest = self._kept[-1]
        return newest.time + int((now - newest.arrived) * 1000)

    def since(self, last_id: int) -> Iterator[Ordered]:
        """Give the kept events of this chain with ``u > last_id``, in order."""
        return (kept for kept in self._kept if kept.last_id > last_id)

    def at(self, last_id: int) -> Ordered | None:
        """Give the kept event of this chain that ended at an update id."""
        for kept in reversed(self._kept):  # it is nearly always among the newest
            if kept.last_id <= last_id:
                return kept if kept.last_id == last_id else None
        return None

    def _stamp(self, event: Event, received: float, now: float) -> Ordered:
        return Ordered(event.first_id, event.last_id, event.time, event.time, received, now, event.raw)

    def _place(self, ordered: Ordered) -> Ordered:
        self._time = max(self._time, ordered.event_time)
        ordered.time = self._time
        self.position = ordered.last_id
        kept = self._kept
        kept.append(ordered)
        # From its arrival, not from now: after a stall it may have waited for longer than that.
        while ordered.arrived - kept[0].arrived > _KEEP_SECONDS:
            kept.popleft()
        return ordered

    def _had(self, state: _Socket, event: Event, received: float, now: float) -> list[tuple[Event, Ordered] | Broken]:
        kept = self.at(event.last_id)
        if kept is not None and (kept.first_id, kept.event_time) != (event.first_id, event.time):
            self.batch_mismatch += 1
        if event.time <= self._time + _RESET_AHEAD_MS:
            state.stale = 0
            return []
        state.stale += 1
        if state.stale < _RESET_EVENTS:
            return []
        self._begin_anew()
        self._beyond.clear()
        for other in self._sockets.values():
            other.stale = other.last_id = 0
        state.last_id = event.last_id
        return [Broken("ids reset"), (event, self._place(self._stamp(event, received, now)))]

    def _resolve(self, now: float) -> Iterator[tuple[Event, Ordered] | Broken]:
        """Place what fits behind a hole that was filled; give a hole up when nobody can fill it any more."""
        while self._beyond:
            yield from self._drain()
            if not self._beyond:
                return
            # Holes may lie one behind the other: this one is as old as the first arrival beyond it.
            since = max(self._timers_from, min(ordered.arrived for _, ordered in self._beyond.values()))
            delivered_beyond = all(state.last_id > (self.position or 0) for state in self._sockets.values())
            if not delivered_beyond and now - since < _PATIENCE_SECONDS:
                return
            self._begin_anew()
            yield Broken("sequence break")
            self.position = min(event.first_id for event, _ in self._beyond.values()) - 1

    def _drain(self) -> Iterator[tuple[Event, Ordered]]:
        for last_id in sorted(self._beyond):
            event, ordered = self._beyond[last_id]
            position = self.position or 0
            if event.first_id <= position + 1:
                del self._beyond[last_id]
                if last_id > position:
                    yield event, self._place(ordered)
        # Where sockets batch differently, a larger batch may have covered a smaller one.
        for last_id in [last_id for last_id in self._beyond if last_id <= (self.position or 0)]:
            del self._beyond[last_id]

    def _begin_anew(self) -> None:
        self.position = None
        self._time = 0
        self._kept.clear()
