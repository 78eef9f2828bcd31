"""What happens after a run that ended badly.

Prefect calls these in the run's own process, or, where that was killed, in a fresh one beside the worker: what they
import must be light.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prefect import Flow, State
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.logging.loggers import flow_run_logger

from depth.errors import DepthError, TerminalError
from depth.wanted import Order
from flows import _runs
from flows._wanted import is_wanted

CRASH_WINDOW_SECONDS = 900.0
DELAYS_SECONDS = (0.0, 10.0, 30.0, 60.0, 300.0)


def delay(crashes: int) -> float:
    """Say how long to wait before a new run, in seconds, by the crashes within the last 15 minutes."""
    return DELAYS_SECONDS[min(max(crashes, 1), len(DELAYS_SECONDS)) - 1]


async def ask_again(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Ask for a new run in place of one that crashed or failed, if one is wanted; says in one line what it did.

    Nothing is asked for where a person must act first, for a run that a person started as a command, and for one that
    was to end by itself.
    """
    logger = flow_run_logger(flow_run, flow)
    deployment, options = flow_run.deployment_id, _runs.options_of(flow_run)
    if deployment is None or options is None or options.dry_run or (options.duration and not options.relay):
        return
    if await needs_a_person(state):
        logger.error("no new run is asked for: what ended this one will not pass by itself")
        return
    seconds, mine = 0.0, _runs.order(flow_run)

    async def look(client: PrefectClient) -> list[Order]:
        nonlocal seconds
        seconds = delay(await _runs.crashes(client, deployment, CRASH_WINDOW_SECONDS))
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        due = await _runs.due(client, deployment, options, until)
        return [_runs.order(run) for run in due if run.id != flow_run.id and _runs.starts(run)]

    async def ask(client: PrefectClient) -> str:
        key = f"in place of {flow_run.id}"
        return await _runs.ask(client, deployment, flow_run.parameters, seconds, key)

    try:
        answer = await is_wanted(options, await _runs.patiently(look), gone=mine[0])
        if answer.wanted:
            name = await _runs.patiently(ask)
            logger.warning("a new run %s is asked for, due in %.0f s: %s", name, seconds, answer.why)
        else:
            logger.info("no new run is asked for: %s", answer.why)
    except (httpx.HTTPError, DepthError) as error:
        said = str(error) or type(error).__name__
        logger.error("no new run could be asked for, the next of the schedule collects: %s", said)  # noqa: TRY400


async def needs_a_person(state: State[Any]) -> bool:
    """Say whether a run failed by what will not pass by itself: a wrong setting, an unknown symbol, a right."""
    return state.is_failed() and isinstance(await state.aresult(raise_on_failure=False), TerminalError)


def tell(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Emit the event `depth.run.failed` of a deployed run, for automations (deploy/automations.yaml says why)."""
    if flow_run.deployment_id is None:
        return
    emit_event(
        "depth.run.failed",
        resource={
            "prefect.resource.id": f"depth.run.{flow.name}.{flow_run.id}",
            "prefect.resource.name": flow_run.name,
            "depth.flow": flow.name,
        },
        related=[{"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.role": "flow-run"}],
        payload={"flow": flow.name, "run": flow_run.name, "state": state.name, "message": state.message or ""},
    )
