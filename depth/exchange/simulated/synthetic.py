"""A seeded market that behaves like BTCUSDT does on Binance.

Its figures follow recordings: 10 slots a second, a median of 22 to 24 level changes with a heavy tail up to 1,076,
85 to 434 levels a side within 0.08 % of the best, 5000 levels that reach 0.93 to 2.5 %, one change in eleven a delete
of a price that nobody saw, now and then a slot without change, and a fast move of some tens of basis points every few
minutes. The whole book is known: more than 6,000 levels a side.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from depth.errors import UsageError
from depth.exchange.simulated.book import Book
from depth.exchange.simulated.listings import listing
from depth.exchange.simulated.playing import body_text
from depth.exchange.simulated.source import SLOT_MS, Diff, Listing, Source, made
from depth.exchange.simulated.walk import Walk

_OWN_BODY_LEVELS = 5000


@dataclass(frozen=True, slots=True)
class SyntheticSource:
    """Markets that a seed makes up. Events follow from seed, symbol, start and slot number alone.

    Attributes:
        symbols: ``BTC/USDT``, or ``SOL/USDT=150.25`` with an opening price.
        seed: another seed, another market.
        start: event time in ms of slot 0; None = when the exchange begins to play.
        since: the market has been open since `start`, by the wall clock: two exchanges, or one that was started
            again, are at the same slot at the same moment. What they missed is made up for before they are ready
            (some thousand slots a second).
        first_id: update id of the first event; None = from the start time, so that a later start has higher ids.
    """

    symbols: Sequence[str] = ("BTC/USDT",)
    seed: int = 1
    start: int | None = None
    since: bool = False
    first_id: int | None = None
    start_ms: int = field(default=0, init=False)
    begin_ms: int = field(default=0, init=False)
    _openings: Mapping[str, tuple[Listing, int]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the symbols; raises UsageError."""
        if self.since and self.start is None:
            raise UsageError("since needs a start")
        listed = [listing(symbol) for symbol in self.symbols]
        object.__setattr__(self, "_openings", {market.id: (market, price) for market, price in listed})
        object.__setattr__(self, "start_ms", self.start or 0)
        object.__setattr__(self, "begin_ms", self.start_ms)

    @property
    def listings(self) -> Sequence[Listing]:
        """The markets, in the order given."""
        return [market for market, _ in self._openings.values()]

    def placed(self, now_ms: int, speed: float) -> Source:
        """Fix the start and the first id; see `Source.placed`."""
        start = now_ms // SLOT_MS * SLOT_MS if self.start is None else self.start
        placed = replace(self, first_id=self.first_id or start)
        begin = start + int((now_ms - start) * speed) if self.since else start
        object.__setattr__(placed, "start_ms", start)
        object.__setattr__(placed, "begin_ms", begin)
        return placed

    def opening(self, market: str) -> Book:
        """Return the whole book before slot 0."""
        walk = self._walk(market)
        return Book((self.first_id or 1) - 1, walk.bids.amounts.items(), walk.asks.amounts.items())

    def diffs(self, market: str) -> Iterator[Diff]:
        """Tell the events, for ever."""
        walk = self._walk(market)
        last_id = (self.first_id or 1) - 1
        time = self.start_ms + walk.phase_ms
        while True:
            bids, asks, updates = walk.step()
            if updates:
                yield made(market, (last_id + 1, last_id + updates), time, bids, asks)
                last_id += updates
            time += SLOT_MS

    def own_body(self, market: str) -> str:
        """Return the opening body of 5000 levels."""
        return body_text(self.opening(market), _OWN_BODY_LEVELS) or ""

    def _walk(self, market: str) -> Walk:
        found, price = self._openings[market]
        return _opened(f"{self.seed}:{market}", price, found.tick, found.lot).copy()


@lru_cache(maxsize=32)
def _opened(seed: str, price: int, tick: int, lot: int) -> Walk:
    return Walk(random.Random(seed), price, tick, lot)  # noqa: S311 - a market, no secret
