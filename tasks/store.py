"""The upload as a Prefect task."""

from depth.shipping import Shipment
from tasks._retried import retried


@retried("store-snapshots", "store {shipment}")
async def store_snapshots(shipment: Shipment) -> int:
    """Upload one shipment; a retry sends only what is left of it.

    Args:
        shipment: rows of one table, still in the spool.

    Returns:
        Rows acknowledged by the last attempt.

    Raises:
        StoreUnavailable: after the last retry; the rows stay in the spool and the next flush takes them.
        StoreRefused: at once; a person must act.
    """
    return await shipment.send()
