"""One ordered stream of events out of any number of sockets.

Pure: no I/O; `now` is a monotonic clock in seconds, given by the caller.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from depth.events import Event, parse

BreakCause = Literal["sequence break", "ids reset", "time jump"]

_KEEP_SECONDS = 60.0
_KEEP_EVENTS = 6_000  # ten times what a minute brings: what is kept stays small whatever the exchange sends
_PATIENCE_SECONDS = 2.0
_IN_A_ROW = 3
_RESET_AHEAD_MS = 2000
_ODD_MS = 2000
_BEHIND_MS = 10_000
_REGRET_SECONDS = 600.0


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
    """The chain of update ids ends here; what follows belongs to a new one.

    Attributes:
        cause: why.
        false_since: time in ms from which on the times of the chain were wrong, None where they were not.
    """

    cause: BreakCause
    false_since: int | None = None


@dataclass(slots=True)
class _Socket:
    last_id: int = 0
    stale: int = 0


@dataclass(slots=True)
class Sequence:
    """Orders events by update id, drops what it had, and waits for what is missing.

    An event whose E is further ahead than the clock has run, or goes back, may tell a wrong time. It waits: another
    socket's copy may tell a better one, two events behind it may confirm it, and where it is ahead and an event behind
    it is earlier, it counts as not received. Where three in a row are far behind the time of the chain, a new one
    begins; and where the old one had leapt ahead not long ago, it is that leap that was wrong.

    Attributes:
        odd_ms: how much further than the clock has run an event's E may be ahead of the one before, or how far back.
        position: last update id in order, None before the first event.
        batch_mismatch: pairs of events from two sockets with the same u but another U or E.
        untimely: events that count as not received, since their E could not be true.
    """

    odd_ms: float = _ODD_MS
    position: int | None = None
    batch_mismatch: int = 0
    untimely: int = 0
    _time: int = 0
    _behind: int = 0  # events in a row that were far behind the time
    _latest: Ordered | None = None  # the last in order, of this chain or the one before
    _leapt: tuple[int, float] | None = None  # the time before the last leap ahead, and when that was
    _sockets: dict[str, _Socket] = field(default_factory=dict)
    _kept: deque[Ordered] = field(default_factory=deque)
    _beyond: dict[int, tuple[Event, Ordered]] = field(default_factory=dict)
    _timers_from: float = float("-inf")

    @property
    def hole(self) -> bool:
        """Whether events are missing between those applied and those received."""
        return bool(self._beyond) and not self._fits(min(event.first_id for event, _ in self._beyond.values()))

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
        ordered = self._stamp(event, received, now)
        waiting = self._beyond.get(event.last_id)
        if waiting is not None and (event.first_id, event.time) != (waiting[0].first_id, waiting[0].time):
            self.batch_mismatch += 1
        doubtful = self._is_doubtful(ordered)
        if self._fits(event.first_id) and not doubtful:
            return [*self._put(event, ordered), *self._resolve(now)]
        if waiting is not None:
            ordered.arrived = waiting[1].arrived
        if waiting is None or event.first_id < waiting[0].first_id or self._is_doubtful(waiting[1]) > doubtful:
            self._beyond[event.last_id] = (event, ordered)
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

    def _fits(self, first_id: int) -> bool:
        return self.position is None or first_id <= self.position + 1

    def _is_doubtful(self, ordered: Ordered) -> bool:
        latest = self._latest
        return latest is not None and (self._is_ahead(ordered) or ordered.event_time < latest.time - self.odd_ms)

    def _is_ahead(self, ordered: Ordered) -> bool:
        """Whether an event's time is further ahead of the one before than the clock has run since."""
        latest = self._latest
        if latest is None:
            return False
        return ordered.event_time > latest.time + self.odd_ms + max(0.0, ordered.arrived - latest.arrived) * 1000

    def _put(self, event: Event, ordered: Ordered) -> list[tuple[Event, Ordered] | Broken]:
        """Place the next event, unless the time of the chain proves to be wrong by it: then a new one begins."""
        self._behind = self._behind + 1 if ordered.event_time < self._time - _BEHIND_MS else 0
        if self._behind < _IN_A_ROW:
            return [(event, self._place(ordered))]
        before, when = self._leapt or (0, float("-inf"))
        regrets = ordered.arrived - when <= _REGRET_SECONDS and ordered.event_time >= before
        self._leapt = None
        self._begin_anew()
        return [Broken("time jump", before if regrets else None), (event, self._place(ordered))]

    def _place(self, ordered: Ordered) -> Ordered:
        self._time = max(self._time, ordered.event_time)
        ordered.time = self._time
        self.position = ordered.last_id
        self._latest = ordered
        kept = self._kept
        kept.append(ordered)
        # From its arrival, not from now: after a stall it may have waited for longer than that.
        while ordered.arrived - kept[0].arrived > _KEEP_SECONDS or len(kept) > _KEEP_EVENTS:
            kept.popleft()
        return ordered

    def _had(self, state: _Socket, event: Event, received: float, now: float) -> list[tuple[Event, Ordered] | Broken]:
        kept = self.at(event.last_id)
        if kept is not None and (kept.first_id, kept.event_time) != (event.first_id, event.time):
            self.batch_mismatch += 1
        is_copy = kept is not None and kept.first_id == event.first_id
        if is_copy or event.time <= self._time + _RESET_AHEAD_MS:
            state.stale = 0
            return []
        state.stale += 1
        if state.stale < _IN_A_ROW:
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
            yield from self._drain(now)
            if not self.hole:
                return
            # Holes may lie one behind the other: this one is as old as the first arrival beyond it.
            since = min(ordered.arrived for _, ordered in self._beyond.values())
            if not self._is_final(self.position or 0, since, now):
                return
            self._begin_anew()
            yield Broken("sequence break")
            self.position = min(event.first_id for event, _ in self._beyond.values()) - 1

    def _is_final(self, position: int, since: float, now: float) -> bool:
        """Whether no socket will say more about the ids up to a position: all are beyond, or took too long."""
        if all(state.last_id > position for state in self._sockets.values()):
            return True
        return now - max(self._timers_from, since) >= _PATIENCE_SECONDS

    def _drain(self, now: float) -> Iterator[tuple[Event, Ordered] | Broken]:
        for last_id in sorted(self._beyond):
            event, ordered = self._beyond[last_id]
            if not self._fits(event.first_id):
                continue
            if last_id > (self.position or 0):
                verdict = self._judge(ordered, now)
                if verdict == "wait":
                    break
                if verdict == "place":
                    if self._latest is not None and self._is_ahead(ordered):
                        self._leapt = (self._latest.time, now)
                    yield from self._put(event, ordered)
                else:
                    self.untimely += 1
            del self._beyond[last_id]
        # Where sockets batch differently, a larger batch may have covered a smaller one.
        for last_id in [last_id for last_id in self._beyond if last_id <= (self.position or 0)]:
            del self._beyond[last_id]

    def _judge(self, ordered: Ordered, now: float) -> Literal["place", "wait", "drop"]:
        """Say what becomes of the event whose turn it is."""
        if not self._is_doubtful(ordered):
            return "place"
        ahead = self._is_ahead(ordered)
        if ahead and self._is_refuted(ordered):
            return "drop"
        confirmed = not ahead or len([*self._behind_it(ordered)]) >= _IN_A_ROW - 1
        return "place" if confirmed and self._is_final(ordered.last_id, ordered.arrived, now) else "wait"

    def _is_refuted(self, doubtful: Ordered) -> bool:
        """Whether an event behind it is earlier, and nothing speaks against the time of that one."""
        return any(
            later.event_time < doubtful.event_time - self.odd_ms and not self._is_doubtful(later)
            for later in self._behind_it(doubtful)
        )

    def _behind_it(self, ordered: Ordered) -> Iterator[Ordered]:
        return (later for _, later in self._beyond.values() if later.last_id > ordered.last_id)

    def _begin_anew(self) -> None:
        self.position = None
        self._time = self._behind = 0
        self._kept.clear()
