"""What every command is: options from a command line, logs on standard error, errors as one line and an exit code."""

import logging
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_settings import CliApp, SettingsError

from depth.errors import DepthError, UsageError

INTERRUPTED = 130

Options = TypeVar("Options", bound=BaseModel)


def answer(command: Callable[[], int]) -> int:
    """Run a command to its exit code, and say in one line what ended it.

    Returns:
        What the command gave; 1 where it failed, 2 for bad usage, 130 after Ctrl-C.
    """
    try:
        return command()
    except DepthError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # ``… | head``: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the exit
        return 0
    except KeyboardInterrupt:  # before the run had its own handlers
        return INTERRUPTED


def parse(model: type[Options], arguments: list[str] | None) -> Options:
    """Read a command line.

    Args:
        model: the options.
        arguments: without the program's name; None for this process' own.

    Raises:
        UsageError: something is wrong with it; names every wrong option.
    """
    try:
        return CliApp.run(model, cli_args=arguments, cli_cmd_method_name="none", cli_exit_on_error=False)
    except ValidationError as error:
        raise UsageError(describe(error, lambda name: "--" + name.replace("_", "-"))) from None
    except SettingsError as error:
        raise UsageError(" ".join(str(error).removeprefix("error parsing CLI: ").split())) from None


def describe(error: ValidationError, spell: Callable[[str], str] = str) -> str:
    """Write a validation error as one line; one that is of no single field does not say what they hold: secrets too.

    Args:
        error: from a settings or options model, or from a model with one such model a field.
        spell: turns a field's name into what a person typed, for example ``str.upper`` for the environment.
    """
    problems = []
    for problem in error.errors():
        names = [part for part in problem["loc"] if isinstance(part, str)]
        said = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{spell(names[-1])}: {said} (got {problem['input']!r})" if names else said)
    return "; ".join(problems)


def log_to_stderr(level: str, style: str) -> None:
    """Send log records to standard error: standard output belongs to the data.

    Args:
        level: from which on the library's records are shown.
        style: ``text`` for a person, ``json`` for one object a line, as Cloud Logging reads it.
    """
    handler = logging.StreamHandler(sys.stderr)
    fields = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    if style == "json":
        from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415  # only where it is used

        renamed = {"asctime": "time", "levelname": "severity", "name": "logger"}
        handler.setFormatter(JsonFormatter(fields, rename_fields=renamed))
    else:
        handler.setFormatter(logging.Formatter(fields))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)  # instead of Prefect's, for our records
    logging.getLogger("depth").setLevel(level)
