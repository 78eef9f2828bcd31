"""The export of one table as a Prefect task, and what it leaves in the UI; without Arrow, which the flow imports."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect.artifacts import acreate_table_artifact

from depth import times
from tasks._retried import retried

if TYPE_CHECKING:
    from depth.export.exporting import Export, Exported


@retried("export-table", "export {export}")
async def export_table(export: "Export") -> int:
    """Write the days of one table; a retry goes on with the day at which the last attempt stopped.

    Args:
        export: one table and the days that are left of it.

    Returns:
        Files written by the last attempt.

    Raises:
        StoreUnavailable: after the last retry; the next run finds what is missing.
        StoreRefused, DestinationRefused: at once; a person must act.
    """
    return await export.run()


async def report_files(place: str, exported: Sequence["Exported"]) -> None:
    """Leave what an export wrote or found, a row a file."""
    rows = [
        {
            "day": times.show(each.day)[:10],
            "symbol": each.symbol,
            "rows": each.about.rows,
            "coverage": each.about.coverage,
            "bytes": each.size,
            "state": each.state,
            "file": each.file,
        }
        for each in exported
        if each.about is not None
    ]
    await acreate_table_artifact(rows, key="exports", description=f"Files in {place}")
