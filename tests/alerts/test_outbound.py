"""Requests to addresses that a person configured: where they may lead, how they end, what is said of them."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depth.alerts.outbound import Outbound, is_link_local
from depth.errors import ChannelRefused, ChannelUnavailable, UsageError
from tests.receivers import Receiver, certificate, free_port, receiving

SECRET = "s3cr3t"  # noqa: S105 - no real one


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


async def ask(url: str, seconds: float = 5.0) -> None:
    await Outbound(url, "ALERT_WEBHOOK_URL", seconds).request("POST", b"{}", {"X-Mine": "1"})


async def test_the_request_arrives_as_it_was_made(receiver: Receiver) -> None:
    """Method, path and query, host, headers and body."""
    await ask(f"http://localhost:{receiver.port}/services/{SECRET}?x=1&y=%20")
    [got] = receiver.got
    assert (got.method, got.path, got.body) == ("POST", f"/services/{SECRET}?x=1&y=%20", b"{}")
    assert got.headers["Host"] == f"localhost:{receiver.port}"
    assert got.headers["X-Mine"] == "1"


async def test_a_user_in_the_address_is_its_authorization(receiver: Receiver) -> None:
    """As every client of such addresses does it; the name does not go into the request line."""
    await ask(f"http://me:{SECRET}@127.0.0.1:{receiver.port}/x")
    [got] = receiver.got
    assert (got.path, got.headers["Authorization"]) == ("/x", "Basic bWU6czNjcjN0")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_every_2xx_is_well(receiver: Receiver, status: int) -> None:
    receiver.status = status
    await ask(receiver.url)


@pytest.mark.parametrize("status", [301, 302, 307, 408, 429, 500, 502, 503])
async def test_what_may_pass_is_transient(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(ChannelUnavailable, match=f"ALERT_WEBHOOK_URL answers HTTP {status}"):
        await ask(receiver.url)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
async def test_other_4xx_are_final(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(ChannelRefused, match=f"ALERT_WEBHOOK_URL answers HTTP {status}: see whether"):
        await ask(receiver.url)


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """Whoever owns the place that it names gets nothing."""
    with receiving() as other:
        receiver.status, receiver.headers = 302, {"Location": other.url}
        with pytest.raises(ChannelUnavailable, match="redirects are not followed"):
            await ask(receiver.url)
        assert (len(receiver.got), other.got) == (1, [])


async def test_an_answer_that_takes_too_long_is_not_waited_for(receiver: Receiver) -> None:
    receiver.delay = 1.0
    with pytest.raises(ChannelUnavailable, match=r"does not answer within 0\.2 s"):
        await ask(receiver.url, seconds=0.2)


async def test_nobody_there_is_transient() -> None:
    with pytest.raises(ChannelUnavailable, match="ALERT_WEBHOOK_URL cannot be reached"):
        await ask(f"http://127.0.0.1:{free_port()}/{SECRET}")


async def test_a_name_that_nobody_has_is_transient() -> None:
    with pytest.raises(ChannelUnavailable, match="ALERT_WEBHOOK_URL cannot be reached"):
        await ask(f"http://nowhere.invalid/{SECRET}")


async def test_who_speaks_no_http_is_transient() -> None:
    """A server that says something else and hangs up."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ready\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ChannelUnavailable, match=r"cannot be asked \(\w+\)$"):
            await ask(f"http://127.0.0.1:{port}/{SECRET}")


