"""The report of a day as a Prefect task, and what it leaves in the UI. Arrow and Plotly are imported when it runs."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.artifacts import acreate_image_artifact, acreate_link_artifact

from tasks._retried import retried

if TYPE_CHECKING:
    from depth.reading import TableReader
    from depth.report.building import Report


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


@retried("build-report", "report {reader.table.name}")
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
