"""One stored second: the row, its columns and its log line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from depth import rowkey
from depth.errors import MalformedRow
from depth.record import Record

_RANKS = 999


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
    epoch, _ = rowkey.decode(key)
    try:
        book = json.loads(columns["orderbook"])
        bids, asks = (tuple(_value(value) for value in book[side]) for side in ("bid_buckets", "ask_buckets"))
        snapshot = Snapshot(
            symbol=symbol,
            epoch=int(book["epoch"]),
            best_bid=float(book["best_bid"]),
            best_ask=float(book["best_ask"]),
            bid_buckets=bids,
            ask_buckets=asks,
            step=float(book["step_pct"]),
            timestamp=float(columns["timestamp"]),
            event_time=int(columns["event_time"]),
            update_id=int(columns["update_id"]),
            collector=columns["collector"],
        )
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedRow(f"row {key} cannot be read ({error!r}): another program wrote it, or it is torn") from error
    if snapshot.epoch != epoch or len(bids) != len(asks) or len(bids) != book.get("num_steps"):
        raise MalformedRow(f"row {key} contradicts itself: epoch {snapshot.epoch}, {len(bids)}+{len(asks)} buckets")
    return snapshot


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


def _known(buckets: tuple[float | None, ...]) -> int:
    return sum(value is not None for value in buckets)


def _value(value: object) -> float | None:
    if value is None or type(value) in (int, float):
        return value  # type: ignore[return-value]  # narrowed by type(), which also keeps bool out
    raise ValueError(f"bucket {value!r}")


def _price(price: float) -> str:
    return f"{price:,.2f}" if price >= 1 else f"{price:.8f}"


def _money(buckets: tuple[float | None, ...]) -> str:
    total = sum(value for value in buckets if value is not None)
    return f"${total / 1e6:.1f}M" + "+" * (None in buckets)
