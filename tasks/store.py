"""The upload as a Prefect task."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from depth.errors import TransientError
from depth.shipping import Shipment

_RETRIES = 3


async def is_transient(_task: "Task[..., object]", _run: TaskRun, state: State[object]) -> bool:
    """Say whether a failed task is worth a retry."""
    return isinstance(await state.aresult(raise_on_failure=False), TransientError)


@task(
    name="store-snapshots",
    task_run_name="store {shipment}",
    retries=_RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=1),
    retry_jitter_factor=0.5,
    retry_condition_fn=is_transient,
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
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
