"""The oracle: what every row must hold, computed the slow and obvious way from DESIGN sections 1, 2, 3 and 5.

It shares no code with `depth`: plain dicts of `decimal.Decimal`, plain loops, every level looked at for every row.
Events and REST bodies are the exchange's own JSON as dicts, prices and amounts still strings.

What is not here, because it belongs to the capture and not to the content of a row: sockets, holes, kept events, the
audit, the time of re-anchoring. The oracle is given the received events in update id order, each once, without a hole.
"""

import decimal
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

Event = Mapping[str, Any]
"""A depthUpdate: E, U, u, b, a."""
Body = Mapping[str, Any]
"""A REST depth body: lastUpdateId, bids, asks."""
Side = dict[Decimal, Decimal]
"""Amount by price. Decimals that compare equal are one key, so one price written in two ways is one level."""

# Sums are exact or they fail: an inexact product or sum raises instead of being rounded unseen.
EXACT = decimal.Context(prec=200, traps=[decimal.Inexact, decimal.InvalidOperation])
ROUNDING = decimal.Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[decimal.InvalidOperation])


class HoleError(ValueError):
    """The events do not join the snapshot or one another."""


class NaiveBook:
    """Dicts, and the last amount wins. Checks nothing: the events must come in update id order without a hole."""

    def __init__(self, body: Body) -> None:
        self.update_id: int = body["lastUpdateId"]
        self.bids: Side = {}
        self.asks: Side = {}
        for price, amount in body["bids"]:
            self.bids[Decimal(price)] = Decimal(amount)
        for price, amount in body["asks"]:
            self.asks[Decimal(price)] = Decimal(amount)

    def apply_all(self, events: Sequence[Event]) -> tuple[Side, Side]:
        """Apply what the book does not have yet and return (bids, asks) without the deleted levels."""
        for event in events:
            if event["u"] > self.update_id:
                self.bids.update((Decimal(price), Decimal(amount)) for price, amount in event["b"])
                self.asks.update((Decimal(price), Decimal(amount)) for price, amount in event["a"])
                self.update_id = event["u"]
        return (
            {price: amount for price, amount in self.bids.items() if amount},
            {price: amount for price, amount in self.asks.items() if amount},
        )


class OracleBook:
    """A book by Binance's rule: drop what it has, apply what joins, refuse what does not (DESIGN 3, Events)."""

    def __init__(self, body: Body) -> None:
        self.update_id: int = body["lastUpdateId"]
        self.bids: Side = {}
        self.asks: Side = {}
        _write(self.bids, body["bids"])
        _write(self.asks, body["asks"])

    def apply(self, event: Event) -> bool:
        """Apply one event and return True, or return False if the book had it.

        Raises:
            HoleError: ids are missing between the book and the event.
        """
        if event["u"] <= self.update_id:
            return False
        if event["U"] > self.update_id + 1:
            raise HoleError(f"the book is at {self.update_id}, the event begins at {event['U']}")
        _write(self.bids, event["b"])
        _write(self.asks, event["a"])
        self.update_id = event["u"]
        return True

    def best(self) -> tuple[Decimal | None, Decimal | None]:
        """Return the highest bid and the lowest ask of all levels, known range or not; None for an empty side."""
        return max(self.bids, default=None), min(self.asks, default=None)


def _write(side: Side, changes: Sequence[Sequence[str]]) -> None:
    for text, amount_text in changes:
        price, amount = Decimal(text), Decimal(amount_text)
        if amount == 0:
            side.pop(price, None)  # a delete of an unknown price is normal
        else:
            side[price] = amount


def book_at(events: Sequence[Event], snapshot: Body, update_id: int) -> OracleBook:
    """Return the book right after the last event with ``u <= update_id`` (the snapshot itself if there is none)."""
    book = OracleBook(snapshot)
    for event in events:
        if event["u"] <= update_id:
            book.apply(event)
    return book


@dataclass(frozen=True, slots=True)
class KnownRange:
    """What an anchor knows: bids from `low_bid` up, asks up to `high_ask`, both inclusive; None is unbounded."""

    low_bid: Decimal | None
    high_ask: Decimal | None


UNBOUNDED = KnownRange(None, None)


def known_range(body: Body) -> KnownRange:
    """Return the known range of an anchor (DESIGN 3, Known range).

    A side ends at its last level; it is unbounded only if the other side of the same body holds more levels than it.
    Of a body without any level nothing is known.
    """
    bids = [Decimal(price) for price, _ in body["bids"]]
    asks = [Decimal(price) for price, _ in body["asks"]]
    low_bid = None if len(asks) > len(bids) else min(bids, default=Decimal("Infinity"))
    high_ask = None if len(bids) > len(asks) else max(asks, default=Decimal("-Infinity"))
    return KnownRange(low_bid, high_ask)


def milliseconds(event_time: int) -> int:
    """Return E in ms; one of 16 digits is µs and is floored (DESIGN 3, Events)."""
    return event_time // 1000 if len(str(event_time)) == 16 else event_time


