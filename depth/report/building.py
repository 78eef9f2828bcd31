"""The report of one table's day: read once, drawn twice, as a page and as a thumbnail."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from depth.errors import NothingStored
from depth.gaps import Interval
from depth.incidents import SUSPECT
from depth.ledger import Entry, Gap
from depth.reading import TableReader
from depth.report import page, thumbnail
from depth.report.day import DAY_SECONDS, Day
from depth.report.page import Content, Loss
from depth.summary import Summary

_COLUMNS = ("best_bid", "best_ask", "bid_buckets", "ask_buckets")


@dataclass(frozen=True, slots=True)
class Report:
    """One day of one table.

    Attributes:
        symbol: ``BTC/USDT``.
        day: its first UTC second.
        rows: stored.
        coverage: rows / expected epochs, None where nothing was due.
        losses: stretches of missing and of doubtful rows.
        html: the page; it needs nothing else.
        png: a thumbnail of the heat map.
    """

    symbol: str
    day: int
    rows: int
    coverage: float | None
    losses: int
    html: str
    png: bytes


async def build(reader: TableReader, day: int, settled: int) -> Report:
    """Read and draw one day.

    Args:
        reader: of the table.
        day: first UTC second of a UTC day.
        settled: UTC second; what is younger may still be on its way to the store: it is drawn, and not due.

    Raises:
        NothingStored: no row is stored of that day.
        StoreUnavailable: no answer in time.
        StoreRefused: a person must act.
    """
    table = reader.table
    seen = Day(day, table.grid)
    async for batch in reader.batches(day, day + DAY_SECONDS, _COLUMNS):
        seen.add(batch)
    present = seen.present()
    if not len(present):
        said = datetime.fromtimestamp(day, UTC).strftime("%Y-%m-%d")
        raise NothingStored(
            f"no row of {table.symbol} is stored of {said}: there is nothing to draw; give another --date"
        )
    end = max(min(day + DAY_SECONDS, settled), int(present[-1]) + 1)
    due, lost = await reader.account(Interval(day, end), present)
    told = await reader.gaps(day, day + DAY_SECONDS) if reader.is_checked else []
    first, last = _month(day)
    hours = await reader.summaries(first, last) if reader.is_rolled_up else []
    expected = (due.end - due.start) // table.grid.interval
    content = Content(
        table=table,
        minutes=seen.minutes(due),
        rows=len(present),
        expected=expected,
        due=due,
        losses=_losses(lost, told, table.grid.interval),
        hours=[hour for hour in hours if day <= hour["hour"] < day + DAY_SECONDS],
        month={**_by_day(hours), day: len(present) / expected if expected else None},
    )
    html, png = await asyncio.gather(
        asyncio.to_thread(page.render, content), asyncio.to_thread(thumbnail.png, content.minutes)
    )
    coverage = content.month[day]
    return Report(table.symbol, day, len(present), coverage, len(content.losses), html, png)


def _losses(lost: Sequence[Gap], told: Sequence[Entry], interval: int) -> list[Loss]:
    """Unite what is missing now with what the ledger says of rows that came late or are in doubt; sorted."""
    found = [Loss(start, end, (end - start) // interval, cause, "open") for start, end, cause in lost]
    for entry in told:
        if entry.cause == SUSPECT:
            found.append(Loss(*entry.span, (entry.end - entry.start) // interval, entry.cause, "stored"))
        elif entry.resolved_at is not None:
            found.append(Loss(*entry.span, entry.missing, entry.cause, "filled"))
    return sorted(found, key=lambda loss: (loss.start, loss.end))


def _month(day: int) -> tuple[int, int]:
    """Give the first second of the day's month and of the next one."""
    first = datetime.fromtimestamp(day, UTC).replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    return int(first.timestamp()), int(after.timestamp())


def _by_day(hours: Sequence[Summary]) -> dict[int, float | None]:
    """Give the coverage of each day that has summaries."""
    counts, expected = defaultdict[int, int](int), defaultdict[int, int](int)
    for hour in hours:
        day = hour["hour"] // DAY_SECONDS * DAY_SECONDS
        counts[day] += hour["count"]
        expected[day] += hour["expected"]
    return {day: counts[day] / expected[day] if expected[day] else None for day in counts}
