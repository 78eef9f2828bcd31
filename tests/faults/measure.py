"""What a process holds, what it says, and waiting for it."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_HANDLES = Path("/proc/self/fd")
_MEMORY = Path("/proc/self/statm")
_PAGE_BYTES = 4096
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds.

    Attributes:
        handles: open files, sockets among them.
        tasks: of this loop.
        megabytes: resident.
    """

    handles: int
    tasks: int
    megabytes: float


def held() -> Held:
    """Measure now."""
    resident = int(_MEMORY.read_text().split()[1]) * _PAGE_BYTES / 2**20
    return Held(len([*_HANDLES.iterdir()]), len(asyncio.all_tasks()), resident)


@contextmanager
def logs() -> Iterator[list[logging.LogRecord]]:
    """Keep all that is said meanwhile, by us and by the loop."""
    said: list[logging.LogRecord] = []
    listener = logging.Handler()
    setattr(listener, "emit", said.append)  # noqa: B010  # mypy knows no other way to hear records
    loggers = [logging.getLogger(name) for name in ("depth", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(listener)
        logger.setLevel(logging.INFO)
    try:
        yield said
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(listener)
            logger.setLevel(level)


def mistakes(said: list[logging.LogRecord]) -> list[str]:
    """Give what was logged with a traceback: nobody had thought of it."""
    return [f"{record.getMessage()}: {record.exc_info[1]!r}" for record in said if record.exc_info]


async def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for something that nobody announces; say whether it came."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True