@pytest.mark.parametrize(
    "url", ["", "ftp://h/x", "file:///etc/passwd", "h/x", "https://", "http:///x", "https://h:port/", "\x00", "unix:/x"]
)
def test_only_http_and_https_are_addresses(url: str) -> None:
    """The error names the setting, and not what was in it."""
    with pytest.raises(UsageError) as refused:
        Outbound(url, "HEARTBEAT_URL")
    assert str(refused.value) == "HEARTBEAT_URL is no http or https address: write https://host/path"


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "2852039166",
        "0xa9fea9fe",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
    ],
)
async def test_link_local_addresses_are_refused(host: str) -> None:
    """However they are written: that of a cloud machine tells secrets to whoever can make it ask."""
    with pytest.raises(ChannelRefused, match="ALERT_WEBHOOK_URL leads to a link-local address"):
        await ask(f"http://{host}/latest/{SECRET}")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:4860:4860::8888", "169.253.1.1"]
)
def test_others_are_not_link_local(address: str) -> None:
    """Receivers run on loopback and in private networks, too."""
    assert not is_link_local(address)


class Names:
    """Answers look-ups of names as it is told, one answer after the other; the rest is the system's."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked = 0
        self._answers = list(answers)
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        if host != "receiver.test":
            return self._real(host, port, *arguments, **named)
        self.asked += 1
        return [
            place
            for address in self._answers[min(self.asked, len(self._answers)) - 1]
            for place in self._real(address, port, *arguments, **named)
        ]


async def test_a_name_may_not_lead_to_a_link_local_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even as one of several."""
    monkeypatch.setattr(socket, "getaddrinfo", Names(["127.0.0.1", "169.254.169.254"]))
    with pytest.raises(ChannelRefused, match="leads to a link-local address"):
        await ask("http://receiver.test/x")


async def test_a_name_is_looked_up_once_so_what_was_checked_is_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner cannot give one address to the check and another to the connection."""
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    monkeypatch.setattr(socket, "getaddrinfo", names)
    await ask(f"http://receiver.test:{receiver.port}/x")
    assert (names.asked, receiver.got[0].headers["Host"]) == (1, f"receiver.test:{receiver.port}")


async def test_of_several_addresses_the_first_that_accepts_is_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `localhost` is ::1 first, where many a receiver does not listen."""
    monkeypatch.setattr(socket, "getaddrinfo", Names(["::1", "127.0.0.2", "127.0.0.1"]))
    await ask(f"http://receiver.test:{receiver.port}/x")
    assert len(receiver.got) == 1


async def test_https_is_checked_against_the_name_and_not_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a receiver shows must be the certificate of the name, though an address is connected to."""
    monkeypatch.setattr(socket, "getaddrinfo", Names(["127.0.0.1"]))
    right, wrong = (certificate(tmp_path / name, name) for name in ("receiver.test", "another.test"))
    monkeypatch.setenv("SSL_CERT_FILE", str(right))
    with receiving(certificate=right) as receiver:
        await ask(f"https://receiver.test:{receiver.port}/x")
        assert len(receiver.got) == 1
        with pytest.raises(ChannelUnavailable, match=r"cannot be reached .*CERTIFICATE_VERIFY_FAILED"):
            await ask(f"https://127.0.0.1:{receiver.port}/{SECRET}")
    monkeypatch.setenv("SSL_CERT_FILE", str(wrong))
    with receiving(certificate=wrong) as receiver:
        with pytest.raises(ChannelUnavailable, match=r"cannot be reached .*CERTIFICATE_VERIFY_FAILED"):
            await ask(f"https://receiver.test:{receiver.port}/{SECRET}")
        assert receiver.got == []


async def test_no_log_and_no_error_names_the_address(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever happens, and however much is logged."""
    caplog.set_level(logging.DEBUG)
    said = []
    for status in (200, 302, 404, 500):
        receiver.status = status
        try:
            await ask(receiver.url)
        except (ChannelRefused, ChannelUnavailable) as error:
            said.append(repr(error))
    for url in (f"http://127.0.0.1:{free_port()}/{SECRET}", f"http://x:{SECRET}@nowhere.invalid/{SECRET}"):
        with pytest.raises(ChannelUnavailable) as failed:
            await ask(url)
        said.append(repr(failed.value))
    assert SECRET not in caplog.text + "".join(said)
    assert len(said) == 5
