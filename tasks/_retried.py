"""How every task of ours is tried again: what may pass, with growing waits and jitter; nothing is cached or kept."""

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from depth.errors import TransientError

P = ParamSpec("P")
R = TypeVar("R")


async def is_transient(_task: "Task[..., object]", _run: TaskRun, state: State[object]) -> bool:
    """Say whether a failed task is worth a retry."""
    return isinstance(await state.aresult(raise_on_failure=False), TransientError)


def retried(
    name: str, run_name: str, retries: int = 3
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Task[P, Coroutine[Any, Any, R]]]:
    """Make a task of a coroutine function.

    Args:
        name: of the task.
        run_name: of its runs; a template over the parameters.
        retries: after the first attempt; they wait 1, 2, 4 … s and up to half as much again.
    """
    return task(
        name=name,
        task_run_name=run_name,
        retries=retries,
        retry_delay_seconds=exponential_backoff(backoff_factor=1),
        retry_jitter_factor=0.5,
        retry_condition_fn=is_transient,
        cache_policy=NO_CACHE,
        persist_result=False,
        log_prints=False,
    )
