"""What the doctor says of an exchange: each check well and ill, on a real server."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from depth.doctor import exchange
from depth.exchange.simulated import Handle, Options, SyntheticSource, threaded
from depth.plan import Plan
from tests.doctor.conftest import the

_CHECKS = ["region", "rest", "clock", "symbols", "weight", "stream"]


@pytest.fixture
def ill(plan: Plan) -> Iterator[tuple[Plan, Handle]]:
    """The plan on an exchange of the test's own, to be harmed."""
    with threaded(SyntheticSource(("BTC/USDT", "ETH/USDT"))) as handle:
        yield replace(plan, rest_url=handle.rest_url, ws_url=handle.ws_url), handle


async def test_a_well_exchange_is_all_ok(plan: Plan) -> None:
    found = await exchange.check(plan)
    assert [finding.check for finding in found] == _CHECKS
    assert {finding.level for finding in found} == {"ok"}, found
    assert the("symbols", found).text == "BTC/USDT trades"
    assert "of 100000 request weight used" in the("weight", found).text


async def test_a_region_that_binance_does_not_serve_fails_with_the_remedy(ill: tuple[Plan, Handle]) -> None:
    plan, handle = ill
    handle.do(lambda simulated: simulated.faults.rest_status(451, seconds=60))
    found = await exchange.check(plan)
    assert the("region", found).level == "fail"
    assert "HTTP 451" in the("region", found).text
    assert "in a country that Binance serves" in the("region", found).text
    assert the("rest", found).level == "ok"
    assert the("clock", found).text == "not checked: this address is refused"


async def test_a_firewall_is_no_region(ill: tuple[Plan, Handle]) -> None:
    """403 passes by itself, and is another line."""
    plan, handle = ill
    handle.do(lambda simulated: simulated.faults.rest_status(403, seconds=60))
    found = await exchange.check(plan)
    assert the("region", found).level == "ok"
    assert the("rest", found).level == "fail"
    assert "wait some minutes" in the("rest", found).text


async def test_an_exchange_that_is_not_there_fails_on_rest_and_stream(plan: Plan) -> None:
    found = await exchange.check(replace(plan, rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9"))
    assert [finding.check for finding in found] == _CHECKS
    assert the("rest", found).level == the("stream", found).level == "fail"
    assert "check network and BINANCE_REST_URL" in the("rest", found).text
    assert "check network and BINANCE_WS_URL" in the("stream", found).text


async def test_streams_that_are_cut_off_fail_alone(ill: tuple[Plan, Handle]) -> None:
    plan, handle = ill
    handle.do(lambda simulated: simulated.faults.refuse(60))
    found = await exchange.check(plan)
    assert {finding.check for finding in found if finding.level != "ok"} == {"stream"}
    assert the("stream", found).level == "fail"


async def test_frames_that_are_no_binance_fail(ill: tuple[Plan, Handle]) -> None:
    plan, handle = ill
    handle.do(lambda simulated: simulated.faults.garbage(socket=1))
    found = await exchange.check(plan)
    assert the("stream", found).level == "fail"
    assert "is it Binance? check BINANCE_WS_URL" in the("stream", found).text


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_clock_that_is_wrong_is_a_warning(plan: Plan, seconds: int) -> None:
    """By how much, which way, and how to set it."""
    source = SyntheticSource(start=int((time.time() + seconds) * 1000))
    with threaded(source) as handle:
        found = await exchange.check(replace(plan, rest_url=handle.rest_url, ws_url=handle.ws_url))
    clock = the("clock", found)
    assert clock.level == "warn"
    assert clock.text.split()[2:4] == (["behind", "the"] if seconds > 0 else ["ahead", "of"])
    assert 3590 < float(clock.text.split()[0]) < 3610
    assert "NTP" in clock.text


async def test_weight_that_is_nearly_used_up_is_a_warning(plan: Plan) -> None:
    with threaded(SyntheticSource(), Options(weight_limit=30)) as handle:
        found = await exchange.check(replace(plan, rest_url=handle.rest_url, ws_url=handle.ws_url))
    assert the("weight", found).level == "warn"
    assert "21 of 30 request weight used" in the("weight", found).text


@pytest.mark.parametrize("status", [429, 418])
async def test_a_ban_fails_and_says_how_long(ill: tuple[Plan, Handle], status: int) -> None:
    plan, handle = ill
    handle.do(lambda simulated: simulated.faults.rest_status(status, seconds=60, retry_after=77))
    found = await exchange.check(plan)
    assert the("weight", found).level == "fail"
    assert f"HTTP {status}, wait 77 s" in the("weight", found).text
    assert the("rest", found).level == "ok"


async def test_a_symbol_that_is_not_listed_fails_and_one_that_is_halted_warns(ill: tuple[Plan, Handle]) -> None:
    plan, handle = ill
    handle.do(lambda simulated: simulated.faults.halt("ETHUSDT"))
    found = await exchange.check(replace(plan, symbols=("BTC/USDT", "ETH/USDT", "FOO/USDT")))
    assert [finding.level for finding in found if finding.check == "symbols"] == ["ok", "warn", "fail"]
    texts = [finding.text for finding in found if finding.check == "symbols"]
    assert "ETH/USDT is listed but does not trade" in texts[1]
    assert "lists no spot market FOO/USDT" in texts[2]


async def test_a_symbol_that_cannot_be_asked_for_is_a_warning(ill: tuple[Plan, Handle]) -> None:
    """The exchange answers, its list of markets does not."""
    plan, handle = ill
    handle.do(lambda simulated: simulated.faults.rest_status(503, seconds=60, path="/api/v3/exchangeInfo"))
    found = await exchange.check(plan)
    assert the("symbols", found).level == "warn"
    assert the("symbols", found).text.endswith("ask again")
    assert the("rest", found).level == the("clock", found).level == "ok"


async def test_a_silent_market_is_a_warning(ill: tuple[Plan, Handle], monkeypatch: pytest.MonkeyPatch) -> None:
    """Connected, subscribed, and nothing comes."""
    monkeypatch.setattr(exchange, "_EVENT_SECONDS", 1.0)
    plan, handle = ill
    handle.do(lambda simulated: simulated.faults.halt())
    found = await exchange.check(plan)
    assert the("stream", found).level == "warn"
    assert "no event came within 1 s" in the("stream", found).text
