"""What the doctor says of who is told, with a real receiver."""

import socket

import pytest

from depth.alerts.options import AlertOptions
from depth.doctor import alerting
from depth.doctor.finding import Finding
from tests import receivers


async def check(**addresses: str) -> Finding:
    [found] = await alerting.check(AlertOptions(**addresses))
    return found


async def test_nobody_is_a_warning() -> None:
    found = await check()
    assert found.level == "warn"
    assert "set ALERT_WEBHOOK_URL or ALERT_URLS" in found.text


@pytest.mark.parametrize("status", [200, 204, 400, 405, 415, 422])
async def test_a_webhook_that_answers_is_ok_and_is_sent_no_alert(status: int) -> None:
    """Also one that has no use for a request without a message."""
    with receivers.receiving() as receiver:
        receiver.status = status
        found = await check(webhook_url=receiver.url)
    assert (found.level, found.text) == ("ok", "ALERT_WEBHOOK_URL answers")
    assert [(got.method, got.body) for got in receiver.got] == [("GET", b"")]


@pytest.mark.parametrize("status", [401, 403, 404, 410, 302, 500, 503])
async def test_a_webhook_that_is_gone_fails(status: int) -> None:
    with receivers.receiving() as receiver:
        receiver.status = status
        found = await check(webhook_url=receiver.url)
    assert found.level == "fail"
    assert f"ALERT_WEBHOOK_URL answers HTTP {status}" in found.text
    assert "s3cr3t" not in found.text


async def test_a_webhook_that_is_not_there_fails() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = await check(webhook_url=f"http://127.0.0.1:{port}/s3cr3t")
    assert found.level == "fail"
    assert "ALERT_WEBHOOK_URL cannot be reached" in found.text
    assert "s3cr3t" not in found.text


async def test_the_address_of_the_machine_s_secrets_fails() -> None:
    found = await check(webhook_url="http://169.254.169.254/")
    assert found.level == "fail"
    assert "link-local" in found.text


async def test_chats_are_read_and_not_asked() -> None:
    found = await check(chat_urls="json://127.0.0.1:9/one, json://127.0.0.1:9/two")
    assert (found.level, found.text) == ("ok", "2 of ALERT_URLS can be read, and were not asked")


@pytest.mark.parametrize("address", [{"webhook_url": "ftp://here"}, {"chat_urls": "nonsense://here"}])
async def test_an_address_that_is_none_fails(address: dict[str, str]) -> None:
    found = await check(**address)
    assert found.level == "fail"
