"""Every fault of a socket does what it says, and only to the socket that it names."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from depth.exchange.simulated import Options, SimulatedExchange, SyntheticSource
from tests.exchange.simulated.client import FAST, NaiveBook, client, events, same

SOURCE = SyntheticSource(seed=21)
FASTER = Options(speed=10, start_after=1)


async def frames(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[str]:
    return [await socket.receive_str(timeout=5) for _ in range(count)]


async def until(socket: aiohttp.ClientWebSocketResponse, wanted: Callable[[str], bool], more: int = 5) -> list[str]:
    """Receive until a frame is as wanted, and some more."""
    texts = [""]
    async with asyncio.timeout(10):
        while not texts[-1] or not wanted(texts[-1]):
            texts.append(await socket.receive_str())
    return texts[1:] + await frames(socket, more)


async def until_silent(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> list[dict[str, Any]]:
    """Receive until nothing has come for so long."""
    received: list[dict[str, Any]] = []
    with suppress(TimeoutError):
        while True:
            received.append(json.loads(await socket.receive_str(timeout=seconds)))
    return received


async def test_a_reset_breaks_the_connection_without_goodbye() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        first, second = await talking.open(), await talking.open()
        await events(first, 1)
        exchange.faults.reset(1)
        while (message := await first.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.type in (aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSED)
        assert first.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
        await events(second, 30)
        assert exchange.state.open == (2,)


async def test_a_close_is_a_proper_goodbye() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        socket = await talking.open()
        await events(socket, 1)
        exchange.faults.close()
        while (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY


async def test_a_half_open_connection_is_silent_and_stays() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        socket, other = await talking.open(), await talking.open()
        await events(socket, 1)
        exchange.faults.half_open(1)
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 9})
        await socket.ping()
        story = await until_silent(socket, 0.4)
        assert all("id" not in message for message in story)
        assert not socket.closed
        assert exchange.state.open == (1, 2)
        await events(other, 30)


async def test_a_frozen_socket_catches_up_without_loss() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        socket, other = await talking.open(), await talking.open()
        before = await events(socket, 2)
        frozen_at = time.monotonic()
        exchange.faults.freeze(1.0, socket=1)
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 9})
        await events(other, 20)
        assert time.monotonic() - frozen_at < 1.0
        caught = await events(socket, 60)
        assert time.monotonic() - frozen_at > 0.9
        story = before + caught
        assert all(late["U"] == early["u"] + 1 for early, late in itertools.pairwise(story))


async def test_a_client_may_leave_while_it_is_frozen(caplog: pytest.LogCaptureFixture) -> None:
    """Its ping waits for an answer that nobody takes any more: no error of the exchange."""
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        socket = await talking.open()
        await events(socket, 1)
        exchange.faults.freeze(0.3)
        await socket.ping()
        response = socket._response  # aiohttp cuts no connection without a goodbye
        assert response.connection is not None
        assert response.connection.transport is not None
        response.connection.transport.abort()
        await asyncio.sleep(0.6)
        assert exchange.state.open == ()
    assert caplog.records == []


async def test_dropped_events_leave_a_hole() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        socket = await talking.open()
        story = await events(socket, 2)
        exchange.faults.drop(3, socket=1)
        story += map(json.loads, await until(socket, lambda text: json.loads(text)["E"] > story[1]["E"] + 1_000))
        holes = [late["E"] - early["E"] for early, late in itertools.pairwise(story) if late["U"] != early["u"] + 1]
        assert len(holes) == 1
        assert holes[0] >= 400


async def test_a_truncated_frame_is_half_an_event_and_the_next_one_is_whole() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        socket = await talking.open()
        await events(socket, 1)
        exchange.faults.truncate(socket=1)
        texts = await until(socket, lambda text: not text.endswith("}"))
        broken = [text for text in texts if not text.endswith("}")]
        assert len(broken) == 1
        assert broken[0].startswith('{"e":"depthUpdate"')
        with pytest.raises(json.JSONDecodeError):
            json.loads(broken[0])


async def test_frames_that_are_no_events() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        bare = await talking.open(max_msg_size=0)
        wrapped = await talking.open(f"/stream?streams={FAST}", max_msg_size=0)
        await events(bare, 1)
        faults = exchange.faults
        faults.garbage(socket=1)
        faults.huge(socket=1)
        faults.unknown()
        faults.server_shutdown()
        faults.server_shutdown(wrapped=True, socket=1)
        texts = await until(bare, lambda text: '"stream":"!serverShutdown"' in text)
        strange = [text for text in texts if 'depthUpdate"' not in text[:30]]
        assert strange[0] == "<html>502 Bad Gateway</html>"
        assert len(strange[1]) > 10_000_000
        assert json.loads(strange[1])["e"] == "padding"
        assert json.loads(strange[2])["e"] == "depthUpdateV2"
        assert list(json.loads(strange[3])) == ["e", "E"]
        assert json.loads(strange[3])["e"] == "serverShutdown"
        assert json.loads(strange[4])["stream"] == "!serverShutdown"
        others = map(json.loads, await until(wrapped, lambda text: "serverShutdown" in text))
        assert [other["data"]["e"] for other in others if other["stream"] != FAST] == [
            "depthUpdateV2",
            "serverShutdown",
        ]


async def test_times_in_microseconds_on_demand_or_when_asked_for() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        plain, asked = await talking.open(), await talking.open(f"/ws/{FAST}?timeUnit=MICROSECOND")
        (event,) = await events(asked, 1)
        assert len(str(event["E"])) == 16
        exchange.faults.microseconds(socket=1)
        await until(plain, lambda text: len(str(json.loads(text)["E"])) == 16)
        exchange.faults.microseconds(on=False, socket=1)
        await until(plain, lambda text: len(str(json.loads(text)["E"])) == 13)


@pytest.mark.parametrize("milliseconds", [-3_000, 86_400_000])
async def test_one_event_has_a_wrong_time(milliseconds: int) -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        right, wrong = await talking.open(), await talking.open()
        await events(wrong, 1)
        exchange.faults.move_time(milliseconds, socket=2)
        times = {event["u"]: event["E"] for event in await events(right, 80)}
        moved = [event["E"] - times.get(event["u"], event["E"]) for event in await events(wrong, 79)]
        assert sorted(set(moved)) == sorted({0, milliseconds})
        assert moved.count(milliseconds) == 1


async def test_new_ids_begin_at_one_in_stream_and_bodies() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        socket = await talking.open()
        last = (await events(socket, 3))[-1]
        exchange.faults.reset_ids()
        body = await talking.depth()
        texts = await until(socket, lambda text: json.loads(text)["U"] == 1)
        fresh = [event for event in map(json.loads, texts) if event["u"] < last["u"]]
        assert fresh[0]["U"] == 1
        assert body["lastUpdateId"] < last["u"]
        book = NaiveBook.joined(body, fresh + await events(socket, 15))
        assert same(book, exchange.book_at("BTCUSDT", book.last_id))


async def test_a_halted_market_sends_nothing_and_then_goes_on() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        socket = await talking.open()
        await events(socket, 1)
        exchange.faults.halt()
        story = await until_silent(socket, 0.3)
        exchange.faults.resume()
        later = await events(socket, 3)
        assert not story or later[0]["U"] == story[-1]["u"] + 1
        assert later[0]["E"] > (story[-1]["E"] if story else 0) + 2_000


async def test_new_connections_are_refused_for_a_while() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        exchange.faults.refuse(0.3)
        with pytest.raises(aiohttp.ClientConnectionError):
            await talking.open()
        assert (await talking.get("/api/v3/ping"))[0] == 200
        await asyncio.sleep(0.31)
        await events(await talking.open(), 1)
        assert exchange.state.connections == 1
        assert exchange.state.refused >= 1  # aiohttp's client tries twice


async def test_a_fault_waits_for_a_socket_that_is_still_to_come() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        exchange.faults.half_open(2)
        exchange.faults.garbage("no json", socket=1)
        first, second = await talking.open(), await talking.open()
        assert await first.receive_str(timeout=5) == "no json"
        with pytest.raises(TimeoutError):
            await second.receive(timeout=0.3)


async def test_cleared_faults_do_not_happen() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        socket = await talking.open()
        await events(socket, 1)
        exchange.faults.freeze(60)
        exchange.faults.drop(1_000)
        exchange.faults.halt()
        exchange.faults.clear()
        await events(socket, 10)


async def test_the_server_pings_and_closes_who_does_not_answer() -> None:
    options = Options(ping_seconds=0.1, pong_seconds=0.35)
    async with SimulatedExchange(SOURCE, options) as exchange, client(exchange) as talking:
        polite, mute = await talking.open("/ws/0"), await talking.open("/ws/0", autoping=False)

        async def listen(socket: aiohttp.ClientWebSocketResponse) -> list[aiohttp.WSMsgType]:
            kinds = []
            while not socket.closed:
                kinds.append((await socket.receive()).type)
            return kinds

        listening = asyncio.create_task(listen(polite))
        kinds = await asyncio.wait_for(listen(mute), 3)
        assert kinds.count(aiohttp.WSMsgType.PING) >= 2
        assert exchange.state.open == (1,)
        assert not listening.done()
        listening.cancel()
        await asyncio.wait([listening])


async def test_connections_have_an_age_limit() -> None:
    async with SimulatedExchange(SOURCE, Options(socket_age_seconds=0.2)) as exchange, client(exchange) as talking:
        socket = await talking.open("/ws/0")
        assert (await socket.receive(timeout=3)).type is aiohttp.WSMsgType.CLOSE


async def test_too_many_requests_a_second_end_the_connection() -> None:
    async with SimulatedExchange(SOURCE) as exchange, client(exchange) as talking:
        socket = await talking.open("/ws/0")
        for number in range(5):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        assert [json.loads(text)["id"] for text in await frames(socket, 5)] == list(range(5))
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 6})
        while (message := await socket.receive(timeout=3)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.type is aiohttp.WSMsgType.CLOSE


async def test_subscribing_and_unsubscribing_on_a_numbered_path() -> None:
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        socket = await talking.open("/ws/0")
        assert not exchange.state.begun
        await socket.send_json({"method": "SUBSCRIBE", "params": [FAST], "id": 1})
        assert await socket.receive_str(timeout=5) == '{"result":null,"id":1}'
        await events(socket, 2)
        await socket.send_json({"method": "UNSUBSCRIBE", "params": [FAST], "id": 2})
        while "id" not in json.loads(await socket.receive_str(timeout=5)):
            pass
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.3)


async def test_play_waits_for_as_many_subscribers_as_asked_for() -> None:
    async with SimulatedExchange(SOURCE, Options(speed=10, start_after=2)) as exchange, client(exchange) as talking:
        first = await talking.open()
        with pytest.raises(TimeoutError):
            await first.receive(timeout=0.3)
        second = await talking.open()
        one, other = await events(first, 3), await events(second, 3)
        assert one == other
        assert abs(one[0]["E"] - time.time() * 1_000) < 2_000


async def test_requests_are_refused_as_often_as_asked_for() -> None:
    """Whatever they ask; nothing is subscribed to by them, and the next one is done."""
    async with SimulatedExchange(SOURCE, FASTER) as exchange, client(exchange) as talking:
        exchange.faults.refuse_requests(1, socket=1)
        socket = await talking.open("/ws/0")
        await socket.send_json({"method": "SUBSCRIBE", "params": [FAST], "id": 7})
        assert await socket.receive_str(timeout=5) == '{"error":{"code":0,"msg":"Unknown error"},"id":7}'
        assert exchange.state.subscribed == 0
        await socket.send_json({"method": "SUBSCRIBE", "params": [FAST], "id": 8})
        assert await socket.receive_str(timeout=5) == '{"result":null,"id":8}'
        await events(socket, 2)
