"""How a socket begins: what it is told right after it subscribed counts, and a refusal is no subscription."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from depth.events import Event
from depth.exchange.base import Market
from depth.exchange.simulated import SimulatedExchange, SyntheticSource
from depth.exchange.sockets import SocketPool
from depth.exchange.transport import Transport
from tests.virtual import STEP_SECONDS, VirtualLoop, clocks, run


@dataclass
class Heard:
    """A feed that writes down what it is told, and when."""

    loop: VirtualLoop
    said: list[tuple[float, str, str]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def opened(self, socket: str) -> None:
        self.said.append((self.loop.time(), "opened", socket))

    def closed(self, socket: str) -> None:
        self.said.append((self.loop.time(), "closed", socket))

    def delivered(self, socket: str, event: Event, received: float, now: float) -> None:
        del received, now
        assert self.said[-1][1:] == ("opened", socket)
        self.events.append(event)


def listen(seconds: float, faults: Sequence[dict[str, object]], later: Sequence[dict[str, object]] = ()) -> Heard:
    """Hold one socket open for a while; some faults are set before it connects, some a second later."""
    loop = VirtualLoop(1000.0, STEP_SECONDS)
    heard = Heard(loop)

    async def listening() -> None:
        async with SimulatedExchange(SyntheticSource()) as exchange:
            for fault in faults:
                exchange.faults.call(fault)
            transport = Transport(exchange.rest_url, exchange.ws_url)
            pool = asyncio.create_task(SocketPool(transport, [Market("BTC/USDT", "BTCUSDT", "USDT")], heard, 1).run())
            await asyncio.sleep(1)
            for fault in later:
                exchange.faults.call(fault)
            await asyncio.sleep(seconds - 1)
            pool.cancel()
            await asyncio.wait([pool])
            await transport.close()

    with clocks(loop):
        run(loop, listening())
    return heard


def test_events_in_the_same_read_as_the_answer_are_delivered() -> None:
    """The server answered, then told a second of events, and all of it arrives at once."""
    heard = listen(1.5, [{"fault": "freeze", "seconds": 1.0, "socket": 1}])
    opened = heard.said[0][0]
    first_told = heard.events[0].time / 1000
    assert opened >= 1001.0
    assert first_told < 1_767_225_600 + 1000.3
    assert len(heard.events) >= 12
    assert all(one.last_id + 1 == two.first_id for one, two in zip(heard.events, heard.events[1:], strict=False))


def test_a_refused_subscription_is_tried_again_on_another_socket(caplog: pytest.LogCaptureFixture) -> None:
    """A socket whose server said no is not counted in, and what was said is in the log."""
    with caplog.at_level(logging.WARNING, "depth"):
        heard = listen(4.0, [{"fault": "refuse_requests", "socket": 1}])
    assert [what for _, what, _ in heard.said] == ["opened", "closed"]
    assert heard.events
    assert "refuses a request" in caplog.messages[0]
    assert "Unknown error" in caplog.messages[0]


def test_a_probe_that_is_refused_condemns_the_socket() -> None:
    """Silent, and its server answers with an error: after 5 s and 2 s there is another one, and the old one goes."""
    heard = listen(14.0, [], [{"fault": "halt"}, {"fault": "refuse_requests", "socket": 1}])
    assert [what for _, what, _ in heard.said] == ["opened", "opened", "closed", "closed"]
    assert heard.said[1][0] == pytest.approx(1000 + 1 + 5 + 2, abs=1)


def test_a_probe_that_is_answered_keeps_the_socket() -> None:
    """Silent, and alive."""
    heard = listen(14.0, [], [{"fault": "halt"}])
    assert [what for _, what, _ in heard.said] == ["opened", "closed"]
