"""The roll-up of one table as a Prefect task."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from depth.rollup import Rollup
from tasks.store import is_transient

_RETRIES = 3


@task(
    name="roll-up-hours",
    task_run_name="roll up {rollup}",
    retries=_RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=1),
    retry_jitter_factor=0.5,
    retry_condition_fn=is_transient,
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
async def roll_up_hours(rollup: Rollup) -> int:
    """Bring the summaries of one table up to date; a retry goes on where the last attempt stopped.

    Args:
        rollup: one table and the hours that are left of it.

    Returns:
        Hours made by the last attempt.

    Raises:
        StoreUnavailable: after the last retry; the next run finds what is missing.
        StoreRefused: at once; a person must act.
    """
    return await rollup.run()
