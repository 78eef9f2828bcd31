"""The random walk of a whole order book, slot by slot."""

import math
import random
from bisect import bisect_left
from copy import copy

from depth.exchange.simulated.source import SCALE, SLOT_MS, Level

_LEVELS = 7_900
_FEWEST_LEVELS = 7_600
_MOST_LEVELS = 9_800
_LEVELS_IN_WINDOW = 290
_WINDOW = 0.0008
_DENSEST_GAP_TICKS = 1.3
_CROWDING = 0.45  # room at which an order is as likely to come as to go, in mean gaps
_MEDIAN_CHANGES = 22.3
_SPREAD_OF_CHANGES = 1.2  # sigma of the logarithm: p95 = median * exp(1.645 * sigma)
_MOST_CHANGES = 1_076
_QUIET_SLOTS = 0.004
_UNSEEN_DELETES = 0.06
_FASTEST = 0.00025  # of the price, in one slot
_RUSHES = 1 / 2_400  # a fast move every four minutes
_MEDIAN_NOTIONAL = 25.0
_SPREAD_OF_NOTIONAL = 2.8
_SIZES = 4_096  # different sizes of orders, drawn once


class Side:
    """One side's levels. Keys rise towards the best price: bids by price, asks by its negative.

    Attributes:
        keys: sorted, the best last.
        amounts: amount by price, both scaled by 1e8.
        changes: what this slot changed.
    """

    __slots__ = ("amounts", "changes", "keys", "sign")

    def __init__(self, sign: int) -> None:
        """Begin empty; `sign` is 1 for bids and -1 for asks."""
        self.sign = sign
        self.keys: list[int] = []
        self.amounts: dict[int, int] = {}
        self.changes: dict[int, int] = {}

    def copy(self) -> "Side":
        """Return an independent side of the same state."""
        twin = Side(self.sign)
        twin.keys, twin.amounts, twin.changes = self.keys.copy(), self.amounts.copy(), self.changes.copy()
        return twin

    def put(self, key: int, amount: int) -> None:
        """Add a level that is not there."""
        self.keys.insert(bisect_left(self.keys, key), key)
        self.set(key, amount)

    def set(self, key: int, amount: int) -> None:
        """Change the amount of a level."""
        self.amounts[key * self.sign] = self.changes[key * self.sign] = amount

    def remove(self, index: int) -> None:
        """Take a level away."""
        price = self.keys.pop(index) * self.sign
        del self.amounts[price]
        self.changes[price] = 0


