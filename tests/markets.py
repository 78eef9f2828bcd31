"""Made-up markets in which something happens that seldom happens."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from depth.exchange.simulated import Book, Diff, Listing, Source
from depth.exchange.simulated.source import made

Change = Callable[[Diff, int], Diff]
"""Takes an event and the milliseconds since the market opened; gives the event that really happens."""


@dataclass(frozen=True)
class Altered:
    """A market with some of its events changed; its own books and bodies hold the changes, too."""

    source: Source
    change: Change

    @property
    def listings(self) -> Sequence[Listing]:
        return self.source.listings

    @property
    def start_ms(self) -> int:
        return self.source.start_ms

    @property
    def begin_ms(self) -> int:
        return self.source.begin_ms

    def placed(self, now_ms: int, speed: float) -> Source:
        return replace(self, source=self.source.placed(now_ms, speed))

    def opening(self, market: str) -> Book:
        return self.source.opening(market)

    def diffs(self, market: str) -> Iterator[Diff]:
        for diff in self.source.diffs(market):
            yield self.change(diff, diff.time - self.start_ms)

    def own_body(self, market: str) -> str:
        return self.source.own_body(market)


def with_unknown_keys(diff: Diff, _: int) -> Diff:
    """Add what Binance may add some day."""
    return replace(diff, payload=diff.payload[:-1] + ',"zz":[1,{"e":null}],"T":1.5e3}')


def crossed(begin_ms: int, end_ms: int) -> Change:
    """Let a bid at five times the price rest for a while: the book is crossed."""
    bid = 5 * 10**5 * 10**8

    def change(diff: Diff, ms: int) -> Diff:
        if begin_ms <= ms < end_ms:
            return _with_bid(diff, (bid, 10**8))
        return _with_bid(diff, (bid, 0)) if end_ms <= ms < end_ms + 1000 else diff

    return change


def _with_bid(diff: Diff, level: tuple[int, int]) -> Diff:
    return made(diff.market, (diff.first_id, diff.last_id), diff.time, [level, *diff.bids], diff.asks)
