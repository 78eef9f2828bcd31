"""`depth.wanted`, asked with the settings of this process and with what the Prefect API knows."""

import asyncio
from collections.abc import Collection

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

import settings
from depth.options import CollectOptions
from depth.storage.open import open_store
from depth.wanted import Answer, Group, Order, wanted
from flows import _runs

_API_SECONDS = 5.0


async def is_wanted(
    options: CollectOptions, coming: Collection[Order], mine: Order | None = None, gone: int | None = None
) -> Answer:
    """Ask `depth.wanted` about the group of this process.

    Raises:
        UsageError: a setting is wrong.
    """
    plan = settings.load().plan(options)
    store = open_store(plan.store)
    try:
        return await wanted(store, Group.of(plan), coming, mine, gone)
    finally:
        await store.close()


async def stays(options: CollectOptions) -> Answer:
    """Decide at the start of a deployed run whether it goes on; an API that does not answer within 5 s has no say.

    Raises:
        UsageError: a setting is wrong.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return Answer(wanted=True, why="started by hand")
    coming: list[Order] = []
    try:
        async with asyncio.timeout(_API_SECONDS), get_client() as client:
            due = await _runs.due(client, run.deployment_id, options)
            coming = [_runs.order(other) for other in due if other.id != run.id and _runs.starts(other)]
    except (TimeoutError, httpx.HTTPError):
        pass
    return await is_wanted(options, coming, mine=_runs.order(run))
