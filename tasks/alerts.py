"""The sending of a message as a Prefect task."""

from depth.alerts.delivery import Delivery
from tasks._retried import retried


@retried("send-alert", "alert {delivery}", retries=5)
async def send_alert(delivery: Delivery) -> bool:
    """Claim a message, send it and mark it; a retry goes on with the channels that do not have it.

    Args:
        delivery: one message.

    Returns:
        Whether every channel has it; if not, another process is at it.

    Raises:
        ChannelUnavailable: after the last retry; the next check sends it.
        ChannelRefused: at once; a person must act.
        StoreUnavailable: after the last retry: who sends it cannot be told.
    """
    return await delivery.send()
