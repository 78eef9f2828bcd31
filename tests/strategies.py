"""Hypothesis strategies of consistent Binance traffic: whole streams, anchors of them, deliveries over two sockets.

A stream is made from a whole book that only the exchange knows. So the truth of every epoch is at hand
(`oracle.full_rows` over `Stream.opening`), and a REST body may be cut from the book at any update id, also inside an
event (`Stream.body_at`). No code of the project is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.oracle import Body, Event

TICK = Decimal("0.5")
"""At prices about 100,000 a tick is a quarter of a bucket of 0.00002, and 0.01 units at half ticks are half cents."""
STEP = 0.00002

SETTINGS = settings(
    deadline=None,
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""For tests over whole streams. Without the explain phase, which takes minutes on these and outlives a test's time."""

ONE_SOCKET = ((0,), (1,))
BOTH_SOCKETS = ((0, 1),)

# Milliseconds from one E to the next: the 100 ms grid with skipped slots, often enough over a second that short streams
# have rows; equal times; steps back; and rarely the longest quiet that is filled, 300 s, and one that is not.
E_STEPS = (*[100] * 8, 200, 200, 400, 400, 900, *[1000] * 4, 1100, 2100, 7000, 0, 0, -100, -1100, 300_000, 300_100)

Spelling = Literal["8 decimals", "shortest"]


@dataclass(frozen=True)
class Change:
    """One level change: `distance` ticks from the mid price (1 is the nearest), amount as the exchange writes it."""

    side: Literal["b", "a"]
    distance: int
    amount: str
    spelling: Spelling


@dataclass(frozen=True)
class Step:
    """What happens from one event to the next."""

    ids: int
    """Update ids in the event (u - U + 1)."""
    milliseconds: int
    drift: int
    """Ticks the mid price moves."""
    changes: list[Change]
    wiped: str
    """The side that loses all its levels, "" for neither."""
    crossing: bool
    """Leave the levels that the moved mid price crosses."""


@dataclass(frozen=True)
class Stream:
    """A stretch of one symbol's diff stream."""

    opening: Body
    """The exchange's whole book just before the first event."""
    events: list[Event]

    def body_at(self, update_id: int, limit: int) -> Body:
        """Return the REST body of ``limit`` levels a side after `update_id`, which may lie inside an event's ids.

        Inside an event the book is between two of its changes: as many are made as ids have passed.
        """
        book: dict[str, dict[Decimal, str]] = {"b": {}, "a": {}}
        for side, name in (("b", "bids"), ("a", "asks")):
            _make(book, [(side, price, amount) for price, amount in self.opening[name]])
        for event in self.events:
            if event["U"] <= update_id:
                changes = [(side, price, amount) for side in ("b", "a") for price, amount in event[side]]
                passed = len(changes) if event["u"] <= update_id else update_id - event["U"] + 1
                _make(book, changes[:passed])
        return {
            "lastUpdateId": update_id,
            "bids": [[f"{price:.8f}", book["b"][price]] for price in sorted(book["b"], reverse=True)[:limit]],
            "asks": [[f"{price:.8f}", book["a"][price]] for price in sorted(book["a"])[:limit]],
        }


def _make(book: dict[str, dict[Decimal, str]], changes: Sequence[tuple[str, str, str]]) -> None:
    for side, price, amount in changes:
        if Decimal(amount):
            book[side][Decimal(price)] = amount
        else:
            book[side].pop(Decimal(price), None)


def _spell(price: Decimal, spelling: Spelling) -> str:
    if spelling == "8 decimals":
        return f"{price:.8f}"
    return f"{price:.1f}" if price % 1 else f"{price:.0f}"


amounts = st.one_of(
    st.integers(1, 500).map(lambda hundredths: f"{Decimal(hundredths) / 100:.8f}"),
    st.integers(1, 10**12).map(lambda units: f"{Decimal(units) / 10**8:.8f}"),
    st.sampled_from(["0.00000000", "0", "0.0"]),
)
"""Amounts with many half-cent ties, amounts with all 8 decimals, and deletes."""

changes = st.builds(
    Change,
    side=st.sampled_from(["b", "a"]),
    distance=st.integers(1, 8) | st.integers(1, 200),
    amount=amounts,
    spelling=st.sampled_from(["8 decimals", "shortest"]),
)

steps = st.builds(
    Step,
    ids=st.integers(1, 6),
    milliseconds=st.sampled_from(E_STEPS),
    drift=st.sampled_from([0, 0, 1, -1, 2, -2, 5, -5, 20, -20, 60, -60]),
    changes=st.lists(changes, max_size=6),
    wiped=st.sampled_from(["", "", "", "", "", "", "b", "a"]),
    crossing=st.sampled_from([False, False, True]),
)


def _resting(occupied: int) -> dict[int, str]:
    # One integer a side is quick to draw and to shrink: bit n says that a level rests n + 1 ticks from the mid price.
    distances = [bit + 1 for bit in range(occupied.bit_length()) if occupied >> bit & 1]
    return {distance: f"{Decimal(distance * 7 % 500) / 100:.8f}" for distance in distances}