def event_times(events: Sequence[Event]) -> list[int]:
    """Return each event's time in ms: max(its E, the time of the event before it) (DESIGN 3, Events).

    "The event before it" is the event before it in the stream, also where a chain starts only later: an event that is
    already in the snapshot still bounds the times of those after it.
    """
    times: list[int] = []
    for event in events:
        own = milliseconds(event["E"])
        times.append(max(own, times[-1]) if times else own)
    return times


@dataclass(frozen=True, slots=True)
class OracleRow:
    """What the store must hold for one epoch (DESIGN 5)."""

    epoch: int
    best_bid: Decimal
    best_ask: Decimal
    bid_buckets: list[float | None]
    ask_buckets: list[float | None]
    covered: tuple[int, int]
    """Known buckets on the bid and on the ask side."""
    event_time: int
    """Time in ms of the last event in the row."""
    update_id: int
    """u of the last event in the row."""
    closed_by: int
    """u of the event that closed the epoch: its receive time is the column `timestamp`."""
    price: str
    """The exact text of the column `price`."""
    orderbook: str
    """The exact text of the column `orderbook`."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Every epoch of one chain: either its row or the cause why it has none."""

    rows: dict[int, OracleRow] = field(default_factory=dict)
    absent: dict[int, str] = field(default_factory=dict)
    """`unanchored`, `one-sided`, `crossed` or `silent`."""

    @property
    def epochs(self) -> list[int]:
        """Return all epochs of the chain in order."""
        return sorted([*self.rows, *self.absent])


@dataclass(frozen=True, slots=True)
class Shape:
    """What shapes a row (DESIGN 3, Buckets)."""

    step: float
    """Width of a bucket in log price."""
    steps: int
    """Buckets a side."""
    quote_places: int = 2
    """Decimals of a value: 2 for a quote that has cents, else 8."""


def rows(  # noqa: PLR0913  (what shapes a row, and the anchor)
    events: Sequence[Event],
    snapshot: Body,
    step: float,
    steps: int,
    interval: int = 1,
    *,
    quote_places: int = 2,
    quiet_limit_ms: int = 300_000,
) -> dict[int, OracleRow]:
    """Return the row of every epoch that has one; `sample` says what the arguments are and why others have none."""
    return sample(events, snapshot, Shape(step, steps, quote_places), interval, quiet_limit_ms).rows


def rows_for_known_range(
    events: Sequence[Event], snapshot: Body, shape: Shape, known: KnownRange, interval: int = 1
) -> dict[int, OracleRow]:
    """Return the rows of a book that has this snapshot's levels but claims to know another range.

    Use a range inside the snapshot's own to make the row of a collector whose anchor knew less.
    """
    return sample(events, snapshot, shape, interval, known=known).rows


def full_rows(events: Sequence[Event], snapshot: Body, shape: Shape, interval: int = 1) -> dict[int, OracleRow]:
    """Return the rows with every bucket known: the truth where the snapshot holds the exchange's whole book."""
    return sample(events, snapshot, shape, interval, known=UNBOUNDED).rows


def sample(  # noqa: PLR0913  (what shapes a row, and the anchor)
    events: Sequence[Event],
    snapshot: Body,
    shape: Shape,
    interval: int = 1,
    quiet_limit_ms: int = 300_000,
    *,
    known: KnownRange | None = None,
) -> Sampled:
    """Return the rows of the one chain that starts at this snapshot, and why its other epochs have none (DESIGN 3).

    Args:
        events: all received events in update id order, each once, those before the snapshot too.
        snapshot: the anchor.
        shape: step, steps and decimals of a value.
        interval: seconds; epochs are its multiples.
        quiet_limit_ms: a silence longer than this has no row at all.
        known: the known range, where it is not the snapshot's own.

    Raises:
        HoleError: ids are missing between the snapshot and the first event beyond it, or between two events.
    """
    known = known_range(snapshot) if known is None else known
    book = OracleBook(snapshot)
    result = Sampled()
    before: int | None = None  # time of the last event in the book; None until the chain has started
    for event, time in zip(events, event_times(events), strict=True):
        if event["u"] == snapshot["lastUpdateId"]:
            before = time  # received, and the snapshot is the book right after it: the chain starts here
        if event["u"] <= snapshot["lastUpdateId"]:
            continue
        if before is not None:
            for epoch in epochs_between(before, time, interval):
                if time - before > quiet_limit_ms:
                    result.absent[epoch] = "silent"
                    continue
                row = _row(book, known, shape, _Moment(epoch, before, event["u"]))
                if isinstance(row, str):
                    result.absent[epoch] = row
                else:
                    result.rows[epoch] = row
        book.apply(event)
        before = time
    return result


def epochs_between(before: int, after: int, interval: int = 1) -> Iterator[int]:
    """Yield every epoch T, a multiple of interval, with ``before <= T*1000 < after`` (times in ms)."""
    epoch = before // 1000
    while epoch * 1000 < after:
        if epoch * 1000 >= before and epoch % interval == 0:
            yield epoch
        epoch += 1


class _Moment(NamedTuple):
    epoch: int
    event_time: int
    closed_by: int


