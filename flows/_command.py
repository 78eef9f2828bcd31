"""What every flow file needs to be a command: options, one-line errors, exit codes, with or without Prefect."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from prefect import State
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from pydantic import BaseModel, ValidationError
from pydantic_settings import CliApp, SettingsError
from pythonjsonlogger.json import JsonFormatter

import settings
from depth.errors import DepthError, UsageError

logger = logging.getLogger("depth.command")

INTERRUPTED = 130
_API_SECONDS = 5.0

Options = TypeVar("Options", bound=BaseModel)


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
    try:
        options = parse(model, arguments)
        env = settings.load()
        _log_to_stderr(env)
        if not getattr(options, "dry_run", False) and _prefect_answers():
            return asyncio.run(_finish(orchestrated(options)))
        return asyncio.run(_await(directly(options)))
    except DepthError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # ``… | head``: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the exit
        return 0
    except KeyboardInterrupt:  # before the run had its own handlers
        return INTERRUPTED


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


def parse(model: type[Options], arguments: list[str] | None) -> Options:
    """Read a command line.

    Args:
        model: what may stand there.
        arguments: None for this process' own.

    Raises:
        UsageError: something else does; names all of it.
    """
    try:
        return CliApp.run(
            model,
            cli_args=arguments,
            cli_cmd_method_name="none",
            cli_exit_on_error=False,
        )
    except ValidationError as error:
        raise UsageError(settings.describe(error, lambda name: "--" + name.replace("_", "-"))) from None
    except SettingsError as error:
        raise UsageError(" ".join(str(error).split())) from None


def _log_to_stderr(env: settings.Settings) -> None:
    """Standard output belongs to the data; as text for a person, or as JSON as Cloud Logging reads it."""
    handler = logging.StreamHandler(sys.stderr)
    fields = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(
        JsonFormatter(fields, rename_fields={"asctime": "time", "levelname": "severity", "name": "logger"})
        if env.log_format == "json"
        else logging.Formatter(fields)
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)  # instead of Prefect's, for our records
    logging.getLogger("depth").setLevel(env.log_level)


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
