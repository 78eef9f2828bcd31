"""One message to several channels: each has it once, whoever fails meanwhile."""

import asyncio
import logging

import pytest

from depth.alerts.claims import Claims
from depth.alerts.delivery import Delivered, Delivery, Dispatcher
from depth.errors import ChannelRefused, ChannelUnavailable, StoreUnavailable
from tests.alerts.fakes import FakeChannel, MemoryCells, send_twice
from tests.alerts.made import ALERT

KEY = "binance_btc_depth/1/2/opened"
AWAY = ChannelUnavailable("ALERT_WEBHOOK_URL does not answer")
NO = ChannelRefused("ALERT_WEBHOOK_URL answers HTTP 404")


@pytest.fixture
def cells() -> MemoryCells:
    return MemoryCells()


@pytest.fixture
def one() -> FakeChannel:
    return FakeChannel("one")


@pytest.fixture
def two() -> FakeChannel:
    return FakeChannel("two")


async def test_every_channel_gets_it_and_what_was_sent_is_not_sent_again(
    cells: MemoryCells, one: FakeChannel, two: FakeChannel
) -> None:
    for _ in range(3):
        assert await Delivery(KEY, ALERT, [one, two], Claims(cells)).send()
    assert one.got == two.got == [ALERT]


async def test_one_that_fails_holds_up_no_other_and_gets_it_later(
    cells: MemoryCells, one: FakeChannel, two: FakeChannel
) -> None:
    one.fails = AWAY
    delivery = Delivery(KEY, ALERT, [one, two], Claims(cells))
    with pytest.raises(ChannelUnavailable):
        await delivery.send()
    assert (delivery.told, delivery.failed, two.got) == (True, [one], [ALERT])
    one.fails = None
    assert await delivery.send()
    assert one.got == two.got == [ALERT]


async def test_what_may_pass_is_told_before_what_will_not(
    cells: MemoryCells, one: FakeChannel, two: FakeChannel
) -> None:
    """A retry is worth it."""
    one.fails, two.fails = NO, AWAY
    delivery = Delivery(KEY, ALERT, [one, two], Claims(cells))
    with pytest.raises(ChannelUnavailable):
        await delivery.send()
    two.fails = None
    with pytest.raises(ChannelRefused):
        await delivery.send()
    assert (one.got, two.got) == ([], [ALERT])


async def test_while_another_is_at_it_nothing_is_sent_and_nothing_fails(cells: MemoryCells, one: FakeChannel) -> None:
    other = Claims(cells)
    await other.claim(f"alert#{KEY}#one")
    delivery = Delivery(KEY, ALERT, [one], Claims(cells))
    assert not await delivery.send()
    assert (delivery.told, one.tries) == (False, 0)
    await other.sent(f"alert#{KEY}#one")
    assert await delivery.send()
    assert (delivery.told, one.tries) == (True, 0)


async def test_without_an_answer_of_the_store_nothing_is_sent(cells: MemoryCells, one: FakeChannel) -> None:
    """Who sends it cannot be told."""
    cells.fails = StoreUnavailable("away")
    delivery = Delivery(KEY, ALERT, [one], Claims(cells))
    with pytest.raises(StoreUnavailable):
        await delivery.send()
    cells.fails = None
    assert await delivery.send()
    assert one.got == [ALERT]


async def test_many_at_the_same_time_send_it_once(cells: MemoryCells, one: FakeChannel, two: FakeChannel) -> None:
    deliveries = [Delivery(KEY, ALERT, [one, two], Claims(cells)) for _ in range(16)]
    await asyncio.gather(*(delivery.send() for delivery in deliveries))
    assert one.got == two.got == [ALERT]


def test_a_delivery_is_named_by_its_message(cells: MemoryCells) -> None:
    """In logs and in the Prefect UI; the channels are not."""
    assert str(Delivery(KEY, ALERT, [FakeChannel("secret")], Claims(cells))) == ALERT.dedup_key


async def test_a_dispatcher_says_how_far_a_message_got(
    cells: MemoryCells, one: FakeChannel, two: FakeChannel, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails is one line and no exception; by and by it is complete."""
    dispatcher = Dispatcher([one, two], pause_seconds=0)
    one.fails, two.fails = AWAY, NO
    assert await dispatcher.deliver(KEY, ALERT, Claims(cells)) == Delivered(told=False, complete=False)
    two.fails = None
    assert await dispatcher.deliver(KEY, ALERT, Claims(cells)) == Delivered(told=True, complete=False)
    one.fails = None
    assert await dispatcher.deliver(KEY, ALERT, Claims(cells)) == Delivered(told=True, complete=True)
    assert one.got == two.got == [ALERT]
    assert caplog.messages == [f"message {ALERT.dedup_key} did not get through, it is sent again later: {AWAY}"] * 2


async def test_a_channel_that_failed_is_left_alone_for_a_while(
    cells: MemoryCells, one: FakeChannel, two: FakeChannel
) -> None:
    """A hundred messages do not wait a hundred times for the same dead webhook; the others get them."""
    dispatcher = Dispatcher([one, two])
    one.fails = AWAY
    for number in range(100):
        await dispatcher.deliver(f"{KEY}{number}", ALERT, Claims(cells))
    assert (one.tries, two.tries) == (1, 100)
    two.fails = AWAY
    await dispatcher.deliver(KEY, ALERT, Claims(cells))
    assert await dispatcher.deliver(KEY, ALERT, Claims(cells)) == Delivered(told=False, complete=False)
    assert (one.tries, two.tries) == (1, 101)


async def test_a_store_that_is_away_puts_no_channel_to_rest(cells: MemoryCells, one: FakeChannel) -> None:
    dispatcher = Dispatcher([one])
    cells.fails = StoreUnavailable("away")
    await dispatcher.deliver(KEY, ALERT, Claims(cells))
    cells.fails = None
    assert await dispatcher.deliver(KEY, ALERT, Claims(cells)) == Delivered(told=True, complete=True)


async def test_retries_are_the_callers(cells: MemoryCells, one: FakeChannel) -> None:
    one.fails = AWAY
    await Dispatcher([one], send_twice).deliver(KEY, ALERT, Claims(cells))
    assert one.tries == 2


def test_without_a_channel_there_is_nobody_to_tell(caplog: pytest.LogCaptureFixture, one: FakeChannel) -> None:
    """One line for who wonders."""
    caplog.set_level(logging.DEBUG, "depth")
    assert not Dispatcher([])
    assert Dispatcher([one])
    assert caplog.messages == ["no ALERT_WEBHOOK_URL and no ALERT_URLS: nobody is alerted"]
