"""What runs leave in the Prefect UI."""

import asyncio
import logging
from collections.abc import Sequence

import httpx
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact

from depth import times
from depth.continuity import Continuity
from depth.ledger import Entry
from depth.outcome import Outcome
from depth.summary import Summary

logger = logging.getLogger("depth.artifacts")

_GAPS_SHOWN = 500
# Where a chart of coverage may begin: below its lowest bar, and never so near that it cannot be seen.
_AXES = (0, 50, 90, 99)
_REPORT_SECONDS = 10.0


async def report_run(outcome: Outcome) -> None:
    """Leave the report of a collector run: rows, coverage, gaps by cause, anchors, latency; within 10 s or never."""
    try:
        async with asyncio.timeout(_REPORT_SECONDS):
            await acreate_markdown_artifact(
                outcome.markdown(), key="collector-run", description="What this run collected"
            )
    except (TimeoutError, httpx.HTTPError) as error:  # the rows are what matters, and they are stored
        logger.warning("no report is left: Prefect does not answer (%s)", str(error) or "not in time")


async def report_hours(made: Sequence[Summary]) -> None:
    """Leave the hours that a roll-up made, if it made any: depth and spread are means of the hour."""
    if made:
        rows = [
            {
                "hour": times.show(summary["hour"]),
                "symbol": summary["symbol"],
                "rows": summary["count"],
                "coverage": summary["coverage"],
                "suspect": summary["suspect"],
                "close": summary["mid"]["close"],
                "spread bps": summary["spread_bps"]["mean"],
                "bid depth": summary["bid_depth"]["mean"],
                "ask depth": summary["ask_depth"]["mean"],
            }
            for summary in made
        ]
        await acreate_table_artifact(rows, key="hours-made", description="Hours that this run summed up")


async def report_gaps(found: Sequence[Continuity]) -> None:
    """Leave every gap that may still be filled, the newest first; the lost ones are in the ledger."""
    rows = [
        {
            "symbol": each.table.symbol,
            "start": times.show(entry.start),
            "end": times.show(entry.end),
            "missing": entry.missing,
            "cause": entry.cause,
            "detected": times.show(entry.detected_at),
        }
        for each in found
        for entry in reversed(_fillable(each))
    ]
    said = f"{len(rows)} open gaps" + (f", the first {_GAPS_SHOWN}" if len(rows) > _GAPS_SHOWN else "")
    await acreate_table_artifact(rows[:_GAPS_SHOWN], key="open-gaps", description=said)


async def report_coverage(found: Sequence[Continuity]) -> None:
    """Leave the share of seconds stored in the last 24 h, 7 d and 30 d, in numbers and as charts."""
    names = list(found[0].recent) if found else []
    lines = [f"| symbol | {' | '.join(names)} | open gaps |", "|---" * (len(names) + 2) + "|"]
    for each in found:
        shares = " | ".join("-" if part.share is None else f"{part.share:.4%}" for part in each.recent.values())
        lines.append(f"| {each.table.symbol} | {shares} | {len(_fillable(each))} |")
    charts = [chart for each in found for chart in _chart(each)]
    await acreate_markdown_artifact("\n".join([*lines, *charts]), key="coverage", description="Share of seconds stored")


def _fillable(found: Continuity) -> list[Entry]:
    return [entry for entry in found.open if entry.lost_at is None]


def _chart(found: Continuity) -> list[str]:
    shares = {name: 100 * part.share for name, part in found.recent.items() if part.share is not None}
    if not shares:
        return []
    return [
        "",
        "```mermaid",
        "xychart-beta",
        f'    title "{found.table.symbol}: seconds stored, %"',
        "    x-axis [" + ", ".join(f'"{name}"' for name in shares) + "]",
        f"    y-axis {max((begin for begin in _AXES if begin < min(shares.values())), default=0)} --> 100",
        "    bar [" + ", ".join(f"{share:.4f}" for share in shares.values()) + "]",
        "```",
    ]
