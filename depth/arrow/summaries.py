"""Hourly summaries as columns; one row an hour."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from depth.arrow.rows import MICROSECONDS, TIME
from depth.summary import NOTIONALS, Summary

_F = pa.float64()
_GAPS = pa.list_(pa.struct([pa.field("start", TIME), pa.field("end", TIME)]))


def _at(*path: str) -> Callable[[Summary], Any]:
    def get(summary: Any) -> Any:
        for key in path:
            summary = summary[key]
        return summary

    return get


def _flat(key: str, *parts: str) -> dict[str, tuple[pa.DataType, Callable[[Summary], Any]]]:
    return {f"{key}_{part}": (_F, _at(key, part)) for part in parts}


def _gaps(summary: Summary) -> list[dict[str, int]]:
    return [{"start": start * MICROSECONDS, "end": end * MICROSECONDS} for start, end in summary["gaps"]]


_COLUMNS: dict[str, tuple[pa.DataType | None, Callable[[Summary], Any]]] = {
    "hour": (TIME, lambda summary: summary["hour"] * MICROSECONDS),
    "count": (pa.int32(), _at("count")),
    "expected": (pa.int32(), _at("expected")),
    "coverage": (_F, _at("coverage")),
    "suspect": (pa.int32(), _at("suspect")),
    **_flat("mid", "open", "high", "low", "close"),
    "realized_volatility": (_F, _at("realized_volatility")),
    **_flat("spread_bps", "mean", "p50", "p95", "max"),
    **_flat("bid_depth", "mean", "min", "p5", "p50", "p95"),
    **_flat("ask_depth", "mean", "min", "p5", "p50", "p95"),
    **_flat("imbalance", "mean", "p5", "p50", "p95"),
    **{
        f"cost_bps_{side}_{notional}": (_F, _at("cost_bps", side, str(notional)))
        for side in ("buy", "sell")
        for notional in NOTIONALS
    },
    "bid_profile": (None, _at("bid_profile")),
    "ask_profile": (None, _at("ask_profile")),
    "gaps": (_GAPS, _gaps),
}


def table(summaries: Sequence[Summary], steps: int) -> pa.Table:
    """Make a table of summaries, in the order given.

    Args:
        summaries: of one table; `depth.summary` says what each number means.
        steps: buckets a side.

    Returns:
        Nested numbers under names like `mid_close`, `bid_depth_p50`, `cost_bps_buy_100000`; profiles as lists of
        `steps` numbers; `hour` and the ends of `gaps` as UTC timestamps.
    """
    profile = pa.list_(pa.field("item", _F), steps)
    return pa.table(
        {name: pa.array(map(get, summaries), kind or profile) for name, (kind, get) in _COLUMNS.items()},
    )
