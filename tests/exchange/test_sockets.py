"""Sockets that fail in every way: what the book loses by it (nothing, or what cannot be had) and who is replaced when.

Every scene is a real collector with the real ccxt client on a simulated exchange of its own.
"""

import asyncio
import time

import pytest

from depth.events import Event
from depth.exchange.base import Market
from depth.exchange.simulated import (
    Options,
    SimulatedExchange,
    SocketOptions,
    SyntheticSource,
)
from depth.exchange.sockets import Socket, SocketPool
from depth.exchange.transport import Transport
from tests import markets
from tests.live import Run, Scenes, collecting, until

_WORST_REPLACEMENT_SECONDS = 7.0


async def untroubled() -> Run:
    async with collecting() as run:
        await run.more_rows(4)
    return run


async def one_lags() -> Run:
    async with collecting(Options(sockets={2: SocketOptions(delay_ms=600)})) as run:
        await run.more_rows(4)
    return run


async def reset() -> Run:
    async with collecting() as run:
        run.exchange.faults.reset(1)
        await run.replaced(3)
    return run


async def closed() -> Run:
    async with collecting() as run:
        run.exchange.faults.close(2)
        await run.replaced(3)
    return run


async def half_open() -> Run:
    async with collecting() as run:
        run.exchange.faults.half_open(1)
        await run.replaced(3)
    return run


async def frozen() -> Run:
    async with collecting() as run:
        run.exchange.faults.freeze(4, 1)
        await run.more_rows(6)
    return run


async def frame_lost() -> Run:
    async with collecting() as run:
        run.exchange.faults.drop(1, socket=2)
        await run.more_rows(3)
    return run


async def unreadable() -> Run:
    """One socket gets half a frame, then the other one HTML, then both an event that nobody has heard of."""
    async with collecting() as run:
        run.exchange.faults.truncate(1, socket=1)
        await run.more_rows(1)
        run.exchange.faults.garbage(socket=2)
        run.exchange.faults.unknown()
        await run.more_rows(3)
    return run


async def microseconds() -> Run:
    async with collecting() as run:
        run.exchange.faults.microseconds(socket=1)
        await run.more_rows(3)
    return run


async def unknown_keys() -> Run:
    async with collecting(source=markets.Altered(SyntheticSource(), markets.with_unknown_keys)) as run:
        await run.more_rows(3)
    return run


async def shut_down() -> Run:
    """Each socket hears that its server shuts down, one in each of the two forms."""
    async with collecting() as run:
        run.exchange.faults.server_shutdown(wrapped=False, socket=1)
        await run.replaced(3)
        run.exchange.faults.server_shutdown(wrapped=True, socket=2)
        await run.replaced(4)
    return run


async def halted() -> Run:
    """Nobody trades for long enough to be taken for dead."""
    async with collecting() as run:
        run.exchange.faults.halt()
        await asyncio.sleep(8.5)
        run.exchange.faults.resume()
        await run.more_rows(2)
    return run


async def unsubscribed() -> Run:
    """The only socket is alive, but the server has forgotten what it was asked for."""
    async with collecting(connections=1) as run:
        run.exchange._connections[0].subscriptions._streams.clear()
        await run.replaced(2)
    return run


async def event_lost() -> Run:
    async with collecting() as run:
        run.exchange.faults.drop(1)
        await run.more_rows(4)
    return run


async def cut_off() -> Run:
    """No socket at all for three seconds."""
    async with collecting() as run:
        run.exchange.faults.refuse(3)
        run.exchange.faults.reset()
        await run.more_rows(3)
    return run


async def old() -> Run:
    async with collecting(age_seconds=4.0) as run:
        await run.replaced(4)
    return run


async def unwelcome() -> Run:
    """After the first two, the server closes every connection at once."""
    async with collecting() as run:
        for number in range(3, 40):
            run.exchange.faults.close(number)
        run.exchange.faults.close(1)
        await run.more_rows(6)
    return run


@pytest.fixture(scope="session")
def scenes() -> Scenes:
    """Every scene, played."""
    played = Scenes(
        *(untroubled, one_lags, reset, closed, half_open, frozen, frame_lost, unreadable, microseconds, unknown_keys),
        *(shut_down, halted, unsubscribed, event_lost, cut_off, old, unwelcome),
    )
    played.play()
    return played


