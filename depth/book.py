"""The local order book: levels, known range, sampling and audit.

Pure: no I/O, no clock. Levels are not sorted between samples; a side keeps the levels near its best price apart from
the thousands beyond, so that an event costs a dictionary write a level and a sample reads the near ones alone.
"""

import math
from dataclasses import dataclass
from typing import Literal

from depth import buckets
from depth.epochs import Grid
from depth.events import Anchor, Event, Level

Unusable = Literal["one-sided", "unanchored", "crossed"]

# The near zone reaches this many windows from the best price it was drawn around; it is drawn anew when the window
# leaves it.
_ZONE_WINDOWS = 2.0
_LARGEST_EXPONENT = 300.0
_NEAR_WINDOWS = 1 / 3
_NEAR_SHARE = 1 / 2


@dataclass(frozen=True, slots=True)
class Sample:
    """The book at one update id, as far as it is known.

    Attributes:
        best_bid: best bid price.
        best_ask: best ask price.
        bid_buckets: money in quote currency a bucket, None where not known.
        ask_buckets: same of the asks.
    """

    best_bid: float
    best_ask: float
    bid_buckets: tuple[float | None, ...]
    ask_buckets: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """Two books held against each other at the same update id, inside both known ranges.

    Attributes:
        compared: levels of either book in the common range.
        mismatches: levels that only one has, or with another amount.
    """

    compared: int
    mismatches: int

    @property
    def agrees(self) -> bool:
        """Whether every level is the same in both."""
        return self.mismatches == 0


class _Side:
    """One side of the book.

    Attributes:
        edge: last known price; None where the side is known without end.
    """

    __slots__ = ("_bids", "_far", "_near", "_zone", "edge")

    def __init__(self, levels: list[Level], *, bids: bool, bounded: bool) -> None:
        self._bids = bids
        # A side that is bounded and has no levels is not known anywhere.
        nowhere = math.inf if bids else 0.0
        self.edge = (levels[-1][0] if levels else nowhere) if bounded else None
        self._far: dict[float, float] = {price: amount for price, amount in levels if amount}
        self._near: dict[float, float] = {}
        # The far end of the near zone; before the first sample everything is far.
        self._zone = nowhere

    def apply(self, changes: list[Level]) -> None:
        near, far, zone = self._near, self._far, self._zone
        # Twice the same loop: a comparison by function costs more than all the rest.
        if self._bids:
            for price, amount in changes:
                levels = near if price >= zone else far
                if amount:
                    levels[price] = amount
                else:
                    levels.pop(price, None)
        else:
            for price, amount in changes:
                levels = near if price <= zone else far
                if amount:
                    levels[price] = amount
                else:
                    levels.pop(price, None)

    def best(self, window: float) -> float | None:
        """Find the best price and see that the near zone holds the whole window behind it."""
        if not self._near:
            self._draw_zone(window)
        best = self._extreme(self._near)
        if best is not None and not self._inside(best, window):
            self._draw_zone(window)
        return best

    def knows(self, price: float) -> bool:
        return self.edge is None or (price >= self.edge if self._bids else price <= self.edge)

    def margin(self, best: float, window: float) -> float:
        """Log distance from the window's far end to the edge; negative where the window reaches beyond."""
        if self.edge is None:
            return math.inf
        return abs(math.log(best) - math.log(self.edge)) - window if self.knows(best) else -math.inf

    def values(self, best: float, grid: Grid, places: int) -> tuple[float | None, ...]:
        count = buckets.known(best, self.edge, grid)
        return buckets.values(self._near.items(), best, grid, count, places)

    def compare(self, other: "_Side") -> Audit:
        edges = [edge for edge in (self.edge, other.edge) if edge is not None]
        edge = (max(edges) if self._bids else min(edges)) if edges else None
        mine, theirs = self._within(edge), other._within(edge)  # noqa: SLF001  # same class
        if mine == theirs:  # nearly always, and ten times faster than to count
            return Audit(len(mine), 0)
        mismatches = sum(theirs.get(price) != amount for price, amount in mine.items())
        return Audit(len(mine.keys() | theirs.keys()), mismatches + len(theirs.keys() - mine.keys()))

    def _within(self, edge: float | None) -> dict[float, float]:
        parts = (self._far, self._near)
        if edge is None:
            return {**self._far, **self._near}
        if self._bids:
            return {price: amount for part in parts for price, amount in part.items() if price >= edge}
        return {price: amount for part in parts for price, amount in part.items() if price <= edge}

    def _draw_zone(self, window: float) -> None:
        far = self._far
        far.update(self._near)
        self._near = {}
        best = self._extreme(far)
        if best is None:
            return
        reach = math.exp(min(_ZONE_WINDOWS * window, _LARGEST_EXPONENT))
        self._zone = zone = best / reach if self._bids else best * reach
        if self._bids:
            self._near = {price: amount for price, amount in far.items() if price >= zone}
        else:
            self._near = {price: amount for price, amount in far.items() if price <= zone}
        for price in self._near:
            del far[price]

    def _extreme(self, levels: dict[float, float]) -> float | None:
        return (max if self._bids else min)(levels, default=None)

    def _inside(self, best: float, window: float) -> bool:
        """Whether the zone holds the window, and not so much more that sampling grows slow."""
        depth = abs(math.log(best) - math.log(self._zone))
        return min(1.01 * window, _LARGEST_EXPONENT - 1) <= depth <= 2 * _ZONE_WINDOWS * window


