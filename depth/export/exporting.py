"""One table written day by day; what is there already and would be the same is left alone."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from depth import gaps, tables
from depth.arrow.rows import epochs_of
from depth.errors import MalformedRow
from depth.export import about
from depth.export.about import About
from depth.export.formats import Format, read_about
from depth.export.places import Place
from depth.gaps import Interval
from depth.reading import TableReader

logger = logging.getLogger(__name__)

DAY_SECONDS = 86_400

State = Literal["written", "unchanged", "kept", "empty"]


@dataclass(frozen=True, slots=True)
class Exported:
    """One day of one table.

    Attributes:
        symbol: ``BTC/USDT``.
        day: its first UTC second.
        file: below the destination.
        state: ``written``; ``unchanged`` where the file was there and right; ``kept`` where it holds more than the
            store has now; ``empty`` where no row is stored, and so no file is made.
        about: what the file says of itself, None for `empty`.
        size: bytes of the file, 0 for `empty`.
    """

    symbol: str
    day: int
    file: str
    state: State
    about: About | None
    size: int


def days(start: int, end: int) -> Iterator[Interval]:
    """Cut ``[start, end)`` at midnight, UTC."""
    while start < end:
        stop = min(end, (start // DAY_SECONDS + 1) * DAY_SECONDS)
        yield Interval(start, stop)
        start = stop


class Export:
    """Writes days of one table; run again, it goes on with what is left."""

    def __init__(
        self,
        reader: TableReader,
        place: Place,
        form: Format,
        spans: Sequence[Interval],
        report: Callable[[Exported], None],
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            reader: of the table.
            place: where the files go.
            form: how they are written.
            spans: what to write, cut at midnight, see `days`; not younger than what is certainly stored.
            report: called once with each day, oldest first.
        """
        self._reader = reader
        self._place = place
        self._form = form
        self._left = list(spans)
        self._report = report

    def __str__(self) -> str:
        """Name it in logs and in the Prefect UI."""
        return f"{len(self._left)} days of {self._reader.table.name}"

    async def run(self) -> int:
        """Go through the days that are left.

        Returns:
            Files written by this call.

        Raises:
            StoreUnavailable: no answer in time; call again.
            StoreRefused: a person must act.
            DestinationRefused: the same, at the other end.
        """
        written = 0
        while self._left:
            exported = await self._export(self._left[0])
            del self._left[0]
            written += exported.state == "written"
            self._report(exported)
        return written

    async def _export(self, span: Interval) -> Exported:
        """Write one day, unless its file says already what it would say."""
        symbol, day = self._reader.table.symbol, span.start // DAY_SECONDS * DAY_SECONDS
        file = self._file(day)
        before = await asyncio.to_thread(self._before, file)
        if before is not None:  # a file never tells of less than it did
            span = Interval(min(span.start, before.start), max(span.end, before.end))
            if before == await self._describe(span, np.array(await self._reader.present(*span), np.int64)):
                return await self._exported(symbol, day, file, "unchanged", before)
        now = await self._write(file, span, 0 if before is None else before.rows)
        if now is None:
            return Exported(symbol, day, file, "empty", None, 0)
        if before is not None and now.rows < before.rows:
            logger.warning("%s holds %d rows, the store has %d: it is kept", file, before.rows, now.rows)
            return await self._exported(symbol, day, file, "kept", before)
        return await self._exported(symbol, day, file, "written", now)

    async def _exported(self, symbol: str, day: int, file: str, state: State, said: About) -> Exported:
        size = await asyncio.to_thread(self._place.size, file)
        return Exported(symbol, day, file, state, said, size or 0)

    async def _write(self, file: str, span: Interval, least: int) -> About | None:
        """Write the rows that are stored, if there are any; the file appears if it holds at least so many."""
        table, shape = self._reader.table, self._reader.shape()
        batches = self._reader.batches(*span)
        batch = await anext(batches, None)
        if batch is None:
            return None
        epochs = list[npt.NDArray[np.int64]]()
        with self._place.staging(file) as part:
            with closing(self._form.open(part, shape.schema.remove_metadata(), table.symbol, table.grid)) as writer:
                while batch is not None:
                    writer.write(batch)
                    epochs.append(epochs_of(batch.column("time")))
                    batch = await anext(batches, None)
                said = await self._describe(span, np.concatenate(epochs))
                writer.describe(said)
            if said.rows >= least:
                await asyncio.to_thread(self._place.publish, part, file)
        # Last, so that a run that was stopped in between finds that something is left to do.
        if said.rows >= least and not self._form.inside:
            with self._place.staging(f"{file}.json") as part:
                part.write_text(said.text() + "\n")
                await asyncio.to_thread(self._place.publish, part, f"{file}.json")
        return said

    async def _describe(self, span: Interval, present: npt.NDArray[np.int64]) -> About:
        """Say what a file of these epochs would say."""
        interval = self._reader.table.grid.interval
        due = gaps.on_grid(*span, interval)
        if len(present) and not await self._reader.begun_before(due.start):
            due = Interval(int(present[0]), due.end)
        absent = await self._reader.explain(about.missing(present, due, interval))
        return about.describe(self._reader.table, span, due, len(present), absent)

    def _file(self, day: int) -> str:
        table = self._reader.table
        suffix = table.name.removeprefix(tables.depth_table(table.symbol))
        date = f"{datetime.fromtimestamp(day, UTC):%Y-%m-%d}"
        folder = f"exchange=binance/symbol={table.symbol.replace('/', '-')}/date={date}"
        return f"{folder}/{self._form.file}{suffix}{self._form.ending}"

    def _before(self, file: str) -> About | None:
        """Read what the file says that is there."""
        told = file if self._form.inside else f"{file}.json"
        if self._place.size(file) is None or self._place.size(told) is None:
            return None
        try:
            with self._place.reading(told) as opened:
                return read_about(opened, inside=self._form.inside)
        except MalformedRow as error:
            logger.warning("%s: %s; it is written anew", told, error)
            return None
