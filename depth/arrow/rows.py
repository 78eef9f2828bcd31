"""Stored seconds as columns. Times are UTC timestamps in µs, which Parquet, pandas, polars and DuckDB all keep."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from depth import epochs
from depth.arrow import books
from depth.epochs import Grid
from depth.errors import MalformedRow, UsageError
from depth.gaps import Interval
from depth.ledger import UNKNOWN, Gap
from depth.record import Record

TIME = pa.timestamp("us", tz="UTC")
MICROSECONDS = 1_000_000

_BOOK = "orderbook"
_GAP = pa.field("gap", pa.string())


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows as they are stored, oldest first, and what their column `orderbook` says."""

    records: Sequence[Record]
    books: Mapping[str, pa.Array]

    def texts(self, column: str) -> pa.Array:
        return pa.array([record.columns.get(column) for record in self.records], pa.string())


@dataclass(frozen=True, slots=True)
class _Column:
    """How one column is made: from which stored column, of which type, None for a list of buckets."""

    stored: str
    type: pa.DataType | None
    make: Callable[[_Rows, pa.DataType], pa.Array]


def _number(stored: str, kind: pa.DataType) -> _Column:
    return _Column(stored, kind, lambda rows, _: _numbers(rows, stored, kind))


def _moment(stored: str, kind: pa.DataType, unit: int) -> _Column:
    """Make a column of times, stored in units of some µs."""

    def make(rows: _Rows, wanted: pa.DataType) -> pa.Array:
        microseconds = pc.multiply_checked(_numbers(rows, stored, kind), unit)
        return pc.round(microseconds).cast(pa.int64()).cast(wanted)

    return _Column(stored, TIME, make)


def _from_book(field: str, kind: pa.DataType | None) -> _Column:
    return _Column(_BOOK, kind, lambda rows, _: rows.books[field])


def _covered(side: int) -> _Column:
    def make(rows: _Rows, wanted: pa.DataType) -> pa.Array:
        return pc.list_element(pc.split_pattern(rows.texts("covered"), ","), side).cast(wanted)

    return _Column("covered", pa.int32(), make)


_COLUMNS = {
    "price": _number("price", pa.float64()),
    "best_bid": _from_book("best_bid", pa.float64()),
    "best_ask": _from_book("best_ask", pa.float64()),
    "bid_buckets": _from_book("bid_buckets", None),
    "ask_buckets": _from_book("ask_buckets", None),
    "event_time": _moment("event_time", pa.int64(), 1000),
    "update_id": _number("update_id", pa.int64()),
    "received_at": _moment("timestamp", pa.float64(), MICROSECONDS),
    "covered_bid": _covered(0),
    "covered_ask": _covered(1),
    "collector": _Column("collector", pa.string(), lambda rows, _: rows.texts("collector")),
}

NAMES = ("time", *_COLUMNS)


