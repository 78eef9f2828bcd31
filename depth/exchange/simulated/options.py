"""What can be asked of the exchange before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from depth.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions:
    """How one socket is served.

    Attributes:
        batch: number of 100 ms slots that go into one event; 2 merges pairs of events on the even grid of E.
        delay_ms: how much later than others it gets everything.
    """

    batch: int = 1
    delay_ms: int = 0

    def __post_init__(self) -> None:
        """Check the ranges; raises UsageError."""
        if self.batch < 1 or self.delay_ms < 0:
            raise UsageError(f"{self}: batch must be 1 or more and delay_ms 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the exchange plays and answers.

    Attributes:
        host: address to listen on.
        port: 0 = any free port.
        speed: market seconds per second; 0 = as fast as every socket takes it, and only while somebody listens.
        start_after: play once so many sockets are subscribed; 0 = at once.
        rest_ahead_ms: how much market time the bodies are ahead of the stream (Binance: up to 300).
        cut_inside_events: bodies end inside an event wherever the next event has an inside.
        body_levels: levels a side that a body has at most, besides the limit asked for.
        fixed_body: every body is the source's own, as recorded.
        sockets: how the n-th connected socket is served, from 1; `every_socket` for others.
        every_socket: how sockets are served that are not named.
        ping_seconds: time between pings of the server.
        pong_seconds: a connection without a pong for so long is closed.
        socket_age_seconds: a connection is closed at this age.
        messages_per_second: a connection that sends more is closed.
        weight_limit: request weight a minute; above it requests get 429.
        compress: offer permessage-deflate.
    """

    host: str = "127.0.0.1"
    port: int = 0
    speed: float = 1.0
    start_after: int = 0
    rest_ahead_ms: int = 0
    cut_inside_events: bool = False
    body_levels: int | None = None
    fixed_body: bool = False
    sockets: Mapping[int, SocketOptions] = field(default_factory=dict)
    every_socket: SocketOptions = field(default_factory=SocketOptions)
    ping_seconds: float = 20.0
    pong_seconds: float = 60.0
    socket_age_seconds: float = 86_400.0
    messages_per_second: int = 5
    weight_limit: int = 6_000
    compress: bool = False

    def __post_init__(self) -> None:
        """Check the ranges; raises UsageError."""
        for name in ("port", "speed", "start_after", "rest_ahead_ms"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        for name in ("ping_seconds", "pong_seconds", "socket_age_seconds", "messages_per_second", "weight_limit"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} is {getattr(self, name)}: it must be above 0")
        if self.body_levels is not None and self.body_levels < 1:
            raise UsageError(f"body_levels is {self.body_levels}: it must be 1 or more")
