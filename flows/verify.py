"""Check what is stored: find the missing epochs, keep the gap ledger, say how much there is.

Requires: a store with rows (DB_BACKEND), and the right to write its companion table `<table>_gaps`.
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
from depth import catalog, continuity, times
from depth.alerts.delivery import Delivery, Dispatcher, Notify
from depth.alerts.open import Boards, open_channels
from depth.announce import announce
from depth.catalog import DepthTable
from depth.continuity import Check, Continuity
from depth.epochs import GRACE_SECONDS
from depth.errors import DepthError, UsageError
from depth.options import Backend, Symbols, Time
from depth.storage.base import Store
from depth.storage.open import open_store
from flows import _command, _hooks
from tasks.alerts import send_alert
from tasks.artifacts import report_coverage, report_gaps
from tasks.continuity import verify_table

logger = logging.getLogger("depth.verify")

GAPS_FOUND = 3
_DAY_SECONDS = 86_400


class VerifyOptions(BaseModel):
    """Options of `verify`, of its form in the UI and of its command line alike."""

    model_config = ConfigDict(extra="forbid")

    start: Time | None = Field(
        None,
        description="first moment, ISO-8601 UTC or epoch seconds: rows are expected from here on, whatever is stored; "
        "where not given, from --window before the end, but not before the first row",
    )
    end: Time | None = Field(None, description="last moment, exclusive; now where not given")
    window: int = Field(900, ge=1, description="seconds to check where no start is given")
    grace: int = Field(GRACE_SECONDS, ge=0, description="seconds that a row may take to be stored")
    symbols: Symbols = Field(default=[], description="markets, BASE/QUOTE; all that were collected where none is named")
    backend: Backend | None = Field(None, description="where rows are stored; DB_BACKEND where not given")
    json_lines: bool = Field(default=False, alias="json", description="print one JSON object a symbol and nothing else")
    expire: bool = Field(default=False, description="then delete rows older than RETENTION_DAYS")
    period: int | None = Field(
        None, ge=1, description="seconds between the runs of a schedule; a run that is later by this is skipped"
    )

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: str | None, info: ValidationInfo) -> str | None:
        start = info.data.get("start")
        if start is not None and end is not None and times.parse(end) <= times.parse(start):
            raise ValueError(f"is not after --start {start}")
        return end


def _check(options: VerifyOptions, now: int, retention_days: int | None) -> Check:
    end = now if options.end is None else times.parse(options.end)
    start = end - options.window if options.start is None else times.parse(options.start)
    check = Check(
        start=max(0, start),
        end=end,
        now=now,
        by_hand=options.start is not None,
        grace=options.grace,
        kept_seconds=None if retention_days is None else retention_days * _DAY_SECONDS,
    )
    if check.start >= min(check.end, check.settled):
        raise UsageError(
            f"nothing of {times.show(check.start)} to {times.show(end)} is older than {options.grace} s: "
            "give an earlier --start"
        )
    return check


async def _verify(
    options: VerifyOptions, each: Callable[[Store, DepthTable, Check], Awaitable[Continuity]], notify: Notify
) -> list[Continuity]:
    """Check all tables and tell people what is due; one that fails does not hold up the others.

    Raises:
        DepthError: what the last table that failed said.
    """
    env = settings.load()
    check = _check(options, int(time.time()), env.retention_days)
    alerts = env.alerts(options.backend)
    boards = Boards(alerts, Dispatcher(open_channels(alerts), notify))
    store = open_store(env.store(options.backend))
    found: list[Continuity] = []
    failed: DepthError | None = None
    try:
        for table in await catalog.find(store, options.symbols):
            try:
                found.append(await each(store, table, check))
                if options.json_lines:
                    sys.stdout.write(json.dumps(found[-1].summary(), separators=(",", ":")) + "\n")
                    sys.stdout.flush()
                if options.expire:
                    deleted = await continuity.expire(store, table, check)
                    await boards.of_table(store, table.name, table.symbol).expire(check.horizon)
                    logger.info("%s: %d rows older than RETENTION_DAYS were deleted", table.name, deleted)
            except DepthError as error:
                if failed is not None:
                    logger.error("%s", failed)  # noqa: TRY400  # its one line says all
                failed = error
        for checked in found if boards.dispatcher else ():
            board = boards.of_table(store, checked.table.name, checked.table.symbol)
            await announce(board, store, checked, int(time.time()), present=options.end is None)
    finally:
        await store.close()
    if found and not options.json_lines:
        _print(found)
    if failed is not None:
        raise failed
    return found


def _print(found: list[Continuity]) -> None:
    """Show a person what was found; 80 columns hold it."""
    table = Table("symbol", "from (UTC)", "to (UTC)", box=None, pad_edge=False)
    table.add_column("missing", justify="right")
    table.add_column("coverage, cause")
    for each in found:
        share = "-" if each.coverage.share is None else f"{each.coverage.share:.3%}"
        table.add_row(each.table.symbol, *_times(*each.window), str(each.coverage.missing), share)
        for start, end, cause in each.gaps:
            table.add_row("  gap", *_times(start, end), str((end - start) // each.table.grid.interval), cause)
        if each.pending:
            table.add_row("  pending", "", "", str(each.pending), "not stored yet")
    Console().print(table)


def _times(start: int, end: int) -> tuple[str, str]:
    return times.show(start)[:-1].replace("T", " "), times.show(end)[:-1].replace("T", " ")


def _said(found: list[Continuity]) -> str:
    count = sum(len(each.gaps) for each in found)
    missing = sum(each.coverage.missing for each in found)
    expected = sum(each.coverage.expected for each in found)
    waiting = sum(each.pending for each in found)
    pending = f", {waiting} pending" if waiting else ""
    if not (expected or waiting):
        return "nothing to check: no row is stored yet"
    if not count:
        return f"no gap in {expected} epochs{pending}"
    return f"{count} gap{'s' * (count > 1)}, {missing} of {expected} epochs missing{pending}"


def _exit_code(found: list[Continuity]) -> int:
    return GAPS_FOUND if any(each.gaps for each in found) else 0


@flow(name="verify", persist_result=False, on_crashed=[_hooks.tell], on_failure=[_hooks.tell])
async def verify(options: VerifyOptions) -> State[int]:
    """Check what is stored, and leave what is open where everybody sees it."""
    with _command.library_logs():
        if options.period is not None and _command.is_overtaken(options.period):
            return _command.skipped()
        try:
            found = await _verify(options, verify_table, send_alert)
        except DepthError as error:
            return Failed(message=str(error), data=error)
        await report_gaps(found)
        await report_coverage(found)
    code = _exit_code(found)
    return Completed(name="Gaps found" if code else "Completed", message=_said(found), data=code)


async def _directly(options: VerifyOptions) -> int:
    found = await _verify(options, continuity.verify, Delivery.send)
    sys.stderr.write(f"{_said(found)}\n")
    return _exit_code(found)


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; give its exit code."""
    return _command.run(VerifyOptions, arguments, lambda options: verify(options, return_state=True), _directly)


if __name__ == "__main__":
    sys.exit(main())
