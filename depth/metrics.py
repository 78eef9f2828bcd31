"""What a run says of itself to Prometheus, read from its own state at each scrape: nothing is counted twice.

Names and labels are a contract with `deploy/grafana` and `deploy/prometheus`.
"""

import asyncio
import errno
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import get_args
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector as Source

from depth.collector import Collector
from depth.errors import DepthError
from depth.exchange.base import Exchange
from depth.incidents import SUSPECT
from depth.losses import Cause
from depth.outcome import Latency, SymbolOutcome
from depth.plan import METRICS_PORTS
from depth.shipping import Destination
from depth.sinks import SpoolSink
from depth.storage.spool_state import SpoolStats

logger = logging.getLogger(__name__)

_SCRAPE_SECONDS = 5.0
_CAUSES = [cause for cause in get_args(Cause) if cause != SUSPECT]


@dataclass(frozen=True, slots=True)
class Reading:
    """The parts of a run that are read.

    Attributes:
        name: id of the collector.
        tables: symbol to table.
        exchange: its sockets.
        collector: its captures.
        sink: what waits in memory.
        destination: what the store took.
        stats: asks the spool.
        spool_limit_bytes: of the spool file.
        clock: UTC seconds.
    """

    name: str
    tables: Mapping[str, str]
    exchange: Exchange
    collector: Collector
    sink: SpoolSink
    destination: Destination
    stats: Callable[[], Awaitable[SpoolStats]]
    spool_limit_bytes: int
    clock: Callable[[], float]

    async def families(self) -> list[Metric]:
        """Read everything once; what the spool does not tell is left out."""
        try:
            stats = await self.stats()
        except DepthError as error:
            logger.debug("metrics of the spool are left out: %s", error)
            stats = None
        return [
            _gauges("depth_collector", "This run, always 1.", "collector", [(self.name, 1)]),
            *self._captured(),
            *self._sockets(),
            *self._stored(),
            *(self._spooled(stats) if stats else ()),
        ]

    def _captured(self) -> Iterator[Metric]:
        outcome = self.collector.outcome()
        for name, says, value in _BY_SYMBOL:
            yield _counters(f"depth_{name}", says, "symbol", [(part.symbol, value(part)) for part in outcome.symbols])
        missing = CounterMetricFamily(
            "depth_epochs_missing", "Epochs that this run knows it has no row for.", labels=["symbol", "cause"]
        )
        for part in outcome.symbols:
            # Each cause from the start: a series that begins with a one would not count as an increase.
            lost = dict.fromkeys(_CAUSES, 0) | part.lost | {"spool full": self.sink.dropped[part.symbol]}
            for cause, count in lost.items():
                missing.add_metric([part.symbol, cause], count)
        yield missing
        progress = [(symbol, self.collector.progress(symbol)) for symbol in self.tables]
        captured = [(symbol, each.captured_epoch) for symbol, each in progress]
        yield _gauges("depth_captured_epoch", "Last epoch captured.", "symbol", captured)
        says = "From the exchange's time of the last event to its receipt, by the local clock."
        yield _gauges(
            "depth_event_lag_seconds", says, "symbol", [(symbol, each.lag_seconds) for symbol, each in progress]
        )
        yield _histogram(outcome.latency)

    def _sockets(self) -> Iterator[Metric]:
        sockets = self.exchange.sockets()
        states = [("wanted", sockets.wanted), ("open", sockets.open), ("answering", sockets.answering)]
        yield _gauges("depth_sockets", "Sockets by state.", "state", states)
        yield CounterMetricFamily("depth_socket_reconnects", "Sockets that were replaced.", sockets.reconnects)
        yield CounterMetricFamily("depth_malformed_frames", "Frames that could not be read.", self.exchange.malformed)

    def _stored(self) -> Iterator[Metric]:
        stored, epochs = self.destination.stored, self.destination.acknowledged
        rows = [(symbol, stored[table]) for symbol, table in self.tables.items()]
        yield _counters("depth_rows_stored", "Rows that the store has taken.", "symbol", rows)
        newest = [(symbol, epochs.get(table)) for symbol, table in self.tables.items()]
        yield _gauges("depth_stored_epoch", "Last epoch that the store has.", "symbol", newest)
        says = "Attempts to store that failed, by the store's code."
        yield _counters("depth_store_errors", says, "code", self.destination.errors.items())
        yield GaugeMetricFamily("depth_rows_held", "Rows in memory that the spool has not taken.", self.sink.held)

    def _spooled(self, stats: SpoolStats) -> Iterator[Metric]:
        age = max((self.clock() - epoch for epoch in stats.oldest.values()), default=0.0)
        yield GaugeMetricFamily("depth_spool_rows", "Rows that wait in the spool.", stats.count)
        yield GaugeMetricFamily("depth_spool_age_seconds", "Age of the oldest row that waits.", max(age, 0.0))
        yield GaugeMetricFamily("depth_spool_bytes", "Bytes of the spool file in use.", stats.used_bytes)
        yield GaugeMetricFamily("depth_spool_limit_bytes", "Limit of the spool file.", self.spool_limit_bytes)


