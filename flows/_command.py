"""What every flow file needs to be a command: with or without Prefect."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from prefect import State
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.states import Completed

import settings
from depth import command
from depth.command import Options

logger = logging.getLogger("depth.command")

_API_SECONDS = 5.0


def run(
    model: type[Options],
    arguments: list[str] | None,
    orchestrated: Callable[[Options], Awaitable[State[Any]]],
    directly: Callable[[Options], Awaitable[int]],
) -> int:
    """Run a command.

    Args:
        model: its options.
        arguments: command line, None for this process' own.
        orchestrated: runs the flow on a Prefect server; gives its final state, whose result is the exit code.
        directly: runs the same code without a server; gives the exit code.

    Returns:
        0 well, 1 failed, 2 bad usage, 130 after Ctrl-C and a clean stop.
    """

    def run() -> int:
        options = command.parse(model, arguments)
        env = settings.load()
        command.log_to_stderr(env.log_level, env.log_format)
        if not getattr(options, "dry_run", False) and _prefect_answers():
            return asyncio.run(_finish(orchestrated(options)))
        return asyncio.run(_await(directly(options)))

    return command.answer(run)


@contextmanager
def library_logs() -> Iterator[None]:
    """Send the library's log records to the flow run's logs as well, where Prefect would need a setting for it."""
    library, extra = logging.getLogger("depth"), logging.getLogger("prefect.extra")
    before = library.handlers
    library.handlers = [*before, *extra.handlers]
    library.setLevel(library.level or logging.INFO)
    try:
        yield
    finally:
        library.handlers = before


def is_overtaken(period: int) -> bool:
    """Say whether a scheduled run starts so late that the next one of its schedule is due as well.

    Args:
        period: seconds between the runs of the schedule.
    """
    scheduled = flow_run.scheduled_start_time
    return scheduled is not None and time.time() - scheduled.timestamp() > period


def skipped(why: str = "a newer run does its work") -> State[int]:
    """Make the state of a late run that did nothing."""
    return Completed(name="Skipped", message=f"late, skipped: {why}", data=0)


def _prefect_answers() -> bool:
    """Whether a Prefect server is configured and reachable; says in one line why not."""
    url = get_current_settings().api.url
    if not url:
        logger.info("PREFECT_API_URL is not set: running without Prefect")
        return False
    try:
        httpx.get(f"{url}/health", timeout=_API_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        logger.warning(
            "Prefect at %s does not answer (%s): running without it", url, str(error) or type(error).__name__
        )
        return False
    return True


async def _finish(flow: Awaitable[State[Any]]) -> int:
    state = await flow
    result = await state.aresult(raise_on_failure=False)
    if isinstance(result, Exception):
        raise result
    return int(result)


async def _await(command: Awaitable[int]) -> int:
    return await command
