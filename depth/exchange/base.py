"""What the collector asks of an exchange."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from depth.events import Anchor, Event

# A wait between two long steps, so that the frames that came meanwhile are read: what `sleep(0)` puts off asyncio runs
# before them.
FRAMES_FIRST_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Market:
    """One spot market.

    Attributes:
        symbol: ``BTC/USDT``.
        id: the exchange's name, ``BTCUSDT``.
        quote: quote currency, ``USDT``.
    """

    symbol: str
    id: str
    quote: str


@dataclass(frozen=True, slots=True)
class Sockets:
    """How the sockets are.

    Attributes:
        wanted: sockets that feed one book.
        open: those that are connected and subscribed.
        answering: of these, those that sent a frame in the last seconds, or may still answer.
        reconnects: sockets opened beyond the first of each place, since the start.
    """

    wanted: int
    open: int = 0
    answering: int = 0
    reconnects: int = 0


class Feed(Protocol):
    """Where sockets deliver. Called on the event loop; must not block."""

    def opened(self, socket: str) -> None:
        """Note that a socket is connected and subscribed."""
        ...

    def closed(self, socket: str) -> None:
        """Note that a socket will deliver no more."""
        ...

    def delivered(self, socket: str, event: Event, received: float, now: float) -> None:
        """Take one event.

        Args:
            socket: name of an open socket.
            event: the event; `event.market` is one that was asked for.
            received: local time of its frame, float seconds UTC.
            now: same moment, monotonic seconds.
        """
        ...


class Exchange(Protocol):
    """A spot market data source. One instance belongs to one event loop.

    Attributes:
        source: whose data these are; rows of two sources do not share a table.
    """

    source: str

    @property
    def malformed(self) -> int:
        """Frames that could not be read, since the start."""
        ...

    def sockets(self) -> Sockets:
        """Say how the sockets are now."""
        ...

    async def load(self, symbols: Sequence[str]) -> list[Market]:
        """Find the markets.

        Raises:
            UnknownSymbol: not a spot market there.
            AccessRefused: HTTP 451 or 403.
            ExchangeUnavailable: not reached; try again.
        """
        ...

    async def anchor(self, symbol: str) -> Anchor:
        """Fetch one REST snapshot, within the request weight.

        Raises:
            AccessRefused: HTTP 451 or 403.
            ExchangeUnavailable: not reached, or asked to wait; try again.
            MalformedFrame: the body is no snapshot.
        """
        ...

    async def trading(self, symbol: str) -> bool:
        """Say whether the exchange calls the market TRADING."""
        ...

    async def stream(self, markets: Sequence[Market], feed: Feed) -> None:
        """Keep the sockets alive and deliver events until cancelled."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