def _row(book: OracleBook, known: KnownRange, shape: Shape, moment: _Moment) -> OracleRow | str:
    best_bid, best_ask = book.best()
    # The causes in the order of DESIGN 3. A side that has levels, but none inside the known range, has its best outside
    # it; where one level lies inside, the best of all does, and so no level beyond is ever a row's best.
    if best_bid is not None and known.low_bid is not None and best_bid < known.low_bid:
        return "unanchored"
    if best_ask is not None and known.high_ask is not None and best_ask > known.high_ask:
        return "unanchored"
    if best_bid is None or best_ask is None:
        return "one-sided"
    if best_bid >= best_ask:
        return "crossed"
    bid_buckets = buckets(book.bids, best_bid, known.low_bid, shape)
    ask_buckets = buckets(book.asks, best_ask, known.high_ask, shape)
    return OracleRow(
        epoch=moment.epoch,
        best_bid=best_bid,
        best_ask=best_ask,
        bid_buckets=bid_buckets,
        ask_buckets=ask_buckets,
        covered=(_known(bid_buckets), _known(ask_buckets)),
        event_time=moment.event_time,
        update_id=book.update_id,
        closed_by=moment.closed_by,
        price=repr((float(best_bid) + float(best_ask)) / 2),
        orderbook=json.dumps(
            {
                "epoch": moment.epoch,
                "bid_buckets": bid_buckets,
                "ask_buckets": ask_buckets,
                "best_bid": float(best_bid),
                "best_ask": float(best_ask),
                "step_pct": float(shape.step),
                "num_steps": shape.steps,
            },
            separators=(",", ":"),
        ),
    )


def index(best: Decimal, price: Decimal, step: float) -> int:
    """Return the bucket of a price: the literal formula in float64 (DESIGN 3, Buckets)."""
    return int(abs(math.log(float(best)) - math.log(float(price))) / step)


def buckets(levels: Side, best: Decimal, edge: Decimal | None, shape: Shape) -> list[float | None]:
    """Return one side's values; None from the bucket of the edge price on (DESIGN 3, Known range and Buckets).

    All levels lie on one side of the best, so a level farther from it than the edge is beyond the known range.
    """
    known = shape.steps if edge is None else min(shape.steps, index(best, edge, shape.step))
    totals = [Decimal(0)] * shape.steps
    # Only to be quick: |price - best| > best * (e^2w - 1) puts |ln(best) - ln(price)| over 2w, twice the window.
    farthest = best * Decimal(math.expm1(2 * shape.step * shape.steps))
    if edge is not None:
        farthest = min(farthest, abs(edge - best))
    for price, amount in levels.items():
        if abs(price - best) > farthest:
            continue
        place = index(best, price, shape.step)
        if place < shape.steps:
            totals[place] = EXACT.add(totals[place], EXACT.multiply(price, amount))
    return [value(total, shape.quote_places) if place < known else None for place, total in enumerate(totals)]


def value(total: Decimal, quote_places: int = 2) -> float:
    """Round an exact sum half-even to whole cents (or 1e-8), then divide those once, correctly rounded."""
    unit = Decimal(1).scaleb(-quote_places)
    cents = int(total.quantize(unit, context=ROUNDING).scaleb(quote_places, context=ROUNDING))
    divisor: int = 10**quote_places
    return cents / divisor


def _known(values: Sequence[float | None]) -> int:
    return sum(value is not None for value in values)


def disagreements(one: OracleRow, other: OracleRow) -> list[str]:
    """Return what two rows of an epoch, from different anchors, both claim to know and say differently.

    Best prices, last event and every bucket known to both must agree (DESIGN 1, promises 1 and 2).
    """
    found = [
        name
        for name in ("epoch", "best_bid", "best_ask", "event_time", "update_id")
        if getattr(one, name) != getattr(other, name)
    ]
    for side in ("bid_buckets", "ask_buckets"):
        for place, (mine, theirs) in enumerate(zip(getattr(one, side), getattr(other, side), strict=True)):
            if mine is not None and theirs is not None and mine != theirs:
                found.append(f"{side}[{place}]")
    return found


def reanchored(events: Sequence[Event], before: Sampled, after: Sampled, swapped_at: int) -> Sampled:
    """Return what a live book stores that was swapped to another anchor after the event with ``u == swapped_at``.

    Args:
        events: the events that both chains were sampled from.
        before: the chain of the anchor replaced.
        after: the chain of the new anchor; it must have started by the swap (its lastUpdateId <= swapped_at).
        swapped_at: u of the last event applied before the swap; rows that hold it are the new anchor's
            (DESIGN 3, Anchors).
    """
    times = event_times(events)
    swap_time = next(time for event, time in zip(events, times, strict=True) if event["u"] == swapped_at)
    return Sampled(
        rows={epoch: row for epoch, row in before.rows.items() if epoch * 1000 < swap_time}
        | {epoch: row for epoch, row in after.rows.items() if epoch * 1000 >= swap_time},
        absent={epoch: cause for epoch, cause in before.absent.items() if epoch * 1000 < swap_time}
        | {epoch: cause for epoch, cause in after.absent.items() if epoch * 1000 >= swap_time},
    )
