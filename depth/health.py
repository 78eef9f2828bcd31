"""Whether rows are captured and stored, told from the spool file alone: a health check must be quick and small."""

from collections.abc import Iterable
from dataclasses import dataclass

from depth.storage.spool_state import SpoolState


@dataclass(frozen=True, slots=True)
class Health:
    """The answer of a health check.

    Attributes:
        ok: every table of every live collector is captured and stored in time.
        line: how long ago, for a person.
    """

    ok: bool
    line: str


def judge(states: Iterable[SpoolState], now: float, max_age: float, max_lag: float) -> Health:
    """Judge how fresh the newest rows are.

    Rows that a collector of the past has left behind are no sign of illness: who captures nothing any more is left out,
    unless nobody captures.

    Args:
        states: as read from the spool.
        now: UTC seconds.
        max_age: seconds since the last captured epoch of each table.
        max_lag: seconds that the store may be behind the capture.
    """
    captured: dict[str, dict[str, int]] = {}  # by collector, then table
    acknowledged: dict[str, int] = {}
    for state in states:
        if state.captured_epoch is not None:
            captured.setdefault(state.collector, {})[state.table] = state.captured_epoch
        if state.acknowledged_epoch is not None:
            acknowledged[state.table] = max(state.acknowledged_epoch, acknowledged.get(state.table, 0))
    if not captured:
        return Health(ok=False, line="nothing is captured: the collector has just begun, or it does not run")
    live = [tables for tables in captured.values() if now - max(tables.values()) <= max_age]
    newest: dict[str, int] = {}
    for tables in live or captured.values():
        for table, epoch in tables.items():
            newest[table] = max(epoch, newest.get(table, 0))
    ok, said = True, []
    for table, epoch in sorted(newest.items()):
        stored = acknowledged.get(table)
        fresh = now - epoch <= max_age
        arrives = now - epoch <= max_lag if stored is None else epoch - stored <= max_lag
        ok = ok and fresh and arrives
        said.append(
            f"{table}: captured {now - epoch:.0f} s ago{'' if fresh else f' (over {max_age:.0f} s)'}, "
            + ("nothing stored yet" if stored is None else f"stored up to {now - stored:.0f} s ago")
            + ("" if arrives else f" (over {max_lag:.0f} s behind)")
        )
    return Health(ok, "; ".join(said))