@asynccontextmanager
async def serving(host: str, port: int, read: Callable[[], Awaitable[Iterable[Metric]]]) -> AsyncIterator[None]:
    """Serve metrics while the block lasts; a port that cannot be had is a warning, not an error.

    Args:
        host: address to listen on.
        port: the first of ten, of which the first free one is taken.
        read: gives the metrics; called in this loop.
    """
    registry = CollectorRegistry()
    registry.register(_Loop(asyncio.get_running_loop(), read))
    ProcessCollector(registry=registry)
    # In a thread: the server looks up its own name, which may take a name server's time.
    server = await asyncio.to_thread(_listen, host, port, registry)
    try:
        yield
    finally:
        if server is not None:
            await asyncio.to_thread(server.shutdown)
            server.server_close()


class _Loop(Source):
    """Reads in the run's own loop what the server's thread asks for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, read: Callable[[], Awaitable[Iterable[Metric]]]) -> None:
        self._loop = loop
        self._read = read

    def collect(self) -> Iterable[Metric]:
        if self._loop.is_closed():
            return []
        reading = asyncio.run_coroutine_threadsafe(self._take(), self._loop)
        try:
            return reading.result(_SCRAPE_SECONDS)
        except (TimeoutError, CancelledError):
            reading.cancel()
            return []

    async def _take(self) -> Iterable[Metric]:
        return await self._read()


def _listen(host: str, port: int, registry: CollectorRegistry) -> WSGIServer | None:
    for candidate in range(port, port + METRICS_PORTS):
        try:
            server, _ = start_http_server(candidate, host, registry)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                logger.warning("no metrics on %s:%d (%s): correct METRICS_HOST", host, candidate, error)
                return None
        else:
            logger.info("metrics on http://%s:%d/metrics", host, candidate)
            return server
    logger.warning("no metrics: none of the ports %d to %d is free; set METRICS_PORT", port, port + METRICS_PORTS - 1)
    return None


_BY_SYMBOL: tuple[tuple[str, str, Callable[[SymbolOutcome], int]], ...] = (
    ("rows_captured", "Epochs that a row was captured of.", lambda part: part.rows),
    ("epochs_suspect", "Rows that two audits in a row did not confirm.", lambda part: part.suspect),
    ("resyncs", "Chains of update ids that broke.", lambda part: part.resyncs),
    ("anchors", "Snapshots that a book was built on or replaced by.", lambda part: part.anchors),
    ("audits", "Snapshots that were held against a live book.", lambda part: part.audits),
    ("audits_agreed", "Of these, those that agreed on every level.", lambda part: part.audits_agreed),
    ("batch_mismatches", "Events that two sockets cut differently.", lambda part: part.batch_mismatch),
)


def _gauges(name: str, says: str, label: str, values: Iterable[tuple[str, float | None]]) -> Metric:
    """Make one family; what has no value yet is left out."""
    made = GaugeMetricFamily(name, says, labels=[label])
    for value_of, value in values:
        if value is not None:
            made.add_metric([value_of], value)
    return made


def _counters(name: str, says: str, label: str, values: Iterable[tuple[str, int]]) -> Metric:
    made = CounterMetricFamily(name, says, labels=[label])
    for value_of, value in values:
        made.add_metric([value_of], value)
    return made


def _histogram(latency: Latency) -> Metric:
    counts = [*itertools.accumulate(latency.counts)]
    names = [*map(str, latency.BOUNDS), "+Inf"]
    says = "From the epoch to its row being durable in the spool."
    return HistogramMetricFamily(
        "depth_durable_latency_seconds", says, buckets=[*zip(names, counts, strict=True)], sum_value=latency.total
    )
