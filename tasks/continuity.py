"""The check of one table as a Prefect task, and what it tells the world."""

from prefect.events import emit_event

from depth import continuity
from depth.catalog import DepthTable
from depth.continuity import Check, Continuity
from depth.ledger import Entry
from depth.storage.base import Store
from tasks._retried import retried


@retried("verify-table", "verify {table.name}")
async def verify_table(store: Store, table: DepthTable, check: Check) -> Continuity:
    """Check one table; emit `depth.gap.opened` and `depth.gap.resolved` for what the ledger did not know.

    Args:
        store: holds the table.
        table: what to check.
        check: when, and how far.

    Returns:
        What was found.

    Raises:
        StoreUnavailable: after the last retry; the next run finds the same.
        StoreRefused: at once; a person must act.
    """
    found = await continuity.verify(store, table, check)
    for event, entries in (("depth.gap.opened", found.opened), ("depth.gap.resolved", found.resolved)):
        for entry in entries:
            _emit(event, table, entry)
    return found


def _emit(event: str, table: DepthTable, entry: Entry) -> None:
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"depth.gap.{table.name}.{entry.start}",
            "prefect.resource.name": f"{table.symbol} [{entry.start}, {entry.end})",
            "depth.symbol": table.symbol,
            "depth.table": table.name,
        },
        payload={"symbol": table.symbol, **entry.columns()},
    )
