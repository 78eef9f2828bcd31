"""Write stored rows to files: a file a symbol and UTC day, as Parquet, CSV, or CSV as Tardis names it.

Requires: a store with rows (DB_BACKEND), and the right to write to `out`: a directory, or a URL of fsspec with its
package (gs:// needs gcsfs, s3:// needs s3fs).
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prefect import State, flow
from prefect.states import Completed, Failed
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import settings
from depth import times
from depth.epochs import GRACE_SECONDS
from depth.errors import DepthError, NothingStored, UsageError
from depth.gaps import Interval
from depth.options import Backend, Symbols, Time
from depth.storage.open import open_store
from flows import _command, _hooks
from tasks.exports import export_table, report_files

if TYPE_CHECKING:
    from depth.export.exporting import Export, Exported

_DAY_SECONDS = 86_400
_LONG_DAYS = 2


class ExportOptions(BaseModel):
    """Options of `export`, of its form in the UI and of its command line alike."""

    model_config = ConfigDict(extra="forbid")

    out: str = Field(min_length=1, description="directory, or a URL like gs://bucket/folder")
    start: Time | None = Field(
        None, description="first moment, ISO-8601 UTC or epoch seconds; --days whole UTC days ago where not given"
    )
    end: Time | None = Field(None, description="last moment, exclusive; now, or with --days the last midnight")
    days: int = Field(1, ge=1, description="whole UTC days to write where no start is given")
    format: Literal["parquet", "csv", "tardis"] = Field("parquet", description="how the files are written")
    symbols: Symbols = Field(default=[], description="markets, BASE/QUOTE; all that were collected where none is named")
    backend: Backend | None = Field(None, description="where rows are stored; DB_BACKEND where not given")

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: str | None, info: ValidationInfo) -> str | None:
        start = info.data.get("start")
        if start is not None and end is not None and times.parse(end) <= times.parse(start):
            raise ValueError(f"is not after --start {start}")
        return end


def _range(options: ExportOptions, now: int) -> Interval:
    """Say what is to be written: nothing that may still be on its way to the store."""
    midnight = now // _DAY_SECONDS * _DAY_SECONDS
    latest = midnight if options.start is None else now
    end = latest if options.end is None else times.parse(options.end)
    start = end - options.days * _DAY_SECONDS if options.start is None else times.parse(options.start)
    settled = min(end, now - GRACE_SECONDS)
    if settled <= start:
        said = f"{times.show(start)} to {times.show(end)}"
        raise UsageError(f"nothing of {said} is older than {GRACE_SECONDS} s: give an earlier --start")
    return Interval(max(0, start), settled)


def _place(out: str, base: Path) -> str:
    """Give a path below `base` where it is a relative one."""
    return out if "://" in out else str(base / Path(out).expanduser())


async def _export(options: ExportOptions, each: Callable[["Export"], Awaitable[int]]) -> "list[Exported]":
    """Go through all tables.

    Raises:
        NothingStored: no table holds a row of the range.
        DepthError: a table failed; those before it are written.
    """
    from depth import reading  # noqa: PLC0415  # Arrow is heavy, and the crash hooks import this file
    from depth.export.exporting import Export, days  # noqa: PLC0415
    from depth.export.formats import FORMATS  # noqa: PLC0415
    from depth.export.places import Place  # noqa: PLC0415

    env = settings.load()
    span = _range(options, int(time.time()))
    spans = list(days(*span))
    place = Place(_place(options.out, settings.PROJECT_ROOT))
    store = open_store(env.store(options.backend))
    exported: list[Exported] = []
    try:
        readers = await reading.find(store, options.symbols)
        await asyncio.to_thread(place.demand)
        with _progress(len(spans) * len(readers), shown=len(spans) >= _LONG_DAYS) as advance:

            def report(one: "Exported") -> None:
                exported.append(one)
                advance()

            for reader in readers:
                await each(Export(reader, place, FORMATS[options.format], spans, report))
    finally:
        await store.close()
    if all(one.state == "empty" for one in exported):
        symbols, said = (
            ", ".join(reader.table.symbol for reader in readers),
            f"{times.show(span.start)} to {times.show(span.end)}",
        )
        raise NothingStored(f"no row of {symbols} is stored from {said}: nothing was written")
    return exported


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[], None]]:
    """Show how far a long export is, to a person; give what to call after each day."""
    console = Console(stderr=True)
    columns = TextColumn("days"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as progress:
        days = progress.add_task("days", total=total)
        yield lambda: progress.advance(days)


def _print(exported: "Sequence[Exported]") -> None:
    """Show the days to a person; 80 columns hold them."""
    table = Table("day (UTC)", "symbol", box=None, pad_edge=False)
    for heading in ("rows", "coverage", "gaps", "size"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for one in exported:
        about = one.about
        share = "-" if about is None or about.coverage is None else f"{about.coverage:.3%}"
        counts = ("0", "-", "-") if about is None else (str(about.rows), share, str(len(about.gaps)))
        table.add_row(times.show(one.day)[:10], one.symbol, *counts, decimal(one.size), one.state)
    Console().print(table)


def _said(exported: "Sequence[Exported]", out: str) -> str:
    files = [one for one in exported if one.about is not None]
    written, size = sum(one.state == "written" for one in files), decimal(sum(one.size for one in files))
    return f"{len(files)} file{'s' * (len(files) != 1)}, {written} of them written, {size} in {out}"


@flow(name="export", persist_result=False, on_crashed=[_hooks.tell], on_failure=[_hooks.tell])
async def export(options: ExportOptions) -> State[int]:
    """Write what is stored to files, and leave the list of them."""
    with _command.library_logs():
        if options.start is None and options.end is None and _command.is_overtaken(_DAY_SECONDS):
            return _command.skipped()
        try:
            exported = await _export(options, export_table)
        except DepthError as error:
            return Failed(message=str(error), data=error)
        await report_files(options.out, exported)
    _print(exported)
    return Completed(message=_said(exported, options.out), data=0)


async def _directly(options: ExportOptions) -> int:
    exported = await _export(options, lambda export: export.run())
    _print(exported)
    sys.stderr.write(f"{_said(exported, options.out)}\n")
    return 0


def _by_hand(options: ExportOptions) -> ExportOptions:
    """Understand a relative path as a person does who types it."""
    return options.model_copy(update={"out": _place(options.out, Path.cwd())})


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; give its exit code."""
    return _command.run(
        ExportOptions,
        arguments,
        lambda options: export(_by_hand(options), return_state=True),
        lambda options: _directly(_by_hand(options)),
    )


if __name__ == "__main__":
    sys.exit(main())
