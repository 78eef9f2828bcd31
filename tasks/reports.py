"""The report of a day as a Prefect task, and what it leaves in the UI. Arrow and Plotly are imported when it runs."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import acreate_image_artifact, acreate_link_artifact
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from tasks.store import is_transient

if TYPE_CHECKING:
    from depth.reading import TableReader
    from depth.report.building import Report

_RETRIES = 3


@dataclass(frozen=True, slots=True)
class Written:
    """A report that is on disk.

    Attributes:
        report: what it says.
        file: where the page is.
    """

    report: "Report"
    file: Path

    def said(self) -> str:
        """Say it in one line."""
        report = self.report
        share = "nothing due" if report.coverage is None else f"coverage {report.coverage:.3%}"
        return f"{report.symbol}: {report.rows} rows, {share}, report in {self.file}"


@task(
    name="build-report",
    task_run_name="report {reader.table.name}",
    retries=_RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=1),
    retry_jitter_factor=0.5,
    retry_condition_fn=is_transient,
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
async def build_report(reader: "TableReader", day: int, settled: int) -> "Report":
    """Read and draw one day of one table.

    Args:
        reader: of the table.
        day: first UTC second of the day.
        settled: UTC second; what is younger is not due yet.

    Returns:
        The page and its thumbnail.

    Raises:
        StoreUnavailable: after the last retry.
        StoreRefused, NothingStored: at once; a person must act.
    """
    from depth.report.building import build  # noqa: PLC0415  # Arrow and Plotly are heavy, crash hooks import this file

    return await build(reader, day, settled)


async def report_pages(written: Sequence[Written]) -> None:
    """Leave a link to each page, and a thumbnail of its heat map that the UI shows."""
    for one in written:
        key = one.report.symbol.replace("/", "-").lower()
        await acreate_link_artifact(one.file.as_uri(), one.file.name, key=f"report-{key}", description=one.said())
        picture = base64.b64encode(one.report.png).decode()
        await acreate_image_artifact(
            f"data:image/png;base64,{picture}",
            key=f"heat-map-{key}",
            description=f"{one.said()}: bids below, asks above",
        )
