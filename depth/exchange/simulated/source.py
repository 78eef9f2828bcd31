"""What can be played on the simulated exchange: listings, their changes, and the protocol of a source.

Prices and amounts are integers scaled by 1e8 throughout, so that one price is one number and text comes out exact.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from depth.exchange.simulated.book import Book

SCALE = 10**8
SLOT_MS = 100

Level = tuple[int, int]

_EVENT_TIME = re.compile(r'"E":\d+')
_FIRST_ID = re.compile(r'"U":\d+')
_LAST_ID = re.compile(r'"u":\d+')


def scaled(decimal: str) -> int:
    """Read decimal text, at most 8 decimals, as an integer scaled by 1e8.

    Raises:
        ValueError: no decimal number, or more decimals than 8 that are not zero.
    """
    whole, _, fraction = decimal.partition(".")
    if not whole.isdecimal() or fraction[8:].strip("0"):
        raise ValueError(f"{decimal!r} is no decimal number of at most 8 decimals")
    return int(whole + fraction[:8].ljust(8, "0"))


def decimal_text(value: int) -> str:
    """Write a scaled integer as Binance does: ``61837.63000000``."""
    return f"{value // SCALE}.{value % SCALE:08d}"


def levels_text(levels: Iterable[Level]) -> str:
    """Write levels as JSON: ``[["61837.63000000","3.78826000"],…]``, without the outer brackets."""
    return ",".join(
        [f'["{p // SCALE}.{p % SCALE:08d}","{a // SCALE}.{a % SCALE:08d}"]' for p, a in levels],
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """One spot market as `exchangeInfo` lists it.

    Attributes:
        base: base currency, ``BTC``.
        quote: quote currency, ``USDT``.
        tick: price step, scaled by 1e8.
        lot: amount step, scaled by 1e8.
    """

    base: str
    quote: str
    tick: int
    lot: int

    @property
    def id(self) -> str:
        """The exchange's name, ``BTCUSDT``."""
        return self.base + self.quote

    @property
    def symbol(self) -> str:
        """The name that people write, ``BTC/USDT``."""
        return f"{self.base}/{self.quote}"


@dataclass(frozen=True, slots=True)
class Diff:
    """One `depthUpdate` event.

    Attributes:
        market: the exchange's name, ``BTCUSDT``.
        first_id: Binance's U.
        last_id: Binance's u.
        time: E in ms.
        bids: changed bid levels, scaled; amount 0 removes.
        asks: changed ask levels, scaled.
        payload: the bare frame as it goes out.
    """

    market: str
    first_id: int
    last_id: int
    time: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    payload: str

    def at(self, time: int) -> "Diff":
        """Return the same event with another E in ms."""
        return replace(self, time=time, payload=restamped(self.payload, str(time)))

    def renumbered(self, offset: int) -> "Diff":
        """Return the same event with `offset` taken from both ids."""
        first_id, last_id = self.first_id - offset, self.last_id - offset
        payload = _FIRST_ID.sub(f'"U":{first_id}', self.payload, count=1)
        payload = _LAST_ID.sub(f'"u":{last_id}', payload, count=1)
        return replace(self, first_id=first_id, last_id=last_id, payload=payload)


def restamped(payload: str, event_time: str) -> str:
    """Put other digits behind ``"E":`` and leave every other byte as it is."""
    return _EVENT_TIME.sub(f'"E":{event_time}', payload, count=1)


def made(market: str, ids: tuple[int, int], time: int, bids: Sequence[Level], asks: Sequence[Level]) -> Diff:
    """Make an event together with its text, which has the keys and order of Binance's; `ids` are U and u."""
    first_id, last_id = ids
    payload = (
        f'{{"e":"depthUpdate","E":{time},"s":"{market}","U":{first_id},"u":{last_id},'
        f'"b":[{levels_text(bids)}],"a":[{levels_text(asks)}]}}'
    )
    return Diff(market, first_id, last_id, time, bids, asks, payload)


def merged(diffs: Sequence[Diff]) -> Diff:
    """Merge consecutive events as a slower stream does: U of the first, u and E of the last, last amount per price."""
    if len(diffs) == 1:
        return diffs[0]
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for diff in diffs:
        bids.update(diff.bids)
        asks.update(diff.asks)
    last = diffs[-1]
    return made(
        last.market,
        (diffs[0].first_id, last.last_id),
        last.time,
        sorted(bids.items(), reverse=True),
        sorted(asks.items()),
    )


class Source(Protocol):
    """Where markets come from. Immutable: asked twice, it tells the same story twice."""

    @property
    def listings(self) -> Sequence[Listing]:
        """The markets it plays."""
        ...

    @property
    def start_ms(self) -> int:
        """Event time at which the story starts; used to move it as a whole."""
        ...

    @property
    def begin_ms(self) -> int:
        """Market time at which playing begins: what happened before is in the book and never sent."""
        ...

    def placed(self, now_ms: int, speed: float) -> "Source":
        """Return the source as it plays when begun at `now_ms` (UTC, ms) with `speed` (market s per s, 0 = max)."""
        ...

    def opening(self, market: str) -> Book:
        """Return a fresh copy of the book from which the story starts."""
        ...

    def diffs(self, market: str) -> Iterator[Diff]:
        """Tell every event from the start, each with ids that follow the one before."""
        ...

    def own_body(self, market: str) -> str:
        """Return the REST depth body that came with the source."""
        ...
