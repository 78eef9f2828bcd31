"""Chats by apprise: what is split, known, sent, and never said."""

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from depth.alerts.chat import ChatChannel, split
from depth.errors import ChannelUnavailable, UsageError
from tests.alerts.made import ALERT
from tests.receivers import Receiver, free_port, receiving

SECRET = "s3cr3t"  # noqa: S105 - no real one


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def channel(port: int, seconds: float = 15.0) -> ChatChannel:
    return ChatChannel(f"json://127.0.0.1:{port}/{SECRET}", "ALERT_URLS, address 1", seconds)


@pytest.mark.parametrize(
    ("given", "urls"),
    [
        ("", []),
        (" , ", []),
        ("json://a/x", ["json://a/x"]),
        ("json://a/x json://b,slack://c/d", ["json://a/x", "json://b", "slack://c/d"]),
        ("\n json://a , \n json://b,", ["json://a", "json://b"]),
        ("mailto://u:p@h?to=a@x,b@y tgram://t/c", ["mailto://u:p@h?to=a@x,b@y", "tgram://t/c"]),
    ],
)
def test_addresses_are_parted_by_spaces_and_commas(given: str, urls: list[str]) -> None:
    """A comma inside an address belongs to it."""
    assert split(given) == urls


async def test_a_message_is_title_and_text(receiver: Receiver) -> None:
    """As a person reads it, nothing escaped; a good one is marked as such."""
    await channel(receiver.port).send(ALERT)
    await channel(receiver.port).send(replace(ALERT, event="gap.resolved"))
    first, second = receiver.got
    assert (first.json["title"], first.json["message"]) == ("depth: gap.opened", ALERT.text)
    assert (first.json["type"], second.json["type"]) == ("warning", "success")


async def test_who_does_not_take_it_is_asked_again_later(receiver: Receiver) -> None:
    """Apprise does not say why, so the text says how to find out."""
    receiver.status = 500
    with pytest.raises(ChannelUnavailable, match=r"^ALERT_URLS, address 1 did not take it: .*`apprise -vv`$"):
        await channel(receiver.port).send(ALERT)
    with pytest.raises(ChannelUnavailable, match="did not take it"):
        await channel(free_port()).send(ALERT)


async def test_a_slow_service_holds_up_neither_the_loop_nor_its_caller(receiver: Receiver) -> None:
    """The loop turns while apprise blocks, and its caller goes on after the bound."""
    receiver.delay = 2.0
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    turning = asyncio.create_task(turn())
    began = time.monotonic()
    with pytest.raises(ChannelUnavailable, match=r"^ALERT_URLS, address 1 does not answer within 0\.3 s$"):
        await channel(receiver.port, seconds=0.3).send(ALERT)
    assert time.monotonic() - began < 1.5
    assert turns > 5
    turning.cancel()


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with receiving() as other:
        receiver.status, receiver.headers = 302, {"Location": other.url}
        with pytest.raises(ChannelUnavailable):
            await channel(receiver.port).send(ALERT)
        assert other.got == []


@pytest.mark.parametrize("url", [f"nosuch://{SECRET}", f"slack://{SECRET}", SECRET])
def test_what_apprise_does_not_know_is_refused_without_saying_it(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """One line with its place; neither error nor log holds the address."""
    caplog.set_level(1)
    with pytest.raises(UsageError) as refused:
        ChatChannel(url, "ALERT_URLS, address 3")
    assert str(refused.value) == (
        "ALERT_URLS, address 3 is none that apprise knows: see https://appriseit.com/services/"
    )
    assert SECRET not in caplog.text


def test_a_channel_keeps_its_name_wherever_its_address_stands() -> None:
    """And the name does not tell the address."""
    one, two = (ChatChannel(f"json://{SECRET}/{path}", "ALERT_URLS, address 1") for path in "ab")
    assert one.name == ChatChannel(f"json://{SECRET}/a", "ALERT_URLS, address 9").name != two.name
    assert SECRET not in one.name


async def test_no_log_names_the_address(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """At any level, though apprise and urllib3 say it at several."""
    caplog.set_level(1)
    logging.getLogger("apprise").setLevel(1)
    await channel(receiver.port).send(ALERT)
    said = []
    for status, port in ((404, receiver.port), (500, receiver.port), (200, free_port())):
        receiver.status = status
        with pytest.raises(ChannelUnavailable) as failed:
            await channel(port).send(ALERT)
        said.append(repr(failed.value))
    assert len(receiver.got) == 3
    assert SECRET not in caplog.text + "".join(said)
