"""Read what was collected, from a notebook or a script.

    from depth import reader
    day = reader.load("2026-01-10", "2026-01-11")   # a pyarrow.Table: day.to_pandas(), polars.from_arrow(day), …

Every function reads the store that the settings name (environment variables, or `.env`), or the one given as `store`:
the path of a SQLite file, or `StoreOptions` for either backend. Times are text (ISO-8601, UTC where it names no
offset), UTC seconds, or a `datetime` with a time zone; ranges are half-open. All of it works inside a running event
loop, too.

Errors are those of `depth.errors`: `UsageError` for a bad range or column and for a symbol that was never collected,
`StoreUnavailable` where the store does not answer, `StoreRefused` where a person must act.
"""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

import settings
from depth import reading, times
from depth.arrow import ledger as gap_columns
from depth.arrow import summaries as summary_columns
from depth.errors import UsageError
from depth.reading import TableReader
from depth.storage.open import StoreOptions, open_store

__all__ = ["StoreOptions", "gaps", "iter_batches", "latest", "load", "summaries"]

Time = str | int | datetime
Place = StoreOptions | Path | str | None

_T = TypeVar("_T")


def load(  # noqa: PLR0913  # options of a call in a notebook
    start: Time,
    end: Time,
    symbol: str = "BTC/USDT",
    columns: Collection[str] | None = None,
    fill_gaps: bool = False,  # noqa: FBT001, FBT002  # as people call it
    *,
    store: Place = None,
    table_suffix: str = "",
) -> pa.Table:
    """Read the rows of ``[start, end)``, oldest first.

    Args:
        start: first moment.
        end: last moment, exclusive.
        symbol: ``BASE/QUOTE``.
        columns: those wanted, default all of: `price` (mid), `best_bid`, `best_ask`, `bid_buckets`, `ask_buckets`
            (lists of fixed size, money in quote currency by distance from the side's own best price; null where not
            known), `event_time`, `update_id` (the last event in the row), `received_at` (local clock), `covered_bid`,
            `covered_ask` (known buckets), `collector`. `time`, the epoch, is always the first.
        fill_gaps: give every epoch a row, with nulls where none is stored; the column `gap` names the cause, and is
            null where a row is stored.
        store: where to read; as the settings say where not given.
        table_suffix: as it was given to the collector.

    Returns:
        A table; its schema's metadata `depth` holds ``{"symbol","step","steps","interval"}`` as JSON. Without a row in
        the range it is empty.
    """
    with _reading(symbol, table_suffix, store) as (run, reader):
        schema = reader.shape(columns, fill_gaps=fill_gaps).schema
        batches = reader.batches(*_range(start, end), columns, fill_gaps=fill_gaps)
        with _without_collector():
            return pa.Table.from_batches(list(_each(run, batches)), schema=schema)


def iter_batches(  # noqa: PLR0913  # same as `load`
    start: Time,
    end: Time,
    symbol: str = "BTC/USDT",
    columns: Collection[str] | None = None,
    fill_gaps: bool = False,  # noqa: FBT001, FBT002  # as people call it
    *,
    store: Place = None,
    table_suffix: str = "",
) -> Iterator[pa.RecordBatch]:
    """Stream what `load` gives, in batches of at most `reading.BATCH_ROWS` rows: a month needs no more memory."""
    with _reading(symbol, table_suffix, store) as (run, reader):
        yield from _each(run, reader.batches(*_range(start, end), columns, fill_gaps=fill_gaps))


def latest(
    n: int = 1,
    symbol: str = "BTC/USDT",
    columns: Collection[str] | None = None,
    *,
    store: Place = None,
    table_suffix: str = "",
) -> pa.Table:
    """Read the newest `n` rows, oldest first; columns as `load` gives them."""
    if n < 1:
        raise UsageError(f"the latest {n} rows are none: ask for 1 or more")
    with _reading(symbol, table_suffix, store) as (run, reader):
        return pa.Table.from_batches([run(reader.latest(n, columns))])


def summaries(
    start: Time, end: Time, symbol: str = "BTC/USDT", *, store: Place = None, table_suffix: str = ""
) -> pa.Table:
    """Read the summaries of the hours that begin in ``[start, end)``, oldest first.

    Returns:
        One row an hour: `hour`, `count`, `expected`, `coverage`, `suspect`, `mid_open` … `mid_close`,
        `realized_volatility`, `spread_bps_mean` …, `bid_depth_p50` …, `cost_bps_buy_100000` …, `bid_profile`,
        `ask_profile`, `gaps`; `depth/summary.py` says what each number means.
    """
    with _without_collector(), _reading(symbol, table_suffix, store) as (run, reader):
        found = run(reader.summaries(*_range(start, end)))
        return summary_columns.table(found, reader.table.grid.steps)


def gaps(start: Time, end: Time, symbol: str = "BTC/USDT", *, store: Place = None, table_suffix: str = "") -> pa.Table:
    """Read what the gap ledger says of ``[start, end)``: gaps open and resolved, and suspicions, sorted by start.

    Returns:
        `start`, `end` (exclusive), `missing` (epochs), `cause`, `detected_at`, `resolved_at` (null while the rows are
        missing). Rows of cause `suspect` are stored, but an audit did not confirm them.
    """
    with _reading(symbol, table_suffix, store) as (run, reader):
        return gap_columns.table(run(reader.gaps(*_range(start, end))))


@contextmanager
def _without_collector() -> Iterator[None]:
    """What is read makes no cycles; to walk all that lives again and again meanwhile is a fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


_Run = Callable[[Coroutine[Any, Any, _T]], _T]


@contextmanager
def _reading(symbol: str, suffix: str, place: Place) -> Iterator[tuple[_Run[Any], TableReader]]:
    """Open a table; what is awaited runs on a loop in a thread, since a notebook has a loop of its own."""
    opened = open_store(_options(place))
    runner = asyncio.Runner()
    with ThreadPoolExecutor(1, thread_name_prefix="depth-reader") as thread:

        def run(work: Coroutine[Any, Any, _T]) -> _T:
            return thread.submit(runner.run, work).result()

        try:
            [found] = run(reading.find(opened, [symbol.upper()], suffix))
            yield run, found
        finally:
            run(opened.close())
            thread.submit(runner.close).result()


def _each(run: _Run[Any], batches: AsyncGenerator[pa.RecordBatch, None]) -> Iterator[pa.RecordBatch]:
    async def following() -> pa.RecordBatch | None:
        return await anext(batches, None)

    while (batch := run(following())) is not None:
        yield batch


def _options(place: Place) -> StoreOptions:
    if place is None:
        return settings.load().store()
    return place if isinstance(place, StoreOptions) else StoreOptions("sqlite", Path(place))


def _range(start: Time, end: Time) -> tuple[int, int]:
    first, last = _second(start), _second(end)
    if last <= first:
        raise UsageError(
            f"the range ends at {times.show(last)}, not after its start {times.show(first)}: give a later end"
        )
    return first, last


def _second(moment: Time) -> int:
    if isinstance(moment, datetime) and moment.tzinfo is None:
        raise UsageError(f"{moment!r} names no time zone: add tzinfo=UTC")
    text = moment.isoformat() if isinstance(moment, datetime) else str(moment)
    try:
        return times.parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
