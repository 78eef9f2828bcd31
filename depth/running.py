"""One run of the collector, put together: exchange, spool, store, shipping, and the ways it ends."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from depth import tables
from depth.alerts.delivery import Delivery, Notify
from depth.catalog import DepthTable
from depth.collector import Collector
from depth.command import INTERRUPTED
from depth.errors import CaptureStalled, DepthError, TerminalError, TransientError
from depth.exchange.base import Exchange
from depth.heap import freeze_imports, give_back_large_blocks
from depth.monitor import Monitor, Sights
from depth.outcome import Outcome
from depth.plan import Plan
from depth.presence import Presence
from depth.relay import Relay, hand_over
from depth.shipping import Destination, Shipment, Shipper
from depth.sinks import SpoolSink, TerminalSink
from depth.storage.base import Store
from depth.storage.open import open_store
from depth.storage.spool import Spool
from depth.supervision import Notifier, Watchdog
from depth.tables import TableMeta

logger = logging.getLogger(__name__)

_FIRST_ANSWER_SECONDS = 3.0
_LAST_UPLOAD_SECONDS = 3.0

T = TypeVar("T")
Upload = Callable[[Shipment], Awaitable[object]]


@dataclass(slots=True)
class Stop:
    """The one switch that ends a run.

    Attributes:
        event: set when the run is to end.
        ended_by: what ended it, None for its duration or its caller.
    """

    event: asyncio.Event
    ended_by: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """Exit code of a command that it has ended: 130 after Ctrl-C, else 0."""
        return INTERRUPTED if self.ended_by is signal.SIGINT else 0


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


async def run(
    plan: Plan,
    stop: asyncio.Event,
    upload: Upload = upload_directly,
    send: Notify = Delivery.send,
    notifier: Notifier | None = None,
) -> Outcome:
    """Collect as planned, until `stop` is set or the duration is over.

    Args:
        plan: what to do.
        stop: ends the run.
        upload: sends one shipment, with the retries of whoever runs it.
        send: sends one message to people, likewise.
        notifier: tells systemd, where it is systemd that began the run.

    Returns:
        What the run did.

    Raises:
        TerminalError: a person must act; its text says what to do. People were told.
        CaptureStalled: nothing was captured for 120 s, or in the whole duration; what was is spooled, and shipped
            where the store took it.
    """
    monitor = Monitor(plan.alerts, plan.spool_path, plan.symbols, send)
    try:
        return await _run(plan, stop, upload, monitor, notifier or Notifier())
    except TerminalError as error:
        if not plan.dry_run:
            await monitor.ended(error)
        raise
    finally:
        await monitor.close()


async def _run(plan: Plan, stop: asyncio.Event, upload: Upload, monitor: Monitor, notifier: Notifier) -> Outcome:
    from depth.exchange.binance import Binance  # noqa: PLC0415  # ccxt: 45 MB, half a second; flow files stay light

    give_back_large_blocks()
    freeze_imports()
    began = time.monotonic()
    collector = f"{socket.gethostname()}-{int(time.time())}-{os.getpid()}-{secrets.token_hex(2)}"
    exchange = Binance(plan.rest_url, plan.ws_url, plan.connections)
    timer = [_after(plan.duration, stop)] if plan.duration and not plan.relay else []
    try:
        async with _beside(timer):
            if plan.dry_run:
                capture = Collector(exchange, plan.grid, collector, TerminalSink())
                watchdog = Watchdog(capture, notifier, plan.stall_seconds)
                async with _beside([watchdog.run(stop)]):
                    outcome = await capture.run(plan.symbols, stop)
            else:
                names = {symbol: tables.depth_table(symbol, plan.table_suffix) for symbol in plan.symbols}
                store = open_store(plan.store)
                metas = {table: TableMeta(symbol, exchange.source, plan.grid) for symbol, table in names.items()}
                async with _spooling(plan, collector, store, Destination(store, metas), upload) as ready:
                    sink = SpoolSink(ready.spool, ready.thread, store.backend, names, collector)
                    capture = Collector(exchange, plan.grid, collector, sink)
                    watchdog = Watchdog(capture, notifier, plan.stall_seconds)
                    relays = ready.relays(names, capture)
                    async with ready.metrics(exchange, capture, sink, names):
                        beside = [watchdog.run(stop), *(relay.beacon() for relay in relays)]
                        beside += monitor.watch(ready.sights(names, capture, sink))
                        if plan.relay:
                            beside.append(_end_by_relay(plan, relays, stop))
                        outcome = await ready.beside_shipping(capture.run(plan.symbols, stop, ready.prepare), beside)
                outcome.waiting = ready.waiting
    finally:
        await exchange.close()
    watchdog.check(outcome)
    if plan.duration and time.monotonic() - began >= plan.duration and not any(part.rows for part in outcome.symbols):
        raise CaptureStalled(plan.duration)
    return outcome


async def run_directly(plan: Plan, notifier: Notifier | None = None) -> int:
    """Run as a command does that needs no Prefect: until SIGTERM, Ctrl-C or the end of its duration.

    Args:
        plan: what to do.
        notifier: tells systemd, where it is systemd that began the run.

    Returns:
        The exit code; what the run did stands on standard error.

    Raises:
        DepthError: as `run` does.
    """
    with stop_on_signals() as stop:
        outcome = await run(plan, stop.event, notifier=notifier)
    sys.stderr.write(f"{outcome.line()}\n")
    return stop.exit_code


async def _after(seconds: float, stop: asyncio.Event) -> None:
    await asyncio.sleep(seconds)
    stop.set()


async def _end_by_relay(plan: Plan, relays: Sequence[Relay], stop: asyncio.Event) -> None:
    """End a run that is over once every symbol has its successors."""
    await asyncio.sleep(plan.duration)
    await hand_over(relays, plan.replicas)
    stop.set()


@asynccontextmanager
async def _beside(others: Iterable[Awaitable[object]]) -> AsyncIterator[None]:
    """Run others while the block lasts; they have ended when it is left."""
    tasks = [asyncio.ensure_future(other) for other in others]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell_failure(task: asyncio.Task[None]) -> None:
    """Say at once what ended a task that nobody waits for."""
    if not task.cancelled() and (error := task.exception()):
        logger.error("the run goes on without a part of it", exc_info=error)


class _Spooling:
    """The spool and the shipping of one run."""

    def __init__(self, plan: Plan, collector: str, destination: Destination, upload: Upload) -> None:
        self.spool = Spool(plan.spool_path, collector, plan.spool_limit_bytes, destination.metas())
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self.waiting = 0
        self._plan = plan
        self._collector = collector
        self._destination = destination
        self._began = int(time.time())
        self._scheduled = self._began if plan.scheduled is None else plan.scheduled
        self._relays: list[Relay] = []
        self._shipper = Shipper(destination, self.spool, self.thread, upload, plan.flush_seconds)

    async def call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, function)

    def relays(self, names: Mapping[str, str], collector: Collector) -> list[Relay]:
        """Make this run's part in the relay of each table."""

        def myself(symbol: str, table: str) -> Callable[[], Awaitable[Presence]]:
            async def presence() -> Presence:
                progress, stats = collector.progress(symbol), await self.call(self.spool.stats)
                return Presence(
                    collector=self._collector,
                    group=self._plan.group,
                    scheduled=self._scheduled,
                    state="chained" if progress.chained else "unchained",
                    seen_at=time.time(),
                    first_epoch=progress.first_epoch,
                    last_epoch=self._destination.acknowledged.get(table),
                    captured_epoch=progress.captured_epoch,
                    oldest_spooled=stats.oldest.get(table),
                    spool_count=stats.count,
                    began=self._began,
                    spool=stats.spool,
                )

            return presence

        store = self._destination.store
        self._relays = [Relay(store, table, myself(symbol, table)) for symbol, table in names.items()]
        return self._relays

    def sights(self, names: Mapping[str, str], collector: Collector, sink: SpoolSink) -> Sights:
        """Say where a monitor finds what it looks at."""

        async def used() -> float:
            return (await self.call(self.spool.stats)).used_bytes / self._plan.spool_limit_bytes

        watched = [DepthTable(table, symbol, self._plan.grid) for symbol, table in names.items()]
        return Sights(watched, collector.progress, sink, self._shipper, self._destination, used)

    def metrics(
        self, exchange: Exchange, collector: Collector, sink: SpoolSink, names: Mapping[str, str]
    ) -> AbstractAsyncContextManager[None]:
        """Serve what this run says of itself, while the block lasts."""
        if self._plan.metrics_port is None:
            return nullcontext()
        from depth.metrics import Reading, serving  # noqa: PLC0415  # where nobody asks, nothing is loaded

        reading = Reading(
            name=self._collector,
            tables=names,
            exchange=exchange,
            collector=collector,
            sink=sink,
            destination=self._destination,
            stats=lambda: self.call(self.spool.stats),
            spool_limit_bytes=self._plan.spool_limit_bytes,
            clock=time.time,
        )
        return serving(self._plan.metrics_host, self._plan.metrics_port, reading.families)

    async def beside_shipping(
        self, capture: Awaitable[Outcome], beside: Iterable[Coroutine[object, object, None]]
    ) -> Outcome:
        """Run the capture while the shipper ships; only a store that is another's ends both.

        Args:
            capture: gives the run's outcome.
            beside: what runs as long as that; one that fails is told and ends nothing.
        """
        shipping, capturing = asyncio.ensure_future(self._shipper.run()), asyncio.ensure_future(capture)
        others = [asyncio.create_task(other) for other in beside]
        for other in others:
            other.add_done_callback(_tell_failure)
        async with _beside([shipping, capturing, *others]):
            await asyncio.wait({shipping, capturing}, return_when=asyncio.FIRST_COMPLETED)
            if shipping.done():
                shipping.result()
            return await capturing

    async def prepare(self) -> None:
        """Make the tables, or see that they are this run's; a store that is away is no reason to wait."""
        try:
            async with asyncio.timeout(_FIRST_ANSWER_SECONDS):
                await self._destination.prepare()
        except (TimeoutError, TransientError) as error:
            said = str(error) or f"the {self._destination.store.backend} store gave no answer in time"
            logger.warning("%s; capture begins all the same, rows wait in the spool", said)

    async def finish(self) -> None:
        """Give the last rows a moment to reach the store; what does not waits in the spool."""
        try:
            async with asyncio.timeout(_LAST_UPLOAD_SECONDS):
                await self._shipper.flush()
                for relay in self._relays:
                    await relay.farewell()
        except (TimeoutError, DepthError) as error:
            logger.warning("the last rows wait in the spool for the next run: %s", str(error) or "no answer in time")
        self.waiting = (await self.call(self.spool.stats)).count


@asynccontextmanager
async def _spooling(
    plan: Plan, collector: str, store: Store, destination: Destination, upload: Upload
) -> AsyncIterator[_Spooling]:
    spooling = _Spooling(plan, collector, destination, upload)
    try:
        await spooling.call(spooling.spool.open)
        yield spooling
        await spooling.finish()
    finally:
        await spooling.call(spooling.spool.close)
        spooling.thread.shutdown()
        await store.close()
