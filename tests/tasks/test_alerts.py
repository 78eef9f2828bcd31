"""The sending of a message as a task; with its retries on a server it is in tests/flows/test_verify_alerts.py."""

import pytest

from depth.alerts.claims import Claims
from depth.alerts.delivery import Delivery
from depth.errors import ChannelRefused, ChannelUnavailable
from tasks.alerts import send_alert
from tests.alerts.fakes import FakeChannel, MemoryCells
from tests.alerts.made import ALERT, KEY


def delivery(channel: FakeChannel, cells: MemoryCells) -> Delivery:
    return Delivery(KEY, ALERT, [channel], Claims(cells))


async def test_without_the_engine_it_is_the_delivery() -> None:
    """Claimed, sent, marked; the second is told that it was."""
    channel, cells = FakeChannel(), MemoryCells()
    assert [await send_alert.fn(delivery(channel, cells)) for _ in range(2)] == [True, True]
    assert channel.got == [ALERT]


@pytest.mark.parametrize("error", [ChannelUnavailable("away"), ChannelRefused("no")])
async def test_without_the_engine_nothing_is_tried_again(error: ChannelUnavailable | ChannelRefused) -> None:
    """The next check is the retry."""
    channel = FakeChannel()
    channel.fails = error
    with pytest.raises(type(error)):
        await send_alert.fn(delivery(channel, MemoryCells()))
    assert channel.tries == 1


def test_it_is_tried_five_times_more_and_named_by_its_message() -> None:
    assert (send_alert.retries, send_alert.task_run_name, send_alert.persist_result) == (5, "alert {delivery}", False)
