"""The REST part over HTTP: shapes, weights, errors, and the control of the simulation."""

import asyncio
import time

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth.errors import UsageError
from depth.exchange.simulated import Options, RecordingSource, SimulatedExchange, SocketOptions, SyntheticSource
from depth.exchange.simulated.resting import RestFault, RestFaults, refusal
from depth.exchange.simulated.weights import WeightMeter, depth_weight
from tests.exchange.simulated.client import Client, all_events, client, recording

PAIRS = SyntheticSource(("BTC/USDT", "ETH/USDT"), seed=2)


@pytest.mark.parametrize(
    ("limit", "weight"), [(1, 5), (100, 5), (101, 25), (500, 25), (501, 50), (1_000, 50), (1_001, 250), (5_000, 250)]
)
def test_depth_weighs_what_binance_says(limit: int, weight: int) -> None:
    assert depth_weight(limit) == weight


@given(st.lists(st.tuples(st.integers(0, 250), st.floats(0, 30)), min_size=1))
def test_weight_is_counted_by_the_minute(requests: list[tuple[int, float]]) -> None:
    meter, now, minutes = WeightMeter(1_000), 0.0, dict.fromkeys(range(1_000), 0)
    for weight, pause in requests:
        now += pause
        minutes[int(now) // 60] += weight
        assert meter.add(weight, now) is (minutes[int(now) // 60] <= 1_000)
        assert 1 <= meter.seconds_left(now) <= 60
    assert meter.used == minutes[int(now) // 60]


async def test_requests_tell_the_used_weight() -> None:
    if time.time() % 60 > 57:  # all within one minute
        await asyncio.sleep(60 - time.time() % 60)
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        used = []
        for path, query in (
            ("ping", {}),
            ("time", {}),
            ("exchangeInfo", {}),
            ("depth", {"symbol": "BTCUSDT"}),
            ("depth", {"symbol": "BTCUSDT", "limit": 5000}),
        ):
            _, _, headers = await talking.get(f"/api/v3/{path}", **query)
            used.append(int(headers["X-MBX-USED-WEIGHT-1M"]))
        assert used == [1, 2, 22, 27, 277]
        assert exchange.state.used_weight == 277
        assert exchange.state.snapshots == 2


async def test_too_much_weight_is_refused_until_the_next_minute() -> None:
    async with SimulatedExchange(PAIRS, Options(weight_limit=260)) as exchange, client(exchange) as talking:
        statuses = [await talking.get("/api/v3/depth", symbol="BTCUSDT", limit=5000) for _ in range(3)]
        status, body, headers = statuses[-1]
        assert (status, body["code"]) == (429, -1003)
        assert 1 <= int(headers["Retry-After"]) <= 60


async def test_exchange_info_describes_markets_as_binance_does() -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        _, body, _ = await talking.get("/api/v3/exchangeInfo", symbol="ETHUSDT")
        (market,) = body["symbols"]
        assert (market["symbol"], market["status"], market["baseAsset"], market["quoteAsset"]) == (
            "ETHUSDT",
            "TRADING",
            "ETH",
            "USDT",
        )
        filters = {entry["filterType"]: entry for entry in market["filters"]}
        assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
        assert filters["LOT_SIZE"]["stepSize"] == "0.00010000"
        assert next(limit["rateLimitType"] for limit in body["rateLimits"]) == "REQUEST_WEIGHT"
        _, body, _ = await talking.get("/api/v3/exchangeInfo", symbols='["BTCUSDT","ETHUSDT"]')
        assert len(body["symbols"]) == 2
        assert len((await talking.get("/api/v3/exchangeInfo"))[1]["symbols"]) == 2


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("exchangeInfo", {"symbol": "NOSUCH"}, -1121),
        ("exchangeInfo", {"symbols": '["BTCUSDT","NOSUCH"]'}, -1121),
        ("exchangeInfo", {"symbols": "BTCUSDT"}, -1100),
        ("depth", {"symbol": "NOSUCH"}, -1121),
        ("depth", {}, -1102),
        ("depth", {"symbol": "BTCUSDT", "limit": "x"}, -1130),
        ("depth", {"symbol": "BTCUSDT", "limit": "0"}, -1130),
    ],
)
async def test_bad_requests_get_binances_codes(path: str, query: dict[str, str], code: int) -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        status, body, _ = await talking.get(f"/api/v3/{path}", **query)
        assert (status, body["code"]) == (400, code)


async def test_bodies_have_the_levels_asked_for_and_5000_at_most() -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        for limit, levels in ((7, 7), (5_000, 5_000), (9_999, 5_000)):
            body = await talking.depth(limit=limit)
            assert (len(body["bids"]), len(body["asks"])) == (levels, levels)
        _, body, _ = await talking.get("/api/v3/depth", symbol="BTCUSDT")
        assert len(body["bids"]) == 100
    async with SimulatedExchange(PAIRS, Options(body_levels=50)) as exchange, client(exchange) as talking:
        assert len((await talking.depth())["asks"]) == 50


async def test_the_clock_is_the_markets() -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        _, body, _ = await talking.get("/api/v3/time")
        assert abs(body["serverTime"] - time.time() * 1000) < 2_000


async def test_a_fixed_body_is_the_recordings_own_whatever_happened_since() -> None:
    folder = recording("spot-btcusdt-20260630")
    options = Options(fixed_body=True, speed=0, start_after=1)
    async with SimulatedExchange(RecordingSource(folder), options) as exchange, client(exchange) as talking:
        await all_events(await talking.open(), exchange)
        async with talking.session.get(exchange.rest_url + "/api/v3/depth?symbol=BTCUSDT&limit=5") as answer:
            assert await answer.text() == (folder / "snapshot.json").read_text()


async def test_a_book_without_known_levels_is_not_served() -> None:
    """The price has left the recorded range: no body is better than one that lies."""
    source = RecordingSource(recording("spot-btcusdt-20240808"), limit=4_120)
    async with SimulatedExchange(source, Options(speed=100_000)) as exchange, client(exchange) as talking:
        await exchange.finished()
        status, body, _ = await talking.get("/api/v3/depth", symbol="BTCUSDT", limit=5000)
        assert (status, body["code"]) == (503, -1008)


async def faulty(talking: Client, fault: str, **arguments: object) -> tuple[int, dict[str, object]]:
    url = talking.exchange.rest_url + "/sim/faults"
    async with talking.session.post(url, json={"fault": fault, **arguments}) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("status", "retry_after", "words"),
    [
        (429, "10", "Too much request weight used"),
        (418, "120", "IP banned until"),
        (451, None, "restricted location"),
        (403, None, "403 ERROR"),
        (500, None, "unknown error"),
        (503, None, "overloaded"),
    ],
)
async def test_a_status_on_demand_once(status: int, retry_after: str | None, words: str) -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        exchange.faults.rest_status(status)
        got, body, headers = await talking.get("/api/v3/time")
        assert got == status
        assert words in str(body)
        assert headers.get("Retry-After") == retry_after
        assert (await talking.get("/api/v3/time"))[0] == 200


async def test_statuses_by_count_by_time_and_by_path() -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        exchange.faults.rest_status(429, count=2, retry_after=3, path="/api/v3/depth")
        assert (await talking.get("/api/v3/time"))[0] == 200
        answers = [await talking.get("/api/v3/depth", symbol="BTCUSDT") for _ in range(3)]
        assert [status for status, _, _ in answers] == [429, 429, 200]
        assert answers[0][2]["Retry-After"] == "3"
        exchange.faults.rest_status(500, seconds=0.5)
        assert [(await talking.get("/api/v3/time"))[0] for _ in range(2)] == [500, 500]
        await asyncio.sleep(0.51)
        assert (await talking.get("/api/v3/time"))[0] == 200
        exchange.faults.rest_status(500, count=9)
        exchange.faults.clear()
        assert (await talking.get("/api/v3/time"))[0] == 200


async def test_answers_on_demand_come_late() -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        exchange.faults.rest_delay(0.3)
        asked = time.monotonic()
        await talking.get("/api/v3/time")
        assert time.monotonic() - asked >= 0.3


async def test_a_stale_body_is_from_before_the_stream() -> None:
    async with SimulatedExchange(PAIRS, Options(speed=20)) as exchange, client(exchange) as talking:
        opening = (await talking.depth(limit=5))["lastUpdateId"]
        await asyncio.sleep(0.2)
        exchange.faults.stale_body()
        assert (await talking.depth(limit=5))["lastUpdateId"] <= opening
        assert (await talking.depth(limit=5))["lastUpdateId"] > opening


async def test_a_halted_market_has_status_break_until_it_resumes() -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        exchange.faults.halt("BTCUSDT")
        _, body, _ = await talking.get("/api/v3/exchangeInfo")
        assert [market["status"] for market in body["symbols"]] == ["BREAK", "TRADING"]
        assert exchange.state.halted == ("BTCUSDT",)
        exchange.faults.resume()
        _, body, _ = await talking.get("/api/v3/exchangeInfo", symbol="BTCUSDT")
        assert body["symbols"][0]["status"] == "TRADING"


async def test_requests_on_demand_are_cut_off() -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        exchange.faults.refuse(0.3, rest=True)
        with pytest.raises(aiohttp.ClientConnectionError):
            await talking.get("/api/v3/time")
        await asyncio.sleep(0.31)
        assert (await talking.get("/api/v3/time"))[0] == 200


async def test_faults_are_set_and_the_state_is_read_over_http() -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        assert await faulty(talking, "rest_status", status=500, count=1) == (200, {"ok": True})
        assert (await talking.get("/api/v3/time"))[0] == 500
        _, state, _ = await talking.get("/sim/state")
        assert state["requests"] == {"/api/v3/time": 1}
        assert state["begun"] is True


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"fault": "explode"}, "one of clear, close, drop"),
        ({"fault": "freeze"}, "missing required field `seconds`"),
        ({"fault": "freeze", "seconds": "4"}, "Expected `float`"),
        ({"fault": "reset", "sockets": 1}, "unknown field `sockets`"),
        ({"fault": "rest_status", "status": 404}, "404 is none of"),
        ({"fault": "halt", "market": "NOSUCH"}, "no market NOSUCH"),
    ],
)
async def test_faults_that_do_not_exist_are_refused_with_a_reason(command: dict[str, object], words: str) -> None:
    async with SimulatedExchange(PAIRS) as exchange, client(exchange) as talking:
        url = exchange.rest_url + "/sim/faults"
        async with talking.session.post(url, json=command) as answer:
            assert answer.status == 400
            assert words in (await answer.json())["error"]
        async with talking.session.post(url, data=b"{") as answer:
            assert answer.status == 400


def test_rest_faults_of_different_kinds_hit_together_and_the_oldest_of_a_kind_first() -> None:
    faults = RestFaults()
    for fault in (RestFault("/a", status=500, left=1), RestFault("/a", status=429, left=1), RestFault("/a", delay=2.0)):
        faults.add(fault)
    assert [(hit.status, hit.delay) for hit in faults.take("/a/b", 0.0)] == [(500, 0.0), (0, 2.0)]
    assert [(hit.status, hit.delay) for hit in faults.take("/a/b", 0.0)] == [(429, 0.0), (0, 2.0)]
    assert [(hit.status, hit.delay) for hit in faults.take("/b", 0.0)] == []


def test_a_ban_names_its_end() -> None:
    assert "IP banned until 61000." in refusal(418, 1_000, 60).body


@pytest.mark.parametrize(
    "wrong", [{"speed": -1}, {"port": -1}, {"ping_seconds": 0}, {"body_levels": 0}, {"messages_per_second": 0}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be"):
        Options(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="must be"):
        SocketOptions(batch=0)