@pytest.mark.parametrize(
    "name",
    [
        *("untroubled", "one_lags", "reset", "closed", "half_open", "frozen", "frame_lost", "unreadable"),
        *("microseconds", "unknown_keys", "shut_down", "halted", "old", "unwelcome"),
    ],
)
def test_trouble_on_one_socket_costs_no_epoch(scenes: Scenes, name: str) -> None:
    """Every second is there and is the exchange's own book; no chain broke."""
    run = scenes[name]
    assert run.errors == []
    assert run.missing == set()
    assert run.lost == []
    assert run.outcome.resyncs == 0


@pytest.mark.parametrize(
    "name", ["untroubled", "one_lags", "frozen", "frame_lost", "unreadable", "microseconds", "unknown_keys", "halted"]
)
def test_a_living_socket_is_kept(scenes: Scenes, name: str) -> None:
    """A lag, a pause of four seconds, a lost or unreadable frame and a halt are no reason to replace a socket."""
    assert scenes[name].connections == 2


@pytest.mark.parametrize(("name", "dead"), [("reset", 1), ("closed", 2), ("half_open", 1)])
def test_a_dead_socket_is_replaced(scenes: Scenes, name: str, dead: int) -> None:
    """Exactly one further connection is made, and two are open afterwards."""
    run = scenes[name]
    assert run.connections == 3
    assert run.open_sockets[-1] == {1, 2, 3} - {dead}


def test_a_half_open_socket_is_replaced_within_seven_seconds(scenes: Scenes) -> None:
    """TCP says nothing for minutes; the other socket's progress gives it away."""
    run = scenes["half_open"]
    assert run.waited["socket 3"] < _WORST_REPLACEMENT_SECONDS * (1 + run.stalls) + run.lag


def test_a_socket_that_the_server_forgot_is_replaced_within_seven_seconds(scenes: Scenes) -> None:
    """An answer without streams to LIST_SUBSCRIPTIONS means that nothing more will come."""
    run = scenes["unsubscribed"]
    assert run.waited["socket 2"] < _WORST_REPLACEMENT_SECONDS * (1 + run.stalls) + run.lag
    assert run.errors == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("half_open", 1, 3), ("shut_down", 1, 3), ("shut_down", 2, 4), ("unsubscribed", 1, 2)],
)
def test_the_replacement_is_opened_before_the_old_socket_is_dropped(
    scenes: Scenes, name: str, old: int, new: int
) -> None:
    """The exchange sees both open at the same time."""
    assert scenes[name].overlapped(old, new)


@pytest.mark.parametrize("name", ["half_open", "shut_down", "old"])
def test_there_are_never_fewer_sockets_than_wanted_by_our_doing(scenes: Scenes, name: str) -> None:
    """Dead, announced or old: the exchange always sees two."""
    assert scenes[name].fewest_open == 2


@pytest.mark.parametrize("name", ["half_open", "shut_down", "old"])
def test_the_replacement_has_delivered_before_the_old_socket_is_dropped(scenes: Scenes, name: str) -> None:
    """Whenever a socket goes by our doing, as many as ever have had events for the book and stay."""
    assert scenes[name].fewest_delivering == 2


def test_a_shutdown_is_obeyed_at_once_in_both_of_its_forms(scenes: Scenes) -> None:
    """The bare and the wrapped message each lead to one replacement within seconds."""
    run = scenes["shut_down"]
    assert run.connections == 4
    assert max(run.waited.values()) < 3.0 + run.lag


def test_silent_sockets_are_asked_for_their_subscriptions(scenes: Scenes) -> None:
    """In a halted market both are probed, and what answers is alive."""
    exchange = scenes["halted"].exchange
    assert all(len(connection._messages) >= 2 for connection in exchange._connections)


def test_quiet_seconds_of_a_halt_have_rows(scenes: Scenes) -> None:
    """A book that nobody changes is known all the time: the halt of 8 s has its rows as soon as trade goes on."""
    run = scenes["halted"]
    silent = [row for row in run.sink.rows if row.epoch * 1000 - row.event_time > 1000]
    assert len(silent) >= 6


def test_unreadable_frames_are_counted(scenes: Scenes) -> None:
    """Half a frame and a page of HTML are two; an unknown type of event is none."""
    result = scenes["unreadable"].result
    assert result is not None
    assert result.malformed == 2


