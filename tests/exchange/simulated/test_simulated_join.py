"""A client that follows the documented rule ends with the exchange's own book, whatever body it was given."""

import asyncio
import time

import pytest

from depth.exchange.simulated import Options, RecordingSource, SimulatedExchange, SocketOptions, SyntheticSource
from tests.exchange.simulated.client import FAST, NaiveBook, all_events, client, events, recording, same


@pytest.mark.parametrize("ahead_ms", [0, 250])
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
async def test_every_body_joins_every_batching(ahead_ms: int, cut: bool, batch: int) -> None:  # noqa: FBT001
    options = Options(
        speed=30,
        start_after=1,
        rest_ahead_ms=ahead_ms,
        cut_inside_events=cut,
        every_socket=SocketOptions(batch=batch),
    )
    async with SimulatedExchange(SyntheticSource(seed=11), options) as exchange, client(exchange) as talking:
        socket = await talking.open()
        received = await events(socket, 5)
        body = await talking.depth()
        while received[-1]["u"] <= body["lastUpdateId"]:
            received += await events(socket, 1)
        book = NaiveBook.joined(body, received + await events(socket, 20))
        assert same(book, exchange.book_at("BTCUSDT", book.last_id))


async def test_a_body_may_be_ahead_of_everything_that_was_sent() -> None:
    options = Options(speed=1, start_after=1, rest_ahead_ms=300)
    async with SimulatedExchange(SyntheticSource(seed=11), options) as exchange, client(exchange) as talking:
        socket = await talking.open()
        last = (await events(socket, 3))[-1]
        assert (await talking.depth())["lastUpdateId"] > last["u"]


async def test_duplicated_events_do_no_harm() -> None:
    options = Options(speed=10, start_after=1)
    async with SimulatedExchange(SyntheticSource(seed=12), options) as exchange, client(exchange) as talking:
        socket = await talking.open()
        body = await talking.depth()
        received = await events(socket, 5)
        exchange.faults.duplicate(3)
        while len({event["u"] for event in received}) > len(received) - 3:
            received += await events(socket, 1)
        book = NaiveBook.joined(body, received)
        assert same(book, exchange.book_at("BTCUSDT", book.last_id))


async def test_sockets_with_other_batches_and_delays_tell_the_same_story() -> None:
    options = Options(speed=10, start_after=2, sockets={2: SocketOptions(batch=2, delay_ms=120)})
    async with SimulatedExchange(SyntheticSource(seed=13), options) as exchange, client(exchange) as talking:
        first, second = await talking.open(), await talking.open()
        body = await talking.depth()
        singles, pairs = await events(first, 40), await events(second, 15)
        assert any(event["U"] < event["u"] and event["u"] in {e["u"] for e in singles} for event in pairs)
        assert all(event["E"] in {e["E"] for e in singles} for event in pairs if event["u"] <= singles[-1]["u"])
        for book in (NaiveBook.joined(body, singles), NaiveBook.joined(body, pairs)):
            assert same(book, exchange.book_at("BTCUSDT", book.last_id))


async def test_the_slow_stream_joins_too() -> None:
    options = Options(speed=40, start_after=1)
    async with SimulatedExchange(SyntheticSource(seed=14), options) as exchange, client(exchange) as talking:
        socket = await talking.open("/ws/btcusdt@depth")
        body = await talking.depth()
        received = await events(socket, 6)
        assert received[-1]["E"] - received[0]["E"] == 5_000
        book = NaiveBook.joined(body, received)
        assert same(book, exchange.book_at("BTCUSDT", book.last_id))


@pytest.mark.parametrize("cut", [False, True])
async def test_a_recording_joins_at_its_snapshot_and_later(cut: bool) -> None:  # noqa: FBT001
    source = RecordingSource(recording("spot-btcusdt-20260630"))
    options = Options(speed=10, start_after=1, rest_ahead_ms=100, cut_inside_events=cut)
    async with SimulatedExchange(source, options) as exchange, client(exchange) as talking:
        socket = await talking.open()
        opening = await talking.depth()
        early = await events(socket, 40)
        later = await talking.depth()
        received = await all_events(socket, exchange, early)
        assert len(received) == 77
        assert later["lastUpdateId"] > opening["lastUpdateId"]
        for body in (opening, later):
            book = NaiveBook.joined(body, received)
            assert same(book, exchange.book_at("BTCUSDT", book.last_id))


async def test_as_fast_as_possible_loses_nothing() -> None:
    """Two sockets, one slow: every event of the recording arrives at both, in order, as it was recorded."""
    source = RecordingSource(recording("spot-btcusdt-20240808"), shift=False, limit=1_000)
    options = Options(speed=0, start_after=2)
    async with SimulatedExchange(source, options) as exchange, client(exchange) as talking:
        first, second = await talking.open(), await talking.open(f"/stream?streams={FAST}")

        async def slowly() -> list[dict[str, object]]:
            received = []
            for count in (10, 90, 400, 500):
                received += await events(second, count)
                await asyncio.sleep(0.05)
            return received

        fast, slow = await asyncio.gather(events(first, 1_000), slowly())
        await exchange.finished()
        recorded = [(diff.first_id, diff.last_id, diff.time) for diff in source.diffs("BTCUSDT")]
        assert [(event["U"], event["u"], event["E"]) for event in fast] == recorded
        assert slow == fast


@pytest.mark.parametrize("gone", [True, False])
async def test_time_stands_still_at_full_speed_while_nobody_listens(gone: bool) -> None:  # noqa: FBT001
    options = Options(speed=0, start_after=1)
    async with SimulatedExchange(SyntheticSource(seed=15), options) as exchange, client(exchange) as talking:
        socket = await talking.open()
        last = (await events(socket, 200))[-1]
        if gone:
            await socket.close()
        else:
            exchange.faults.half_open()
        await asyncio.sleep(0.1)
        stopped = exchange.state.market_ms
        await asyncio.sleep(0.1)
        assert exchange.state.market_ms == stopped >= last["E"]


async def test_sixty_times_the_speed_is_six_hundred_events_a_second() -> None:
    options = Options(speed=60, start_after=1)
    async with SimulatedExchange(SyntheticSource(seed=16), options) as exchange, client(exchange) as talking:
        socket = await talking.open()
        loop = asyncio.get_running_loop()
        first, began = (await events(socket, 1))[0], loop.time()
        last = (await events(socket, 500))[-1]
        market_seconds, seconds = (last["E"] - first["E"]) / 1_000, loop.time() - began
        assert 25 < market_seconds / seconds < 75


async def test_two_exchanges_with_one_start_tell_the_same_at_the_same_time() -> None:
    """As two processes do: the second opens later and is at the same slot, with the same ids and bytes."""
    start = int(time.time() * 1000) - 20_000
    source = SyntheticSource(seed=17, start=start, since=True)
    async with (
        SimulatedExchange(source) as one,
        SimulatedExchange(source) as other,
        client(one) as talking,
        client(other) as listening,
    ):
        first, second = await asyncio.gather(events(await talking.open(), 8), events(await listening.open(), 8))
        shared = [event for event in first if event in second]
        assert len(shared) >= 6
        assert abs(first[-1]["E"] - time.time() * 1000) < 1_500
