"""The structured webhook: body, signature, Slack."""

import hashlib
import hmac
import json
import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from depth.alerts.webhook import SIGNATURE, WebhookChannel, signature
from tests.alerts.made import ALERT
from tests.receivers import receiving

SECRET = "s3cr3t"  # noqa: S105 - no real one


async def test_the_body_is_the_message() -> None:
    """Every field by its name; what lasts has no end."""
    with receiving() as receiver:
        await WebhookChannel(receiver.url).send(ALERT)
        await WebhookChannel(receiver.url).send(replace(ALERT, end=None, missing=None))
        first, second = receiver.got
    assert (first.method, first.headers["Content-Type"]) == ("POST", "application/json")
    assert first.json == {
        "event": "gap.opened",
        "symbol": "BTC/USDT",
        "start": 1_768_054_365,
        "end": 1_768_054_465,
        "missing": 100,
        "cause": "disconnect",
        "environment": "here/sqlite",
        "dedup_key": "here/sqlite/binance_btc_depth/1768054365/1768054500/opened",
        "text": "here/sqlite: BTC/USDT: 100 epochs are missing, a &amp; b &lt; c &gt; d",
    }
    assert (second.json["end"], second.json["missing"]) == (None, None)
    assert SIGNATURE not in first.headers


@given(st.text())
def test_nothing_in_the_text_means_anything_to_slack(text: str) -> None:
    """The three characters that do are escaped, once; a reader gets the text as it was."""
    shown = replace(ALERT, text=text).body()["text"]
    assert "<" not in shown
    assert ">" not in shown
    assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


async def test_a_receiver_can_verify_the_signature() -> None:
    """As README.md shows it: HMAC-SHA256 over timestamp, dot and body as it came."""
    with receiving() as receiver:
        await WebhookChannel(receiver.url, SECRET).send(ALERT)
        [got] = receiver.got
    fields = dict(field.split("=") for field in got.headers[SIGNATURE].split(","))
    wanted = hmac.new(SECRET.encode(), fields["t"].encode() + b"." + got.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(fields["v1"], wanted)
    assert abs(time.time() - int(fields["t"])) < 10


async def test_a_message_sent_again_is_the_same_but_for_the_time_of_its_signature() -> None:
    """So a receiver may part what is new from what is repeated."""
    times = iter([1_768_054_500.9, 1_768_054_600.1])
    with receiving() as receiver:
        channel = WebhookChannel(receiver.url, SECRET, lambda: next(times))
        await channel.send(ALERT)
        await channel.send(ALERT)
        first, second = receiver.got
    assert first.body == second.body
    assert first.headers[SIGNATURE].startswith("t=1768054500,v1=")
    assert second.headers[SIGNATURE].startswith("t=1768054600,v1=")


def test_the_signature_is_what_other_programs_compute() -> None:
    """``printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key``."""
    assert signature("key", 1_700_000_000, b'{"a":1}') == (
        "t=1700000000,v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
    )


async def test_text_is_any_unicode() -> None:
    """It is sent as UTF-8."""
    with receiving() as receiver:
        await WebhookChannel(receiver.url).send(replace(ALERT, text="Ω € 例 🙂", cause='"\n'))
        [got] = receiver.got
    assert json.loads(got.body.decode())["text"] == "Ω € 例 🙂"
    assert got.json["cause"] == '"\n'
