"""The exchange's own book, and the REST bodies that are cut from it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from depth.exchange.simulated.source import Diff, Level


class Book:
    """All resting amounts of one market, as far as the source knows them.

    Attributes:
        last_id: the last update id that it holds.
        bids: amount by price, both scaled by 1e8.
        asks: amount by price, both scaled by 1e8.
        bid_edge: lowest bid price that is surely known; None where every level is.
        ask_edge: highest ask price that is surely known; None where every level is.
    """

    __slots__ = ("ask_edge", "asks", "bid_edge", "bids", "last_id")

    def __init__(self, last_id: int, bids: Iterable["Level"], asks: Iterable["Level"]) -> None:
        """Hold the levels; the book is taken as complete until edges are set."""
        self.last_id = last_id
        self.bids = dict(bids)
        self.asks = dict(asks)
        self.bid_edge: int | None = None
        self.ask_edge: int | None = None

    def copy(self) -> "Book":
        """Return an independent book of the same state."""
        twin = Book(self.last_id, self.bids.items(), self.asks.items())
        twin.bid_edge, twin.ask_edge = self.bid_edge, self.ask_edge
        return twin

    def apply(self, diff: "Diff") -> None:
        """Take one event; an event that the book holds already changes nothing."""
        if diff.last_id <= self.last_id:
            return
        _set(self.bids, diff.bids)
        _set(self.asks, diff.asks)
        self.last_id = diff.last_id

    def cut(self, diff: "Diff") -> "Book":
        """Return the book somewhere inside the next event, or a plain copy where that event has no inside.

        Removals come first, so that no price is ever crossed on the way. How much of the event is in follows from
        its id alone: the same event is always cut at the same place.
        """
        twin = self.copy()
        changes = [(side, level) for side, levels in ((0, diff.bids), (1, diff.asks)) for level in levels]
        if len(changes) < 2 or diff.last_id == diff.first_id or diff.first_id <= self.last_id:  # noqa: PLR2004
            return twin
        changes.sort(key=lambda change: change[1][1] > 0)
        eighths = diff.last_id % 7 + 1
        for side, level in changes[: max(1, len(changes) * eighths // 8)]:
            _set(twin.asks if side else twin.bids, (level,))
        twin.last_id = diff.first_id + (diff.last_id - diff.first_id) * eighths // 8
        return twin

    def known(self, limit: int | None = None) -> tuple[list["Level"], list["Level"]]:
        """Return the levels that a body may tell, best first, at most so many a side.

        A book with edges tells only what lies between them, and as many bids as asks: a client takes the side with
        fewer levels as complete.
        """
        low, high = self.bid_edge, self.ask_edge
        bids = sorted((p for p in self.bids if low is None or p >= low), reverse=True)
        asks = sorted(p for p in self.asks if high is None or p <= high)
        if low is not None or high is not None:
            fewer = min(len(bids), len(asks))
            limit = fewer if limit is None else min(limit, fewer)
        return [(p, self.bids[p]) for p in bids[:limit]], [(p, self.asks[p]) for p in asks[:limit]]


def _set(side: dict[int, int], levels: Iterable["Level"]) -> None:
    for price, amount in levels:
        if amount:
            side[price] = amount
        else:
            side.pop(price, None)