class Walk:
    """A book that moves. Every `step` is one slot of 100 ms; the draws alone decide what happens.

    Attributes:
        bids: the bid side.
        asks: the ask side.
        phase_ms: where in a slot this market's events fall.
    """

    def __init__(self, draw: random.Random, price: int, tick: int, lot: int) -> None:
        """Open the market: `price`, `tick` and `lot` scaled by 1e8."""
        self._draw = draw
        self._tick = tick
        self._lot = lot
        self._rush = 0
        self._rush_up = False
        self.phase_ms = draw.randrange(1, SLOT_MS)
        self.bids = Side(1)
        self.asks = Side(-1)
        self._sizes = [draw.lognormvariate(0.0, _SPREAD_OF_NOTIONAL) for _ in range(_SIZES)]
        self._set_scale(price)
        for side, best in ((self.bids, price), (self.asks, -price - tick)):
            keys = [best]
            while len(keys) < _LEVELS:
                keys.append(keys[-1] - self._gap())
            side.keys = keys[::-1]
            side.amounts = {key * side.sign: self._amount(rank) for rank, key in enumerate(keys)}

    def copy(self) -> "Walk":
        """Return an independent walk that will go the same way."""
        twin = copy(self)
        twin.bids, twin.asks = self.bids.copy(), self.asks.copy()
        draw = twin._draw = random.Random()  # noqa: S311, SLF001 - a market, no secret; own class
        draw.setstate(self._draw.getstate())
        return twin

    def step(self) -> tuple[list[Level], list[Level], int]:
        """Live through one slot.

        Returns:
            Changed bids, best first; changed asks, best first; the number of update ids used, 0 in a quiet slot.
        """
        draw = self._draw
        count = 0 if draw.random() < _QUIET_SLOTS else self._count()
        if not count:
            return [], [], 0
        bids, asks = self.bids, self.asks
        bids.changes, asks.changes = {}, {}
        self._set_scale(bids.keys[-1])
        up = self._rush_up if self._rush else draw.random() < 0.5  # noqa: PLR2004
        share = 0.25 if self._rush else 0.25 * draw.random() ** 2
        self._rush = max(0, self._rush - 1)
        self._move(*((asks, bids) if up else (bids, asks)), int(count * share))
        if bids.keys[-1] + asks.keys[-1] < -self._tick:
            self._close_spread(bids, asks)
        for side in (bids, asks):
            self._tend_far_end(side, count // 6 + 1)
        self._churn(count)
        changes = len(bids.changes) + len(asks.changes)
        return (
            sorted(bids.changes.items(), reverse=True),
            sorted(asks.changes.items()),
            changes + draw.randrange(changes // 2 + 1),
        )

    def _count(self) -> int:
        draw = self._draw
        if not self._rush and draw.random() < _RUSHES:
            self._rush = draw.randrange(12, 45)
            self._rush_up = draw.random() < 0.5  # noqa: PLR2004
        count = int(draw.lognormvariate(math.log(_MEDIAN_CHANGES + 0.5), _SPREAD_OF_CHANGES))
        return min(max(count, 160) if self._rush else count, _MOST_CHANGES)

    def _set_scale(self, price: int) -> None:
        """Keep the density of levels and the worth of orders as the price walks."""
        self._gap_ticks = max(_DENSEST_GAP_TICKS, price * _WINDOW / self._tick / _LEVELS_IN_WINDOW)
        self._typical_lots = _MEDIAN_NOTIONAL / (price / SCALE) / (self._lot / SCALE)

    def _gap(self) -> int:
        return (1 + int(self._draw.expovariate(1 / (self._gap_ticks - 0.5)))) * self._tick

    def _amount(self, rank: int) -> int:
        lots = 1 + int(self._typical_lots * self._sizes[int(self._draw.random() * _SIZES)])
        return min(lots, 10**8) * (1 + 40 // (1 + rank)) * self._lot

    def _move(self, taken: Side, gaining: Side, levels: int) -> None:
        """Take the best levels of one side and let the other follow into the room that they leave."""
        furthest = taken.keys[-1] - int(abs(taken.keys[-1]) * _FASTEST)
        for _ in range(levels):
            if taken.keys[-1] < furthest:
                break
            taken.remove(-1)
        limit = -taken.keys[-1] - self._tick
        fresh: list[int] = []
        key = limit
        while key > gaining.keys[-1] and len(fresh) <= levels:
            fresh.append(key)
            key -= self._gap()
        for rank, key in reversed(list(enumerate(fresh))):
            gaining.put(key, self._amount(rank))

    def _close_spread(self, bids: Side, asks: Side) -> None:
        """Bring one side back to within a tick of the other."""
        side, other = (bids, asks) if self._draw.random() < 0.5 else (asks, bids)  # noqa: PLR2004
        side.put(-other.keys[-1] - self._tick, self._amount(0))

    def _tend_far_end(self, side: Side, at_most: int) -> None:
        """Keep the book deep enough and no deeper, far from where anybody trades."""
        for _ in range(at_most):
            if len(side.keys) < _FEWEST_LEVELS:
                side.put(side.keys[0] - self._gap(), self._amount(_LEVELS))
            elif len(side.keys) > _MOST_LEVELS:
                side.remove(0)
            else:
                return

    def _churn(self, count: int) -> None:
        """Place, change and cancel orders, most of them near the best price, until `count` levels changed."""
        random_share, tick = self._draw.random, self._tick
        bids, asks = self.bids, self.asks
        unseen = _UNSEEN_DELETES * count / max(1, count - len(bids.changes) - len(asks.changes))
        depth = math.log(min(len(bids.keys), len(asks.keys)) - count)
        for _ in range(4 * count):
            if len(bids.changes) + len(asks.changes) >= count:
                return
            side = bids if random_share() < 0.5 else asks  # noqa: PLR2004
            if random_share() < unseen:
                self._delete_unseen(side)
                continue
            rank = int(math.exp(random_share() * depth)) - 1
            key = side.keys[-1 - rank]
            if random_share() < 0.55:  # noqa: PLR2004
                side.set(key, self._amount(rank))
                continue
            room = (key - side.keys[-2 - rank]) // tick - 1
            if random_share() * (room + _CROWDING * self._gap_ticks) < room:
                side.put(key - (1 + int(random_share() * room)) * tick, self._amount(rank + 1))
            else:
                side.remove(-1 - rank)

    def _delete_unseen(self, side: Side) -> None:
        """Tell of an order that came and went within the slot."""
        price = (side.keys[-1] - draw_ticks(self._draw, self._gap_ticks) * self._tick) * side.sign
        if price not in side.amounts:
            side.changes[price] = 0


def draw_ticks(draw: random.Random, gap_ticks: float) -> int:
    """Draw a distance from the best price in ticks, mostly small."""
    return 1 + int(draw.expovariate(1 / (60 * gap_ticks)))