class Book:
    """A book built on one anchor.

    Attributes:
        last_id: update id that the book stands at.
    """

    __slots__ = ("_asks", "_bids", "_grid", "_least_margin", "_places", "last_id")

    def __init__(self, anchor: Anchor, grid: Grid, places: int) -> None:
        """Build the book of a REST snapshot.

        A side ends at its last level, unless the other side of the same body holds more levels than it: then the
        exchange had no more to tell.

        Args:
            anchor: REST body.
            grid: what will be sampled.
            places: decimals of a bucket's value.
        """
        self._grid = grid
        self._places = places
        self.last_id = anchor.last_id
        bids, asks = anchor.bids, anchor.asks
        self._bids = _Side(bids, bids=True, bounded=len(bids) >= len(asks))
        self._asks = _Side(asks, bids=False, bounded=len(asks) >= len(bids))
        self._least_margin = max(_NEAR_WINDOWS * grid.window, _NEAR_SHARE * self.margin())

    def apply(self, event: Event) -> None:
        """Set the levels that changed and remove those with amount 0; the caller has ordered the events."""
        self._bids.apply(event.bids)
        self._asks.apply(event.asks)
        self.last_id = event.last_id

    def sample(self) -> Sample | Unusable:
        """Read best prices and buckets, or say why the book cannot vouch for them."""
        window = self._grid.window
        bid, ask = self._bids.best(window), self._asks.best(window)
        if any(best is not None and not side.knows(best) for side, best in ((self._bids, bid), (self._asks, ask))):
            return "unanchored"
        if bid is None or ask is None:
            return "one-sided"
        if bid >= ask:
            return "crossed"
        return Sample(
            bid,
            ask,
            self._bids.values(bid, self._grid, self._places),
            self._asks.values(ask, self._grid, self._places),
        )

    def margin(self) -> float:
        """Give the smaller log distance from the window to the edge of the known range.

        Returns:
            Infinite where nothing bounds the book, negative where the window reaches beyond the edge.
        """
        window = self._grid.window
        bid, ask = self._bids.best(window), self._asks.best(window)
        if bid is None or ask is None:
            return -math.inf
        return min(self._bids.margin(bid, window), self._asks.margin(ask, window))

    def near_edge(self) -> bool:
        """Say whether the window is so near to the edge of the known range that another anchor is due.

        Within a third of the window, or with half of the margin used up that the anchor gave: a fall in price must not
        reach the edge while the next anchor is fetched.
        """
        return self.margin() < self._least_margin

    def audit(self, other: "Book") -> Audit:
        """Hold this book against another at the same update id."""
        bids, asks = self._bids.compare(other._bids), self._asks.compare(other._asks)  # noqa: SLF001  # same class
        return Audit(bids.compared + asks.compared, bids.mismatches + asks.mismatches)