def epochs_of(times: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Give the UTC seconds of a column `time`."""
    microseconds: npt.NDArray[np.int64] = times.cast(pa.int64()).to_numpy()
    return microseconds // MICROSECONDS


def missing(present: npt.NDArray[np.int64], due: Interval, interval: int) -> list[Interval]:
    """Find the runs of missing epochs.

    Args:
        present: epochs of `due` that have a row, sorted.
        due: on the grid.
        interval: seconds between epochs.

    Returns:
        In normal form.
    """
    edges = np.concatenate(([due.start - interval], present, [due.end]))
    before = np.flatnonzero(np.diff(edges) > interval)
    return [Interval(int(edges[place]) + interval, int(edges[place + 1])) for place in before]


class Shape:
    """What a batch of one table looks like.

    Attributes:
        schema: columns and types; its metadata `depth` is ``{"symbol","step","steps","interval"}`` as JSON.
        stored: the stored columns that it takes.
    """

    def __init__(self, symbol: str, grid: Grid, columns: Collection[str] | None, *, fill_gaps: bool) -> None:
        """Choose.

        Args:
            symbol: ``BTC/USDT``.
            grid: what is sampled into the table.
            columns: those of `NAMES` that are wanted, None for all; `time` comes first whether it is named or not.
            fill_gaps: a further column `gap` names the cause of a second that is missing; null for one that is stored.

        Raises:
            UsageError: there is no such column.
        """
        unknown = sorted({*(columns or ())} - {*NAMES})
        if unknown:
            raise UsageError(f"there is no column {', '.join(unknown)}: choose from {', '.join(NAMES)}")
        self._grid = grid
        self._columns = [name for name in _COLUMNS if columns is None or name in columns]
        about = {"symbol": symbol, "step": grid.step, "steps": grid.steps, "interval": grid.interval}
        buckets = pa.list_(pa.field("item", pa.float64()), grid.steps)
        fields = [pa.field(name, _COLUMNS[name].type or buckets) for name in self._columns]
        self.schema = pa.schema(
            [pa.field("time", TIME, nullable=False), *fields, *[_GAP] * fill_gaps],
            metadata={"depth": json.dumps(about, separators=(",", ":"))},
        )
        # A row without any column but the one asked for is none: `price` is what every row has.
        self.stored = sorted({_COLUMNS[name].stored for name in self._columns}) or ["price"]

    def batch(self, found: Sequence[tuple[int, Record]]) -> tuple[pa.RecordBatch, list[str]]:
        """Make a batch of stored rows.

        Args:
            found: epoch and row, oldest first.

        Returns:
            The batch, without `gap`; and why rows could not be used, which then count as missing.
        """
        try:
            return self._batch(found), []
        except (MalformedRow, pa.ArrowInvalid):
            usable, unusable = [], []
            for each in found:
                try:
                    self._batch([each])
                    usable.append(each)
                except (MalformedRow, pa.ArrowInvalid) as error:
                    unusable.append(f"row {each[1].key}: {' '.join(str(error).split())}")
            return self._batch(usable), unusable

    def fill(self, stored: pa.RecordBatch, span: Interval, gaps: Sequence[Gap]) -> pa.RecordBatch:
        """Give every epoch of `span` a row: nulls and a cause where none is stored.

        Args:
            stored: what is stored of `span`, as `batch` gives it.
            span: epochs.
            gaps: what is known of missing epochs, sorted; those that it does not name are `unknown`.
        """
        due = epochs.expected(*span, self._grid.interval)
        times = np.arange(due.start, due.stop, due.step, dtype=np.int64)
        place = np.full(len(due), -1, dtype=np.int64)
        place[(epochs_of(stored.column("time")) - due.start) // due.step] = np.arange(stored.num_rows)
        missing = place < 0
        causes = np.full(len(due), UNKNOWN, dtype=object)
        for start, end, cause in gaps:
            causes[np.searchsorted(times, start) : np.searchsorted(times, end)] = cause
        filled = stored.take(pa.array(place, mask=missing))
        columns = [_times(times), *filled.columns[1:], pa.array(causes, pa.string(), mask=~missing)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _batch(self, found: Sequence[tuple[int, Record]]) -> pa.RecordBatch:
        records = [record for _, record in found]
        rows = _Rows(records, books.read(found, self._grid) if _BOOK in self.stored else {})
        schema = self.schema if self.schema.names[-1] != _GAP.name else self.schema.remove(len(self.schema) - 1)
        times = _times(np.fromiter((epoch for epoch, _ in found), np.int64, len(found)))
        columns = [_COLUMNS[name].make(rows, schema.field(name).type) for name in self._columns]
        return pa.RecordBatch.from_arrays([times, *columns], schema=schema)


def _times(seconds: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(seconds * MICROSECONDS, pa.int64()).cast(TIME)


def _numbers(rows: _Rows, stored: str, kind: pa.DataType) -> pa.Array:
    numbers = rows.texts(stored).cast(kind)
    if not pc.all(pc.is_finite(numbers), min_count=0).as_py():
        raise MalformedRow(f"{stored} is no finite number")
    return numbers
