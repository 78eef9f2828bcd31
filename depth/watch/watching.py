"""Look, show, wait for the next second: until Ctrl-C."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Protocol

from depth.running import stop_on_signals
from depth.watch.feeds import Feed
from depth.watch.lines import Lines
from depth.watch.view import View

_EVERY_SECONDS = 1.0


class Shows(Protocol):
    """A screen, or lines."""

    def show(self, view: View, now: float) -> None:
        """Show a view; `now` in UTC seconds."""
        ...


async def watch(feed: Feed, shown: Shows, stop: asyncio.Event, clock: Callable[[], float] = time.time) -> None:
    """Show a view a second until `stop` is set.

    A store that does not answer holds up neither the clock on the screen nor the end.

    Args:
        feed: gives views.
        shown: shows them.
        stop: ends it.
        clock: UTC seconds.

    Raises:
        TerminalError: a person must act.
    """
    view: View | None = None
    async with _ending(stop) as stopping:
        looking = asyncio.ensure_future(feed.look())
        try:
            while not stop.is_set():
                due = time.monotonic() + _EVERY_SECONDS
                await asyncio.wait({looking, stopping}, timeout=_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if looking.done():
                    view = looking.result()
                    shown.show(view, clock())
                    looking = asyncio.ensure_future(_later(feed, due))
                elif view is not None and not stop.is_set():
                    shown.show(view.again(), clock())
        finally:
            looking.cancel()
            await asyncio.wait([looking])


async def run(feeding: AbstractAsyncContextManager[Feed]) -> int:
    """Watch on this process' terminal, or print lines where it is none.

    Args:
        feeding: opens the feed.

    Returns:
        Exit code: 130 after Ctrl-C, 0 after SIGTERM.

    Raises:
        DepthError: one line says what to do.
    """
    with stop_on_signals() as stop:
        async with feeding as feed:
            with _shown() as shown:
                await watch(feed, shown, stop.event)
    return stop.exit_code


async def _later(feed: Feed, due: float) -> View:
    await asyncio.sleep(max(0.0, due - time.monotonic()))
    return await feed.look()


@asynccontextmanager
async def _ending(stop: asyncio.Event) -> AsyncIterator["asyncio.Task[bool]"]:
    stopping = asyncio.create_task(stop.wait())
    try:
        yield stopping
    finally:
        stopping.cancel()
        with suppress(asyncio.CancelledError):
            await stopping


@contextmanager
def _shown() -> Iterator[Shows]:
    """Choose by what standard output is; on a screen, log records have a line of their own."""
    if not sys.stdout.isatty():
        yield Lines(sys.stdout, sys.stderr)
        return
    from rich.console import Console  # noqa: PLC0415  # not for lines

    from depth.watch.screen import Screen  # noqa: PLC0415  # same

    console = Console(file=sys.stdout)
    if console.is_dumb_terminal:
        yield Lines(sys.stdout, sys.stderr)
        return
    screen = Screen(console)
    with _records_to(screen.heard), screen.live():
        yield screen


@contextmanager
def _records_to(hear: Callable[[str], None]) -> Iterator[None]:
    """Keep log records off a terminal that shows something else."""

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                hear(record.getMessage())

    root = logging.getLogger()
    before, heard = root.handlers[:], Heard()
    root.handlers[:] = [handler for handler in before if not _is_on_terminal(handler)] + [heard]
    try:
        yield
    finally:
        root.handlers[:] = before


def _is_on_terminal(handler: logging.Handler) -> bool:
    """A file that was not opened yet, or is closed, has no stream."""
    stream = handler.stream if isinstance(handler, logging.StreamHandler) else None
    return stream is not None and stream.isatty()
