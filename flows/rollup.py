"""Sum up whole hours: one summary per symbol and UTC hour, made anew where late rows have arrived.

Requires: a store with rows (DB_BACKEND), and the right to write its companion table `<table>_hourly`.
"""

import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable

from prefect import State, flow
from prefect.states import Completed, Failed
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from rich.console import Console
from rich.table import Table

import settings
from depth import catalog, times
from depth.errors import DepthError, UsageError
from depth.options import Backend, Symbols, Time
from depth.rollup import RolledHour, Rollup, Span, hours
from depth.storage.open import open_store
from flows import _command, _hooks
from tasks.artifacts import report_hours
from tasks.summaries import roll_up_hours

logger = logging.getLogger("depth.rollup")

_DAY_SECONDS = 86_400
_PERIOD_SECONDS = 3600


class RollupOptions(BaseModel):
    """Options of `rollup`, of its form in the UI and of its command line alike."""

    model_config = ConfigDict(extra="forbid")

    start: Time | None = Field(
        None, description="first moment, ISO-8601 UTC or epoch seconds; a day before the end where not given"
    )
    end: Time | None = Field(None, description="last moment, exclusive; now where not given")
    symbols: Symbols = Field(default=[], description="markets, BASE/QUOTE; all that were collected where none is named")
    backend: Backend | None = Field(None, description="where rows are stored; DB_BACKEND where not given")
    json_lines: bool = Field(default=False, alias="json", description="print one JSON object an hour and nothing else")

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: str | None, info: ValidationInfo) -> str | None:
        start = info.data.get("start")
        if start is not None and end is not None and times.parse(end) <= times.parse(start):
            raise ValueError(f"is not after --start {start}")
        return end


def _span(options: RollupOptions, now: float, retention_days: int | None) -> Span:
    end = int(now) if options.end is None else times.parse(options.end)
    start = end - _DAY_SECONDS if options.start is None else times.parse(options.start)
    due = hours(start, end, now)
    if not due:
        said = f"{times.show(start)} to {times.show(end)}"
        raise UsageError(f"no hour of {said} is over: hours are whole UTC hours; give an earlier --start")
    horizon = 0 if retention_days is None else int(now) - retention_days * _DAY_SECONDS
    return Span(due, options.start is not None, horizon)


async def _roll_up(options: RollupOptions, each: Callable[[Rollup], Awaitable[int]]) -> list[RolledHour]:
    """Go through all tables; one that fails does not hold up the others.

    Raises:
        DepthError: what the last table that failed said.
    """
    rolled: list[RolledHour] = []

    def report(hour: RolledHour) -> None:
        rolled.append(hour)
        if options.json_lines:
            sys.stdout.write(json.dumps(hour.summary, separators=(",", ":")) + "\n")
            sys.stdout.flush()

    env = settings.load()
    span = _span(options, time.time(), env.retention_days)
    store = open_store(env.store(options.backend))
    failed: DepthError | None = None
    try:
        for table in await catalog.find(store, options.symbols):
            try:
                await each(Rollup(store, table, span, report))
            except DepthError as error:
                if failed is not None:
                    logger.error("%s", failed)  # noqa: TRY400  # its one line says all
                failed = error
    finally:
        await store.close()
    if rolled and not options.json_lines:
        _print(rolled)
    if failed is not None:
        raise failed
    return rolled


def _print(rolled: list[RolledHour]) -> None:
    """Show the hours to a person; 80 columns hold them."""
    table = Table("hour (UTC)", "symbol", box=None, pad_edge=False, collapse_padding=True)
    for heading in ("rows", "coverage", "close", "bps", "bids", "asks"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for hour in rolled:
        summary = hour.summary
        remarks = ["made"] * hour.made + [f"{summary['suspect']} suspect"] * bool(summary["suspect"])
        table.add_row(
            times.show(summary["hour"])[:16].replace("T", " "),
            summary["symbol"],
            str(summary["count"]),
            _number(summary["coverage"], "{:.2%}"),
            _number(summary["mid"]["close"], "{:.8g}"),
            _number(summary["spread_bps"]["mean"], "{:.2f}"),
            _number(summary["bid_depth"]["mean"], "{:,.0f}"),
            _number(summary["ask_depth"]["mean"], "{:,.0f}"),
            ", ".join(remarks),
        )
    Console().print(table)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _said(rolled: list[RolledHour]) -> str:
    return f"{len(rolled)} hours, {sum(hour.made for hour in rolled)} of them made"


@flow(name="rollup", persist_result=False, on_crashed=[_hooks.tell], on_failure=[_hooks.tell])
async def rollup(options: RollupOptions) -> State[int]:
    """Bring the hourly summaries up to date."""
    with _command.library_logs():
        if options.start is None and options.end is None and _command.is_overtaken(_PERIOD_SECONDS):
            return _command.skipped()
        try:
            rolled = await _roll_up(options, roll_up_hours)
        except DepthError as error:
            return Failed(message=str(error), data=error)
        await report_hours([hour.summary for hour in rolled if hour.made])
    return Completed(message=_said(rolled), data=0)


async def _directly(options: RollupOptions) -> int:
    rolled = await _roll_up(options, Rollup.run)
    sys.stderr.write(f"{_said(rolled)}\n")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; give its exit code."""
    return _command.run(RollupOptions, arguments, lambda options: rollup(options, return_state=True), _directly)


if __name__ == "__main__":
    sys.exit(main())
