"""What rows say of the book, as columns.

Buckets go from text to Arrow without a Python object for each: half the work, most of it beside the interpreter.
"""

from collections.abc import Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from depth.epochs import Grid
from depth.errors import MalformedRow
from depth.record import Record
from depth.snapshot import MAX_MONEY, Price


class _Book(msgspec.Struct, frozen=True, gc=False):
    """The column `orderbook`; its buckets are not parsed yet."""

    epoch: int
    bid_buckets: msgspec.Raw
    ask_buckets: msgspec.Raw
    best_bid: Price
    best_ask: Price
    step_pct: float
    num_steps: int


_SPACE = b" \t\r\n"

_read = msgspec.json.Decoder(_Book).decode


def read(found: Sequence[tuple[int, Record]], grid: Grid) -> dict[str, pa.Array]:
    """Read the column `orderbook` as strictly as `snapshot.decode_book`.

    Args:
        found: epoch and row.
        grid: what the table was begun with.

    Returns:
        `best_bid`, `best_ask`; `bid_buckets`, `ask_buckets`: ``grid.steps`` values each, null where not known.

    Raises:
        MalformedRow: a row is not what `snapshot.encode` writes, or was made with other buckets.
    """
    books = [_book(epoch, record, grid) for epoch, record in found]
    return {
        "best_bid": pa.array([book.best_bid for book in books], pa.float64()),
        "best_ask": pa.array([book.best_ask for book in books], pa.float64()),
        "bid_buckets": _buckets([book.bid_buckets for book in books], grid.steps),
        "ask_buckets": _buckets([book.ask_buckets for book in books], grid.steps),
    }


def _book(epoch: int, record: Record, grid: Grid) -> _Book:
    try:
        book = _read(record.columns["orderbook"])
    except (KeyError, UnicodeError, msgspec.DecodeError, RecursionError) as error:
        raise MalformedRow(f"orderbook cannot be read ({error!r}): another program wrote it, or it is torn") from error
    if book.epoch != epoch:
        raise MalformedRow(f"orderbook is of epoch {book.epoch}")
    if (book.step_pct, book.num_steps) != (grid.step, grid.steps):
        raise MalformedRow(f"{book.num_steps} buckets of {book.step_pct} are not what the table was begun with")
    return book


def _buckets(sides: list[msgspec.Raw], steps: int) -> pa.Array:
    """Parse arrays of numbers; the JSON is known to be right, but not what it is of."""
    arrays = pa.array([bytes(side).translate(None, _SPACE) for side in sides], pa.string())
    lists = pc.split_pattern(pc.utf8_slice_codeunits(arrays, 1, -1), ",")
    if not _all(pc.starts_with(arrays, "[")) or not _all(pc.equal(pc.list_value_length(lists), steps)):
        raise MalformedRow(f"not {steps} buckets a side")
    values = lists.flatten()
    try:
        money = pc.if_else(pc.equal(values, "null"), None, values).cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise MalformedRow(f"a bucket holds no number ({error})") from error
    if not _all(pc.and_(pc.greater_equal(money, 0), pc.less_equal(money, MAX_MONEY))):
        raise MalformedRow("a bucket holds less than nothing, or more than all money")
    return pa.FixedSizeListArray.from_arrays(money, type=pa.list_(pa.field("item", pa.float64()), steps))


def _all(true: pa.Array) -> bool:
    return bool(pc.all(true, min_count=0).as_py())
