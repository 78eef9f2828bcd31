"""The exchange in a thread of its own, with its own event loop."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from depth.exchange.simulated.options import Options
from depth.exchange.simulated.server import SimulatedExchange
from depth.exchange.simulated.source import Source

_T = TypeVar("_T")
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Handle:
    """A running exchange, seen from another thread.

    Attributes:
        exchange: the exchange; only its URLs may be read directly.
        loop: the loop that it runs in.
    """

    exchange: SimulatedExchange
    loop: asyncio.AbstractEventLoop

    @property
    def rest_url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return self.exchange.rest_url

    @property
    def ws_url(self) -> str:
        """``ws://127.0.0.1:PORT``."""
        return self.exchange.ws_url

    def do(self, what: Callable[[SimulatedExchange], _T]) -> _T:
        """Call `what` in the exchange's loop: ``handle.do(lambda exchange: exchange.faults.reset(1))``."""

        async def call() -> _T:
            return what(self.exchange)

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(_START_SECONDS)


@contextmanager
def threaded(source: Source, options: Options | None = None) -> Iterator[Handle]:
    """Run an exchange in a thread until the block ends.

    Raises:
        OSError: it cannot listen.
    """
    ready = threading.Event()
    started: list[Handle] = []
    failed: list[OSError] = []
    over: list[asyncio.Event] = []

    async def run() -> None:
        over.append(asyncio.Event())
        async with SimulatedExchange(source, options) as exchange:
            started.append(Handle(exchange, asyncio.get_running_loop()))
            ready.set()
            await over[0].wait()

    def main() -> None:
        try:
            asyncio.run(run())
        except OSError as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=main, name="simulated exchange")
    thread.start()
    ready.wait(_START_SECONDS)
    try:
        if failed:
            raise failed[0]
        yield started[0]
    finally:
        if started and thread.is_alive():
            started[0].loop.call_soon_threadsafe(over[0].set)
        thread.join()
