"""The page: one HTML file with styles, script, Plotly and data in it. Nothing is fetched; its policy forbids it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
import plotly.offline

from depth.catalog import DepthTable
from depth.gaps import Interval
from depth.report.day import Minutes, Numbers
from depth.summary import Summary

_ASSETS = files("depth.report") / "assets"
_LEVELS = 65_533
_LOSSES_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Loss:
    """Epochs that are, or were, not as they should be.

    Attributes:
        start: first epoch.
        end: exclusive.
        count: epochs.
        cause: why.
        state: ``open`` (missing), ``filled`` (came late), ``stored`` (in doubt).
    """

    start: int
    end: int
    count: int
    cause: str
    state: str


@dataclass(frozen=True, slots=True)
class Content:
    """What the page shows.

    Attributes:
        table: whose day.
        minutes: the day.
        rows: stored.
        expected: epochs.
        due: where rows are expected.
        losses: sorted.
        hours: the day's summaries, oldest first.
        month: coverage by day of the month (first UTC second), None where nothing was due.
    """

    table: DepthTable
    minutes: Minutes
    rows: int
    expected: int
    due: Interval
    losses: Sequence[Loss]
    hours: Sequence[Summary]
    month: dict[int, float | None]


def render(content: Content) -> str:
    """Write the page."""
    date = f"{datetime.fromtimestamp(content.minutes.day, UTC):%Y-%m-%d}"
    # "</script>" in a string would end the script.
    data = json.dumps(_data(content, date), separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    return Template(_asset("page.html")).substitute(
        title=escape(f"{content.table.symbol} {date}"),
        style=_asset("page.css"),
        plotly=plotly.offline.get_plotlyjs().replace("</script", "<\\/script"),
        data=data,
        script=_asset("page.js"),
    )


def _data(content: Content, date: str) -> dict[str, Any]:
    minutes, grid = content.minutes, content.table.grid
    return {
        "symbol": content.table.symbol,
        "date": date,
        "day": minutes.day,
        "slotSeconds": minutes.seconds,
        "step": grid.step,
        "steps": grid.steps,
        "interval": grid.interval,
        "rows": content.rows,
        "expected": content.expected,
        "dueStart": content.due.start,
        "dueEnd": content.due.end,
        "binBps": minutes.bin_bps,
        "bins": minutes.bins,
        "due": _packed(minutes.due, "<u4"),
        "count": _packed(minutes.count, "<u4"),
        "shift": _packed(minutes.shift, "<u2"),
        "mid": _packed(minutes.mid, "<f8"),
        "spread": _packed(minutes.spread_bps, "<f4"),
        "imbalance": _packed(minutes.imbalance, "<f4"),
        "money": _logarithmic(np.concatenate([minutes.bids[::-1], minutes.asks])),
        "losses": [asdict(loss) for loss in content.losses[:_LOSSES_SHOWN]],
        "lossCount": len(content.losses),
        "hours": [_hour(hour) for hour in content.hours],
        "month": [[day, share] for day, share in sorted(content.month.items())],
    }


def _hour(hour: Summary) -> dict[str, Any]:
    """Give what the table of hours shows."""
    return {
        "hour": hour["hour"],
        "coverage": hour["coverage"],
        "close": hour["mid"]["close"],
        "low": hour["mid"]["low"],
        "high": hour["mid"]["high"],
        "volatility": hour["realized_volatility"],
        "spread": hour["spread_bps"]["mean"],
        "bids": hour["bid_depth"]["mean"],
        "asks": hour["ask_depth"]["mean"],
        "imbalance": hour["imbalance"]["mean"],
        "buy": hour["cost_bps"]["buy"]["1000000"],
        "sell": hour["cost_bps"]["sell"]["1000000"],
    }


def _logarithmic(money: Numbers) -> dict[str, Any]:
    """Pack money in two bytes: 0 is not known, 1 is none, the others are steps of its logarithm, 0.1 % at most."""
    some = money[money > 0]
    low, high = (float(np.log10(some.min())), float(np.log10(some.max()))) if len(some) else (0.0, 0.0)
    width = max(high - low, 1e-9) / _LEVELS
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.round((np.log10(money) - low) / width) + 2
    codes = np.where(np.isnan(money), 0, np.where(money > 0, steps, 1))
    return {"low": low, "width": width, "rows": len(money), "codes": _packed(codes, "<u2")}


def _packed(values: Any, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
