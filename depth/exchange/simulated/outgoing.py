"""From events to the frames of one socket: merging, faults, framing. Pure."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from depth.exchange.simulated.source import SLOT_MS, Diff, merged, restamped
from depth.exchange.simulated.subscriptions import Subscriptions


def nothing() -> None:
    """Do nothing."""


@dataclass(slots=True)
class SocketFaults:
    """What is wrong with one socket, now or once it connects.

    Attributes:
        drop: number of events that will not be sent.
        duplicate: number of events that will be sent twice.
        truncate: number of events of which only the first half of the text will be sent.
        moved: number of events that get a wrong E.
        moved_ms: by how much it is wrong.
        refusals: number of requests that will be answered with an error.
        microseconds: E is written in µs.
        half_open: TCP stays open; nothing is sent, answered or closed any more.
        frozen_until: nothing is sent before this time of the event loop's clock.
        ending: how it is about to end: ``reset``, ``close`` or nothing.
        injected: frames to send before anything else; each makes its text from the socket's `combined`.
        connected: the socket is open.
        changed: called when any of this has changed.
    """

    drop: int = 0
    duplicate: int = 0
    truncate: int = 0
    moved: int = 0
    moved_ms: int = 0
    refusals: int = 0
    microseconds: bool = False
    half_open: bool = False
    frozen_until: float = 0.0
    ending: str = ""
    injected: deque[Callable[[bool], str]] = field(default_factory=deque)
    connected: bool = False
    changed: Callable[[], None] = nothing


class Outgoing:
    """Turns events into the frames that one socket gets."""

    def __init__(self, subscriptions: Subscriptions, faults: SocketFaults, batch: int = 1) -> None:
        """Serve a socket that merges `batch` slots of 100 ms into one event."""
        self._subscriptions = subscriptions
        self._faults = faults
        self._batch = batch
        self._held: dict[str, tuple[int, list[Diff]]] = {}

    def take(self, diff: Diff) -> list[str]:
        """Return the frames that become due with one event."""
        frames: list[str] = []
        for stream, slots in self._subscriptions.depth_streams(diff.market):
            span_ms = slots * self._batch * SLOT_MS
            if span_ms == SLOT_MS:
                frames += self._frames(stream, diff)
                continue
            end_ms, held = self._held.get(stream, (0, []))
            if held and diff.time >= end_ms:
                frames += self._frames(stream, merged(held))
                held = []
            if not held:
                end_ms = (diff.time // span_ms + 1) * span_ms
            self._held[stream] = (end_ms, [*held, diff])
            if diff.time >= end_ms - SLOT_MS:
                frames += self.flush(end_ms)
        return frames

    def flush(self, market_ms: int | None = None) -> list[str]:
        """Return the frames of merged events whose time is over; None = all that are held."""
        over = [s for s, (end_ms, held) in self._held.items() if held and (market_ms is None or market_ms >= end_ms)]
        return [frame for stream in over for frame in self._frames(stream, merged(self._held.pop(stream)[1]))]

    def _frames(self, stream: str, diff: Diff) -> list[str]:
        faults = self._faults
        if faults.drop:
            faults.drop -= 1
            return []
        time, payload = diff.time, diff.payload
        if faults.moved:
            faults.moved -= 1
            time += faults.moved_ms
            payload = restamped(payload, str(time))
        if faults.microseconds:
            payload = restamped(payload, f"{time}{diff.last_id % 1000:03d}")
        frame = self._subscriptions.framed(stream, payload)
        if faults.truncate:
            faults.truncate -= 1
            return [frame[: len(frame) // 2]]
        if faults.duplicate:
            faults.duplicate -= 1
            return [frame, frame]
        return [frame]
