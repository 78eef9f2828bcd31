"""What runs leave in the Prefect UI."""

from prefect.artifacts import acreate_markdown_artifact

from depth.outcome import Outcome


async def report_run(outcome: Outcome) -> None:
    """Leave the report of a collector run: rows, coverage, gaps by cause, anchors, latency."""
    await acreate_markdown_artifact(outcome.markdown(), key="collector-run", description="What this run collected")
