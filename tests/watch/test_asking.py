"""Sockets as the metrics of live collectors tell."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from depth.exchange.base import Sockets
from depth.watch.asking import sockets


class Metrics:
    """What `depth.metrics` serves of one collector's sockets."""

    def __init__(self, collector: str, answering: int) -> None:
        self._collector = collector
        self._answering = answering

    def collect(self) -> Iterable[Metric]:
        me = GaugeMetricFamily("depth_collector", "This run, always 1.", labels=["collector"])
        me.add_metric([self._collector], 1)
        states = GaugeMetricFamily("depth_sockets", "Sockets by state.", labels=["state"])
        for state, value in (("wanted", 2), ("open", 2), ("answering", self._answering)):
            states.add_metric([state], value)
        return [me, states, CounterMetricFamily("depth_socket_reconnects", "Sockets that were replaced.", 3)]


def ten_ports() -> int:
    """Find ten ports in a row that are free."""
    for first in range(21_000, 60_000, 10):
        with ExitStack() as stack:
            try:
                for port in range(first, first + 10):
                    stack.enter_context(closing(socket.socket())).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise AssertionError("no ten ports in a row are free")


@contextmanager
def serving(first: int, *collectors: tuple[int, str, int]) -> Iterator[None]:
    with ExitStack() as stack:
        for offset, name, answering in collectors:
            registry = CollectorRegistry()
            registry.register(Metrics(name, answering))
            server, thread = start_http_server(first + offset, "127.0.0.1", registry)
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        yield


def test_live_collectors_are_summed_up_and_others_passed_over() -> None:
    first = ten_ports()
    with serving(first, (0, "gone", 0), (3, "one", 2), (9, "two", 1)):
        assert sockets("127.0.0.1", first, {"one", "two"}) == Sockets(4, 4, 3, 6)
        assert sockets("127.0.0.1", first, {"one"}) == Sockets(2, 2, 2, 3)
        assert sockets("127.0.0.1", first, {"elsewhere"}) is None


def test_nobody_there_is_not_known() -> None:
    first = ten_ports()
    assert sockets("127.0.0.1", first, {"one"}) is None
    assert sockets("127.0.0.1", first, set()) is None


def test_a_program_that_says_nothing_is_not_waited_for_long() -> None:
    """It listens and does not answer."""
    first = ten_ports()
    with closing(socket.create_server(("127.0.0.1", first))), serving(first, (1, "one", 2)):
        assert sockets("127.0.0.1", first, {"one"}) == Sockets(2, 2, 2, 3)
