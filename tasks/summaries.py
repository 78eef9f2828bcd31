"""The roll-up of one table as a Prefect task."""

from depth.rollup import Rollup
from tasks._retried import retried


@retried("roll-up-hours", "roll up {rollup}")
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
