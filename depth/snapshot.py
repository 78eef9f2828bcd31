"""One stored second: the row, its columns and its log line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from depth import rowkey
from depth.errors import MalformedRow
from depth.record import Record

_RANKS = 999

# Wider than any market, and narrow enough that whoever sums or divides them gets finite numbers.
MAX_MONEY = 1e60
Price = Annotated[float, msgspec.Meta(ge=1e-12, le=1e15)]
_Buckets = tuple[Annotated[float, msgspec.Meta(ge=0, le=MAX_MONEY)] | None, ...]


class OrderBook(msgspec.Struct, frozen=True, gc=False):
    """The column `orderbook`, read and checked in one pass of C: an hour of rows in 30 ms instead of 200.

    Attributes:
        epoch: UTC second.
        bid_buckets: money in quote currency by distance from the best bid; None where not known.
        ask_buckets: same from the best ask.
        best_bid: best bid price.
        best_ask: best ask price.
        step_pct: width of a bucket in log price.
        num_steps: buckets a side.
    """

    epoch: int
    bid_buckets: _Buckets
    ask_buckets: _Buckets
    best_bid: Price
    best_ask: Price
    step_pct: Annotated[float, msgspec.Meta(gt=0, le=1)]
    num_steps: int


_read = msgspec.json.Decoder(OrderBook).decode


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The book of one symbol after every event with ``E <= epoch*1000``.

    Attributes:
        symbol: ``BTC/USDT``.
        epoch: UTC second.
        best_bid: best bid price.
        best_ask: best ask price.
        bid_buckets: money in quote currency by distance from the best bid; None where not known.
        ask_buckets: same from the best ask.
        step: width of a bucket in log price.
        timestamp: local receive time of the event that closed the epoch, float seconds UTC.
        event_time: time of the last event in the row, ms.
        update_id: last update id in the row.
        collector: id of the run that wrote it.
    """

    symbol: str
    epoch: int
    best_bid: float
    best_ask: float
    bid_buckets: tuple[float | None, ...]
    ask_buckets: tuple[float | None, ...]
    step: float
    timestamp: float
    event_time: int
    update_id: int
    collector: str

    @property
    def mid(self) -> float:
        """Mid price."""
        return (self.best_bid + self.best_ask) / 2

    @property
    def covered(self) -> tuple[int, int]:
        """Known buckets on the bid and the ask side."""
        return _known(self.bid_buckets), _known(self.ask_buckets)


def encode(snapshot: Snapshot) -> Record:
    """Turn a second into a stored row.

    The cell timestamp grows with the number of known buckets, within the epoch's own second: where two collectors
    know different amounts, the better row is the newer cell.
    """
    bid, ask = snapshot.covered
    steps = len(snapshot.bid_buckets)
    orderbook = {
        "epoch": snapshot.epoch,
        "bid_buckets": snapshot.bid_buckets,
        "ask_buckets": snapshot.ask_buckets,
        "best_bid": snapshot.best_bid,
        "best_ask": snapshot.best_ask,
        "step_pct": snapshot.step,
        "num_steps": steps,
    }
    columns = {
        "price": repr(snapshot.mid),
        "orderbook": json.dumps(orderbook, separators=(",", ":"), allow_nan=False),
        "timestamp": repr(snapshot.timestamp),
        "event_time": str(snapshot.event_time),
        "update_id": str(snapshot.update_id),
        "covered": f"{bid},{ask}",
        "collector": snapshot.collector,
    }
    version = snapshot.epoch * 1_000_000 + 1000 * (_RANKS * (bid + ask) // (2 * steps))
    return Record(rowkey.encode(snapshot.epoch, snapshot.symbol), columns, version)


def decode(key: str, columns: Mapping[str, str], symbol: str) -> Snapshot:
    """Read a stored row back.

    Raises:
        MalformedRow: a column is missing or is not what `encode` writes.
    """
    book = decode_book(key, columns)
    try:
        return Snapshot(
            symbol=symbol,
            epoch=book.epoch,
            best_bid=book.best_bid,
            best_ask=book.best_ask,
            bid_buckets=book.bid_buckets,
            ask_buckets=book.ask_buckets,
            step=book.step_pct,
            timestamp=float(columns["timestamp"]),
            event_time=int(columns["event_time"]),
            update_id=int(columns["update_id"]),
            collector=columns["collector"],
        )
    except (KeyError, ValueError) as error:
        raise _unreadable(key, error) from error


def decode_book(key: str, columns: Mapping[str, str]) -> OrderBook:
    """Read what a stored row says of the book alone; only the column `orderbook` is looked at.

    Raises:
        MalformedRow: it is missing or is not what `encode` writes.
    """
    epoch, _ = rowkey.decode(key)
    try:
        book = _read(columns["orderbook"])
    except (KeyError, UnicodeError, msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(key, error) from error
    bids, asks = len(book.bid_buckets), len(book.ask_buckets)
    if book.epoch != epoch or not 0 < bids == asks == book.num_steps:
        raise MalformedRow(f"row {key} contradicts itself: epoch {book.epoch}, {bids}+{asks} buckets")
    return book


def line(snapshot: Snapshot) -> str:
    """Write the one-line log form.

    ``[14:12:45] (0.25s) | BTC/USDT $90,538.46/$90,538.47 | spread: 0.0bps | bids: $8.5M | asks: $6.0M | epoch: …``;
    a ``+`` behind a sum says that some of its buckets are not known.
    """
    time = datetime.fromtimestamp(snapshot.epoch, UTC).strftime("%H:%M:%S")
    spread = 10_000 * (snapshot.best_ask - snapshot.best_bid) / snapshot.mid
    return (
        f"[{time}] ({snapshot.timestamp - snapshot.epoch:.2f}s) | {snapshot.symbol} "
        f"${_price(snapshot.best_bid)}/${_price(snapshot.best_ask)} | spread: {spread:.1f}bps | "
        f"bids: {_money(snapshot.bid_buckets)} | asks: {_money(snapshot.ask_buckets)} | epoch: {snapshot.epoch}"
    )


def _unreadable(key: str, error: Exception) -> MalformedRow:
    return MalformedRow(f"row {key} cannot be read ({error!r}): another program wrote it, or it is torn")


def _known(buckets: tuple[float | None, ...]) -> int:
    return sum(value is not None for value in buckets)


def _price(price: float) -> str:
    return f"{price:,.2f}" if price >= 1 else f"{price:.8f}"


def _money(buckets: tuple[float | None, ...]) -> str:
    total = sum(value for value in buckets if value is not None)
    return f"${total / 1e6:.1f}M" + "+" * (None in buckets)
