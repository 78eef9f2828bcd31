"""Draw a day: one HTML page a symbol, with coverage, gaps, depth, imbalance, spread and the month around it.

Requires: a store with rows (DB_BACKEND), and the right to write to `out`. Gaps get their causes from the ledger
(verify), hours and month their numbers from the summaries (rollup).
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import State, flow
from prefect.states import Completed, Failed
from pydantic import BaseModel, ConfigDict, Field, field_validator

import settings
from depth import times
from depth.epochs import GRACE_SECONDS
from depth.errors import DepthError, DestinationRefused, UsageError
from depth.options import Backend, Symbols, Time
from depth.storage.open import open_store
from flows import _command, _hooks
from tasks.reports import Written, build_report, report_pages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from depth.reading import TableReader
    from depth.report.building import Report

_DAY_SECONDS = 86_400


class ReportOptions(BaseModel):
    """Options of `report`, of its form in the UI and of its command line alike."""

    model_config = ConfigDict(extra="forbid")

    out: str = Field(min_length=1, description="the page; {symbol} and {date} in it stand for BTC-USDT and 2026-01-10")
    date: Time | None = Field(None, description="UTC day, 2026-01-10; the last whole one where not given")
    symbols: Symbols = Field(default=[], description="markets, BASE/QUOTE; all that were collected where none is named")
    backend: Backend | None = Field(None, description="where rows are stored; DB_BACKEND where not given")

    @field_validator("date")
    @classmethod
    def _midnight(cls, date: str | None) -> str | None:
        if date is not None and times.parse(date) % _DAY_SECONDS:
            raise ValueError("is no whole day: write 2026-01-10")
        return date

    @field_validator("out")
    @classmethod
    def _placeholders(cls, out: str) -> str:
        try:
            out.format(symbol="", date="")
        except (LookupError, ValueError):
            raise ValueError("knows {symbol} and {date} alone: write other braces twice") from None
        return out


def _day(options: ReportOptions, now: int) -> int:
    day = now // _DAY_SECONDS * _DAY_SECONDS - _DAY_SECONDS if options.date is None else times.parse(options.date)
    if day > now - GRACE_SECONDS:
        raise UsageError(f"--date: {times.show(day)[:10]} has not begun: give an earlier one")
    return day


async def _report(
    options: ReportOptions, each: "Callable[[TableReader, int, int], Awaitable[Report]]", base: Path
) -> list[Written]:
    """Go through all tables.

    Args:
        options: what to draw.
        each: draws one table's day.
        base: what a relative path begins at.

    Raises:
        NothingStored: a table holds no row of the day.
        DepthError: a table failed; the pages of those before it are written.
    """
    from depth import reading  # noqa: PLC0415  # Arrow is heavy, and the crash hooks import this file

    env, now = settings.load(), int(time.time())
    day = _day(options, now)
    store = open_store(env.store(options.backend))
    written: list[Written] = []
    try:
        readers = await reading.find(store, options.symbols)
        files = [_file(options.out, reader.table.symbol, day, base) for reader in readers]
        if len({*files}) < len(files):
            names = ", ".join(reader.table.name for reader in readers)
            raise UsageError(f"--out names one page for {names}: put {{symbol}} into it, or name one of --symbols")
        for reader, file in zip(readers, files, strict=True):
            report = await each(reader, day, now - GRACE_SECONDS)
            await asyncio.to_thread(_write, file, report.html)
            written.append(Written(report, file))
    finally:
        await store.close()
    return written


def _file(out: str, symbol: str, day: int, base: Path) -> Path:
    named = out.format(symbol=symbol.replace("/", "-"), date=times.show(day)[:10])
    return (base / Path(named).expanduser()).resolve()


def _write(file: Path, html: str) -> None:
    """Write the page; one that is being read is replaced at once."""
    part = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(html, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise DestinationRefused(f"cannot write {file} ({error.strerror}): make room or name another --out") from error


def _said(written: list[Written]) -> str:
    return "; ".join(one.said() for one in written)


@flow(name="report", persist_result=False, on_crashed=[_hooks.tell], on_failure=[_hooks.tell])
async def report(options: ReportOptions) -> State[int]:
    """Draw a day, and leave links and thumbnails."""
    with _command.library_logs():
        if options.date is None and _command.is_overtaken(_DAY_SECONDS):
            return _command.skipped()
        try:
            written = await _report(options, build_report, settings.PROJECT_ROOT)
        except DepthError as error:
            return Failed(message=str(error), data=error)
        await report_pages(written)
    return Completed(message=_said(written), data=0)


async def _directly(options: ReportOptions) -> int:
    written = await _report(options, build_report.fn, Path.cwd())
    sys.stderr.write("".join(f"{one.said()}\n" for one in written))
    return 0


def _by_hand(options: ReportOptions) -> ReportOptions:
    """Understand a relative path as a person does who types it."""
    return options.model_copy(update={"out": str(Path.cwd() / Path(options.out).expanduser())})


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; give its exit code."""
    return _command.run(
        ReportOptions, arguments, lambda options: report(_by_hand(options), return_state=True), _directly
    )


if __name__ == "__main__":
    sys.exit(main())
