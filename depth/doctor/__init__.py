"""Whether this machine, as it is set up, can collect: every check a line, with the remedy where there is one."""

import asyncio
from collections.abc import Sequence

from depth.doctor import alerting, exchange, orchestration, spool, storage
from depth.doctor.finding import Finding
from depth.plan import Plan

__all__ = ["Finding", "diagnose"]


async def diagnose(plan: Plan) -> Sequence[Finding]:
    """Check what a run of this plan needs; nothing that is checked is changed.

    Returns:
        A line for each check, in a fixed order; those that could not be made say so.
    """
    groups = await asyncio.gather(
        exchange.check(plan),
        storage.check(plan),
        asyncio.to_thread(spool.check, plan),
        orchestration.check(),
        alerting.check(plan.alerts),
    )
    return [finding for group in groups for finding in group]