resting = st.integers(0, 2**160 - 1).map(_resting)
"""One side of an opening book, none to about 80 levels, as amount by distance in ticks."""


@st.composite
def streams(draw: st.DrawFn, max_events: int = 16, *, microseconds: bool | None = None) -> Stream:
    """Draw a stream: an opening book and events with contiguous ids of random spans.

    Times lie on a 100 ms grid with quiet stretches, equal times and steps back. There are deletes of unknown prices,
    sides that empty and fill again, crossed books, one price written in two ways, and prices about 100,000, where text
    order is wrong. Each price comes once a side in an event, as Binance has it.

    Args:
        draw: given by Hypothesis.
        max_events: most events in the stream; there is at least one.
        microseconds: write E with 16 digits; None lets Hypothesis choose.
    """
    mid = draw(st.integers(199_950, 200_050))
    update_id = draw(st.sampled_from([0, 50_093_239_218]))
    time = 1_723_161_255_000 + 100 * draw(st.integers(0, 12))
    sixteen = draw(st.booleans()) if microseconds is None else microseconds
    bids, asks = draw(resting), draw(resting)
    book = {
        "b": {mid - distance: amount for distance, amount in bids.items()},
        "a": {mid + distance: amount for distance, amount in asks.items()},
    }
    opening = {
        "lastUpdateId": update_id,
        "bids": [[f"{tick * TICK:.8f}", book["b"][tick]] for tick in sorted(book["b"], reverse=True)],
        "asks": [[f"{tick * TICK:.8f}", book["a"][tick]] for tick in sorted(book["a"])],
    }
    events: list[Event] = []
    few = st.lists(steps, min_size=1, max_size=max_events)
    many = st.lists(steps, min_size=(max_events + 1) // 2, max_size=max_events)
    for step in draw(few | many):
        mid += step.drift
        time += step.milliseconds
        written: dict[str, dict[int, tuple[str, Spelling]]] = {"b": {}, "a": {}}
        for side in ("b", "a"):
            gone = [
                tick
                for tick in book[side]
                if side == step.wiped or (not step.crossing and (tick >= mid if side == "b" else tick <= mid))
            ]
            written[side] = dict.fromkeys(gone, ("0.00000000", "8 decimals"))
        for change in step.changes:
            written[change.side][_ticks(mid, change)] = (change.amount, change.spelling)
        for side, levels in written.items():
            for tick, (amount, _) in levels.items():
                book[side].pop(tick, None)
                if Decimal(amount):
                    book[side][tick] = amount
        events.append(
            {
                "e": "depthUpdate",
                "E": time * 1000 + update_id % 1000 if sixteen else time,
                "s": "BTCUSDT",
                "U": update_id + 1,
                "u": update_id + step.ids,
                "b": _pairs(written["b"], reverse=True),
                "a": _pairs(written["a"], reverse=False),
            }
        )
        update_id += step.ids
    return Stream(opening, events)


def _ticks(mid: int, change: Change) -> int:
    return mid - change.distance if change.side == "b" else mid + change.distance


def _pairs(levels: dict[int, tuple[str, Spelling]], *, reverse: bool) -> list[list[str]]:
    return [
        [_spell(tick * TICK, spelling), amount] for tick, (amount, spelling) in sorted(levels.items(), reverse=reverse)
    ]


def anchors(stream: Stream, max_levels: int = 30) -> st.SearchStrategy[Body]:
    """Draw a REST body of a stream: at any update id, often an early one, cut to 1..`max_levels` levels a side."""
    first, last = stream.opening["lastUpdateId"], stream.events[-1]["u"]
    update_ids = st.integers(first, stream.events[0]["u"]) | st.integers(first, last)
    return st.builds(stream.body_at, update_ids, st.integers(1, max_levels))


def deliver(
    events: Sequence[Event], routes: Sequence[tuple[int, ...]], turns: Sequence[int]
) -> list[tuple[int, Event]]:
    """Interleave events over two sockets, each in its own order.

    Args:
        events: in update id order.
        routes: for each event the sockets (0, 1) that deliver it.
        turns: which socket is next, as long as both still have something; when used up, socket 0 goes first.
    """
    waiting = [[event for event, route in zip(events, routes, strict=True) if socket in route] for socket in (0, 1)]
    delivered: list[tuple[int, Event]] = []
    order = iter(turns)
    while waiting[0] or waiting[1]:
        socket = next(order, 0) if waiting[0] and waiting[1] else int(not waiting[0])
        delivered.append((socket, waiting[socket].pop(0)))
    return delivered


@st.composite
def deliveries(draw: st.DrawFn, events: Sequence[Event]) -> list[tuple[int, Event]]:
    """Draw how two sockets deliver these events: ``[(socket, event)]`` in the order of arrival.

    Every event comes over at least one socket, many over both; a socket may lag behind the other without limit,
    but keeps its own order, as TCP does.
    """
    count = len(events)
    routes = draw(st.lists(st.sampled_from(BOTH_SOCKETS + ONE_SOCKET), min_size=count, max_size=count))
    turns: list[int] = draw(st.lists(st.integers(0, 1), max_size=2 * count))
    return deliver(events, routes, turns)
