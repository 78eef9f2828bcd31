"""What an exported file says of itself: what it holds, how much of it there is, what is missing and why."""

from collections.abc import Sequence
from importlib.metadata import version

import msgspec
import numpy as np
import numpy.typing as npt

from depth.catalog import DepthTable
from depth.errors import MalformedRow
from depth.gaps import Interval
from depth.ledger import Gap

_SOFTWARE = f"depth-collector {version('depth-collector')}"


class Missing(msgspec.Struct, frozen=True):
    """Epochs without a row.

    Attributes:
        start: first epoch, UTC second.
        end: exclusive.
        missing: how many.
        cause: why.
    """

    start: int
    end: int
    missing: int
    cause: str


class About(msgspec.Struct, frozen=True):
    """What stands in a file's metadata, or in the file beside it.

    Attributes:
        exchange: ``binance``.
        symbol: ``BTC/USDT``.
        table: where the rows were read.
        step: width of a bucket in log price.
        steps: buckets a side.
        interval: seconds between epochs.
        start: first UTC second that the file is about.
        end: exclusive.
        expected: epochs from `start`, or from the table's first row if that is later, to `end`.
        rows: how many of them the file holds.
        coverage: rows / expected, None where nothing was due.
        gaps: the epochs that it does not hold, with their causes; sorted.
        software: what wrote it, ``depth-collector 0.1.0``.
    """

    exchange: str
    symbol: str
    table: str
    step: float
    steps: int
    interval: int
    start: int
    end: int
    expected: int
    rows: int
    coverage: float | None
    gaps: tuple[Missing, ...]
    software: str

    def text(self) -> str:
        """Write it as JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def parse(cls, text: str | bytes) -> "About":
        """Read what `text` wrote.

        Raises:
            MalformedRow: it is something else.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MalformedRow(f"the file's metadata cannot be read ({error}): another program wrote it") from error


def describe(table: DepthTable, span: Interval, due: Interval, rows: int, gaps: Sequence[Gap]) -> About:
    """Say what a file holds.

    Args:
        table: where its rows are from.
        span: what was asked for.
        due: where rows were due, on the table's grid.
        rows: how many there are.
        gaps: where there are none.
    """
    grid = table.grid
    expected = (due.end - due.start) // grid.interval
    missing = tuple(Missing(start, end, (end - start) // grid.interval, cause) for start, end, cause in gaps)
    return About(
        exchange="binance",
        symbol=table.symbol,
        table=table.name,
        step=grid.step,
        steps=grid.steps,
        interval=grid.interval,
        start=span.start,
        end=span.end,
        expected=expected,
        rows=rows,
        coverage=rows / expected if expected else None,
        gaps=missing,
        software=_SOFTWARE,
    )


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
