"""The flow runs of one deployment, as the Prefect API knows them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import httpx
import stamina
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Scheduled
from pydantic import ValidationError

from depth.options import CollectOptions
from depth.wanted import Order

_PATIENCE_SECONDS = 60.0
_STARTING_SECONDS = 60.0  # longer, and it has said in the store that it lives, or its worker has died

T = TypeVar("T")


def is_passing(error: Exception) -> bool:
    """Say whether the API may answer another time."""
    if isinstance(error, PrefectHTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, httpx.TransportError)


async def patiently(call: Callable[[PrefectClient], Awaitable[T]]) -> T:
    """Talk to the API, again for a minute where it does not answer.

    Raises:
        httpx.HTTPError: it did not.
    """
    attempts = stamina.retry_context(
        on=is_passing, attempts=None, timeout=_PATIENCE_SECONDS, wait_initial=0.5, wait_max=10.0
    )
    async for attempt in attempts:
        with attempt:
            async with get_client() as client:
                return await call(client)
    raise AssertionError  # stamina gives an attempt or raises


def order(run: FlowRun) -> Order:
    """Rank a run among the collectors of its group; the first part is the `scheduled` of its presence."""
    due = run.expected_start_time or run.created or datetime.now(UTC)
    return int(due.timestamp()), str(run.id)


async def due(
    client: PrefectClient, deployment: UUID, options: CollectOptions, until: datetime | None = None
) -> list[FlowRun]:
    """Find the unfinished runs of a deployment that are due, the latest first.

    Args:
        client: of the API.
        deployment: whose.
        options: a run with others collects something else.
        until: when they are due, by default now.
    """
    unfinished = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
    wanted: dict[str, Any] = {
        "deployment_id": {"any_": [deployment]},
        "state": {"type": {"any_": unfinished}},
        "expected_start_time": {"before_": until or datetime.now(UTC)},
    }
    found = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(**wanted), sort=FlowRunSort.EXPECTED_START_TIME_DESC
    )
    return [run for run in found if options_of(run) == options]


def waits(run: FlowRun) -> bool:
    """Say whether a run that is due waits for a worker."""
    return run.state_type is StateType.SCHEDULED


def starts(run: FlowRun) -> bool:
    """Say whether a run that is due will soon be live, if it is not yet: it waits, or a worker is starting it."""
    if run.state is None or waits(run):
        return True
    since = run.start_time or run.state.timestamp
    return datetime.now(UTC) - since < timedelta(seconds=_STARTING_SECONDS)


def options_of(run: FlowRun) -> CollectOptions | None:
    """Read what a run collects, None where its parameters are none of ours."""
    try:
        return CollectOptions.model_validate(run.parameters.get("options", {}))
    except ValidationError:
        return None


async def crashes(client: PrefectClient, deployment: UUID, seconds: float) -> int:
    """Count the runs of a deployment that crashed or failed within the last so many seconds; ten at most."""
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    wanted: dict[str, Any] = {
        "deployment_id": {"any_": [deployment]},
        "state": {"type": {"any_": [StateType.CRASHED, StateType.FAILED]}},
        "end_time": {"after_": since},
    }
    return len(await client.read_flow_runs(flow_run_filter=FlowRunFilter(**wanted), limit=10))


async def ask(
    client: PrefectClient, deployment: UUID, parameters: dict[str, Any], delay: float = 0.0, key: str | None = None
) -> str:
    """Ask for a run.

    Args:
        client: of the API.
        deployment: of what.
        parameters: of the run.
        delay: seconds until it is due.
        key: whoever asks twice with the same key gets one run.

    Returns:
        The name of the run.
    """
    due = datetime.now(UTC) + timedelta(seconds=delay)
    run = await client.create_flow_run_from_deployment(
        deployment, parameters=parameters, state=Scheduled(scheduled_time=due), idempotency_key=key
    )
    return run.name
