"""One run of the collector, put together: exchange, spool, store, shipping, and the ways it ends."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from depth import tables
from depth.collector import Collector
from depth.epochs import Grid
from depth.errors import DepthError, TransientError
from depth.outcome import Outcome
from depth.shipping import Destination, Shipment, Shipper, TableMeta
from depth.sinks import SpoolSink, TerminalSink
from depth.storage.base import Store
from depth.storage.open import StoreOptions, open_store
from depth.storage.spool import Spool

logger = logging.getLogger(__name__)

_LAST_UPLOAD_SECONDS = 3.0

T = TypeVar("T")
Upload = Callable[[Shipment], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run needs to know.

    Attributes:
        symbols: ``BASE/QUOTE``.
        grid: what is sampled.
        rest_url: scheme, host and port of the exchange's REST API.
        ws_url: scheme, host and port of its streams.
        connections: sockets that feed one book.
        store: where rows are stored.
        spool_path: the spool file.
        spool_limit_bytes: of the spool file.
        flush_seconds: between uploads.
        duration: seconds to run, 0 for ever.
        table_suffix: starts other tables for other parameters.
        dry_run: print instead of store.
    """

    symbols: tuple[str, ...]
    grid: Grid
    rest_url: str
    ws_url: str
    connections: int
    store: StoreOptions
    spool_path: Path
    spool_limit_bytes: int
    flush_seconds: float
    duration: float = 0
    table_suffix: str = ""
    dry_run: bool = False


@dataclass(slots=True)
class Stop:
    """The one switch that ends a run.

    Attributes:
        event: set when the run is to end.
        ended_by: what ended it, None for its duration or its caller.
    """

    event: asyncio.Event
    ended_by: signal.Signals | None = None


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """End a run well on SIGTERM and Ctrl-C, whoever else has handlers for them."""
    stop = Stop(asyncio.Event())
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def received(number: signal.Signals) -> None:
        stop.ended_by = number
        stop.event.set()

    try:
        for number in before:
            loop.add_signal_handler(number, received, signal.Signals(number))
    except (RuntimeError, ValueError):  # not the main thread: the caller's handlers stay
        logger.debug("signals are left to the caller")
    try:
        yield stop
    finally:
        for number, handler in before.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)


async def upload_directly(shipment: Shipment) -> int:
    """Send a shipment once; without Prefect the next flush is the retry."""
    return await shipment.send()


async def run(plan: Plan, stop: asyncio.Event, upload: Upload = upload_directly) -> Outcome:
    """Collect as planned, until `stop` is set or the duration is over.

    Args:
        plan: what to do.
        stop: ends the run.
        upload: sends one shipment, with the retries of whoever runs it.

    Returns:
        What the run did.

    Raises:
        TerminalError: a person must act; its text says what to do.
    """
    from depth.exchange.binance import Binance  # noqa: PLC0415  # ccxt: 107 MB and a second; flow files stay light

    names = {symbol: tables.depth_table(symbol, plan.table_suffix) for symbol in plan.symbols}
    collector = f"{socket.gethostname()}-{int(time.time())}-{os.getpid()}-{secrets.token_hex(2)}"
    exchange = Binance(plan.rest_url, plan.ws_url, plan.connections)
    timer = asyncio.get_running_loop().call_later(plan.duration, stop.set) if plan.duration else None
    try:
        if plan.dry_run:
            return await Collector(exchange, plan.grid, collector, TerminalSink()).run(plan.symbols, stop)
        store = open_store(plan.store)
        meta = TableMeta(exchange.source, plan.grid)
        async with _spooling(plan, collector, store, Destination(store, meta, list(names.values())), upload) as ready:
            sink = SpoolSink(ready.spool, ready.thread, store.backend, names, collector)
            capture = Collector(exchange, plan.grid, collector, sink)
            outcome = await ready.beside_shipping(capture.run(plan.symbols, stop))
        outcome.waiting = ready.waiting
        return outcome
    finally:
        if timer:
            timer.cancel()
        await exchange.close()


class _Spooling:
    """The spool and the shipping of one run."""

    def __init__(self, plan: Plan, collector: str, destination: Destination, upload: Upload) -> None:
        self.spool = Spool(plan.spool_path, collector, plan.spool_limit_bytes)
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self.waiting = 0
        self._shipper = Shipper(destination, self.spool, self.thread, upload, plan.flush_seconds)

    async def call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, function)

    async def beside_shipping(self, capture: Awaitable[Outcome]) -> Outcome:
        """Run the capture while the shipper ships; only a store that is another's ends both."""
        shipping = asyncio.create_task(self._shipper.run())
        capturing = asyncio.ensure_future(capture)
        try:
            await asyncio.wait({shipping, capturing}, return_when=asyncio.FIRST_COMPLETED)
            if shipping.done():
                shipping.result()
            return await capturing
        finally:
            for task in (shipping, capturing):
                task.cancel()
            await asyncio.gather(shipping, capturing, return_exceptions=True)

    async def finish(self) -> None:
        """Give the last rows a moment to reach the store; what does not waits in the spool."""
        try:
            async with asyncio.timeout(_LAST_UPLOAD_SECONDS):
                await self._shipper.flush()
        except (TimeoutError, DepthError) as error:
            logger.warning("the last rows wait in the spool for the next run: %s", error or "no answer in time")
        self.waiting = (await self.call(self.spool.stats)).count


@asynccontextmanager
async def _spooling(
    plan: Plan, collector: str, store: Store, destination: Destination, upload: Upload
) -> AsyncIterator[_Spooling]:
    spooling = _Spooling(plan, collector, destination, upload)
    try:
        await spooling.call(spooling.spool.open)
        try:
            await destination.prepare()
        except TransientError as error:
            logger.warning("%s; capture begins all the same, rows wait in the spool", error)
        yield spooling
        await spooling.finish()
    finally:
        await spooling.call(spooling.spool.close)
        spooling.thread.shutdown()
        await store.close()
