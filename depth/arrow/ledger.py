"""The gap ledger as columns; one row an entry."""

from collections.abc import Sequence

import pyarrow as pa

from depth.arrow.rows import MICROSECONDS, TIME
from depth.ledger import Entry

_TIMES = ("start", "end", "detected_at", "resolved_at")


def table(entries: Sequence[Entry]) -> pa.Table:
    """Make a table of ledger entries, in the order given.

    Returns:
        `start`, `end` (exclusive), `detected_at`, `resolved_at` (null while the rows are missing) as UTC timestamps,
        `missing` (epochs without a row; 0 for `suspect`), `cause`.
    """

    def times(name: str) -> pa.Array:
        values = [getattr(entry, name) for entry in entries]
        return pa.array([None if value is None else value * MICROSECONDS for value in values], TIME)

    start, end, detected_at, resolved_at = map(times, _TIMES)
    return pa.table(
        {
            "start": start,
            "end": end,
            "missing": pa.array([entry.missing for entry in entries], pa.int64()),
            "cause": pa.array([entry.cause for entry in entries], pa.string()),
            "detected_at": detected_at,
            "resolved_at": resolved_at,
        }
    )
