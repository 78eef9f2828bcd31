"""The sending of a message as a Prefect task."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from depth.alerts.delivery import Delivery
from tasks.store import is_transient

_RETRIES = 5


@task(
    name="send-alert",
    task_run_name="alert {delivery}",
    retries=_RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=1),
    retry_jitter_factor=0.5,
    retry_condition_fn=is_transient,
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
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
