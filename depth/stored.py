"""Which epochs of a table are stored. Reads keys only."""

from collections.abc import AsyncGenerator

from depth import gaps, rowkey
from depth.catalog import DepthTable
from depth.errors import MalformedRow
from depth.gaps import Interval
from depth.storage.base import Store


class StoredEpochs:
    """Which epochs of a table are stored."""

    def __init__(self, store: Store, table: DepthTable) -> None:
        """Name the table; nothing is read yet."""
        self._store = store
        self._table = table.name
        self._market = table.symbol.replace("/", "")
        self._interval = table.grid.interval

    async def present(self, start: int, end: int) -> AsyncGenerator[int, None]:
        """Stream the epochs of ``[start, end)``, newest first."""
        async for key in self._store.keys(self._table, *rowkey.bounds(start, end)):
            epoch = self.epoch(key)
            if epoch is not None:
                yield epoch

    async def newest(self, start: int, end: int) -> int | None:
        """Find the newest epoch of ``[start, end)``."""
        first = [key async for key in self._store.keys(self._table, *rowkey.bounds(start, end), 1)]
        if first and self.epoch(first[0]) is None:  # another program's stands before ours
            return await anext(self.present(start, end), None)
        return self.epoch(first[0]) if first else None

    async def oldest(self, start: int, end: int) -> int | None:
        """Find the oldest epoch of ``[start, end)``; by halves, since keys are sorted the other way round."""
        found = await self.newest(start, end)
        while found is not None and start < found:
            middle = (start + found) // 2 + 1
            earlier = await self.newest(start, middle)
            if earlier is None:
                start = middle
            else:
                found = earlier
        return found

    async def missing(self, region: Interval, floor: int) -> list[Interval]:
        """Find the runs of missing epochs in a region.

        One epoch before and one after are looked at too: mostly they show that a run begins or ends there.

        Args:
            region: where to look.
            floor: a run that begins before the region is followed to its true start, but not to before this.

        Returns:
            The runs. One that ends behind the region may go on.
        """
        start = max(region.start - self._interval, min(region.start, floor))
        end = region.end + self._interval
        absent = gaps.Missing(Interval(start, end), self._interval)
        async for epoch in self.present(start, end):
            absent.saw(epoch)
        runs = absent.finish()
        if runs and runs[0].start == start > floor:
            before = await self.newest(floor, start)
            runs[0] = Interval(floor if before is None else before + self._interval, runs[0].end)
        return runs

    def epoch(self, key: str) -> int | None:
        """Read a key; what another program wrote between ours is no row."""
        try:
            epoch, market = rowkey.decode(key)
        except MalformedRow:
            return None
        return epoch if market == self._market and epoch % self._interval == 0 else None