def test_event_times_in_microseconds_are_the_same_events(scenes: Scenes) -> None:
    """One socket in µs and one in ms tell no different story: no pair of events differs."""
    assert scenes["microseconds"].outcome.batch_mismatch == 0


def test_an_event_lost_on_both_sockets_costs_one_epoch_at_most(scenes: Scenes) -> None:
    """The chain breaks and a new one begins within a second; where an epoch is lost, the cause is named."""
    run = scenes["event_lost"]
    assert run.errors == []
    assert len(run.missing) <= 1
    assert {incident.cause for incident in run.lost} <= {"sequence break"}
    assert run.outcome.resyncs == 1
    assert run.outcome.lost.get("sequence break", 0) == len(run.missing)


def test_three_seconds_without_a_socket_cost_five_epochs_at_most(scenes: Scenes) -> None:
    """What is lost is known as `disconnect`, and the rows after it are the exchange's book again."""
    run = scenes["cut_off"]
    assert run.errors == []
    assert 2 <= len(run.missing) <= 3 + 2 + int(run.lag)
    assert [incident.cause for incident in run.lost] == ["disconnect"]
    assert set(range(run.lost[0].start, run.lost[0].end)) == run.missing


def test_a_server_that_closes_at_once_is_asked_ever_less_often(scenes: Scenes) -> None:
    """Six seconds of refused sockets are about ten connections, not hundreds."""
    assert scenes["unwelcome"].connections <= 12


async def test_a_process_that_stood_still_kills_no_socket_and_loses_no_epoch(caplog: pytest.LogCaptureFixture) -> None:
    """After 1.5 s in which nothing ran, every timer begins anew and the events that waited are all there."""
    async with collecting() as run:
        time.sleep(1.5)  # noqa: ASYNC251  # the point of the test
        await run.more_rows(4)
    assert any("stood still" in message for message in caplog.messages)
    assert (run.errors, run.missing, run.lost) == ([], set(), [])
    assert run.connections == 2


class Stopper:
    """A feed that ends its pool some turns of the loop after the second socket has delivered."""

    def __init__(self, turns: int) -> None:
        self.running: asyncio.Task[None] | None = None
        self._turns = turns
        self._sockets: set[str] = set()

    def opened(self, socket: str) -> None:
        """Nothing is counted before it delivers."""

    def closed(self, socket: str) -> None:
        """What goes is of no interest."""

    def delivered(self, socket: str, event: Event, received: float, now: float) -> None:
        del event, received, now
        if socket not in self._sockets:
            self._sockets.add(socket)
            if len(self._sockets) == 2:
                self._stop(self._turns)

    def _stop(self, turns: int) -> None:
        assert self.running is not None
        if turns:
            asyncio.get_running_loop().call_soon(self._stop, turns - 1)
        else:
            self.running.cancel()


async def test_a_stop_in_the_middle_of_a_replacement_is_obeyed() -> None:
    """Whatever the moment, the pool ends: a cancellation that meets the first event of a new socket is not lost."""
    async with SimulatedExchange(SyntheticSource()) as exchange:

        async def stopped(turns: int) -> bool:
            transport, feed = Transport(exchange.rest_url, exchange.ws_url), Stopper(turns)
            pool = SocketPool(transport, [Market("BTC/USDT", "BTCUSDT", "USDT")], feed, 1, age_seconds=0.5)
            feed.running = asyncio.create_task(pool.run())
            await asyncio.wait([feed.running], timeout=30)
            await transport.close()
            return feed.running.cancelled()

        assert all(await asyncio.gather(*(stopped(turns) for turns in range(5))))


async def test_a_socket_is_not_taken_for_another_of_its_name() -> None:
    """Names come again after many tries: what ends late ends itself alone."""
    async with SimulatedExchange(SyntheticSource()) as exchange:
        transport, feed = Transport(exchange.rest_url, exchange.ws_url), Stopper(0)
        pool = SocketPool(transport, [Market("BTC/USDT", "BTCUSDT", "USDT")], feed, 1)
        feed.running = running = asyncio.create_task(pool.run())
        await until(lambda: pool.sockets().open == 1)
        pool.ended(Socket("0", pool), "late")
        assert pool.sockets().open == 1
        running.cancel()
        await asyncio.wait([running])
        await transport.close()
