"""Binance spot through the real ccxt client: markets, snapshots within the request weight, and whose data these are."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from depth.anchoring import Schedule
from depth.collector import Collector
from depth.epochs import Grid
from depth.errors import ExchangeUnavailable, MalformedFrame, UnknownSymbol
from depth.events import Anchor
from depth.exchange.base import Market
from depth.exchange.binance import Binance, source
from depth.exchange.simulated import SimulatedExchange, SyntheticSource
from depth.heap import freeze_imports
from tests.replay import Rows
from tests.strangers import answering

_MINUTE = 60.0
_LONGEST_BLOCK_SECONDS = 0.015


@asynccontextmanager
async def binance(rest_url: str, ws_url: str = "ws://127.0.0.1:9") -> AsyncIterator[Binance]:
    client = Binance(rest_url, ws_url)
    client._transport.timeout_on_exit = 0  # ccxt's quarter of a second at the end
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def exchange() -> AsyncIterator[SimulatedExchange]:
    async with SimulatedExchange(SyntheticSource(("BTC/USDT", "ETH/USDT"))) as running:
        yield running


@pytest.fixture
async def client(exchange: SimulatedExchange) -> AsyncIterator[Binance]:
    async with binance(exchange.rest_url, exchange.ws_url) as opened:
        yield opened


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.binance.com", "binance spot"),
        ("https://api1.binance.com:443", "binance spot"),
        ("https://data-api.binance.vision", "binance spot"),
        ("https://binance.com", "binance spot"),
        ("https://api.binance.us", "api.binance.us spot"),
        ("https://notbinance.com", "notbinance.com spot"),
        ("http://127.0.0.1:8080", "127.0.0.1 spot"),
    ],
)
def test_a_source_is_an_exchange_not_a_host(url: str, name: str) -> None:
    """All hosts of binance.com and binance.vision serve the same book; every other host is another source."""
    assert source(url) == name


async def test_markets_are_found_in_the_order_asked_for(client: Binance) -> None:
    """Name, exchange's name and quote currency come from exchangeInfo."""
    assert await client.load(["ETH/USDT", "BTC/USDT"]) == [
        Market("ETH/USDT", "ETHUSDT", "USDT"),
        Market("BTC/USDT", "BTCUSDT", "USDT"),
    ]


async def test_an_unknown_symbol_names_symbol_and_host(client: Binance) -> None:
    """What is not listed is a mistake of the caller, said in one line."""
    with pytest.raises(UnknownSymbol, match=r"127\.0\.0\.1:\d+ lists no spot market FOO/USDT"):
        await client.load(["BTC/USDT", "FOO/USDT"])


async def test_a_halted_market_does_not_trade(exchange: SimulatedExchange, client: Binance) -> None:
    """The status of the market alone decides."""
    assert await client.trading("BTC/USDT")
    exchange.faults.halt("BTCUSDT")
    assert not await client.trading("BTC/USDT")
    assert await client.trading("ETH/USDT")


async def test_a_snapshot_has_five_thousand_levels_a_side(exchange: SimulatedExchange, client: Binance) -> None:
    """Best first, at the update id that the exchange names."""
    sent = exchange.state.last_ids["BTCUSDT"]
    anchor = await client.anchor("BTC/USDT")
    assert (len(anchor.bids), len(anchor.asks)) == (5000, 5000)
    assert anchor.bids[0][0] < anchor.asks[0][0]
    assert anchor.last_id >= sent


async def test_above_half_of_the_request_weight_the_next_snapshot_waits(
    exchange: SimulatedExchange, client: Binance
) -> None:
    """With 2,750 of 6,000 used by others a snapshot still fits; after it no other is asked for in this minute."""
    await _early_in_a_minute()
    async with aiohttp.ClientSession() as others:
        for _ in range(11):
            await (await others.get(f"{exchange.rest_url}/api/v3/depth?symbol=OTHERS&limit=5000")).release()
    await client.anchor("BTC/USDT")
    asked = exchange.state.snapshots
    with pytest.raises(ExchangeUnavailable, match="3000 of 6000 request weight is used") as raised:
        await client.anchor("BTC/USDT")
    assert exchange.state.snapshots == asked
    assert raised.value.retry_after is not None
    next_minute = _MINUTE - time.time() % _MINUTE
    assert next_minute < raised.value.retry_after < next_minute + 2


async def test_a_ban_is_every_symbols(exchange: SimulatedExchange, client: Binance) -> None:
    """Requests during a ban make it longer: what another symbol was told is obeyed without asking."""
    exchange.faults.rest_status(418, retry_after=60, count=1)
    for symbol in ("BTC/USDT", "ETH/USDT"):
        with pytest.raises(ExchangeUnavailable) as raised:
            await client.anchor(symbol)
        assert raised.value.retry_after == pytest.approx(60, abs=5)
    assert exchange.state.snapshots == 1


async def test_those_who_ask_at_the_same_time_heed_one_ban(exchange: SimulatedExchange, client: Binance) -> None:
    """The first is refused, the others are told by what it was told."""
    exchange.faults.rest_delay(0.2, path="/api/v3/depth")
    exchange.faults.rest_status(418, retry_after=60, count=1)
    answers = await asyncio.gather(*(client.anchor("BTC/USDT") for _ in range(10)), return_exceptions=True)
    waits = [answer.retry_after for answer in answers if isinstance(answer, ExchangeUnavailable)]
    assert waits == [pytest.approx(60, abs=5)] * 10
    assert exchange.state.snapshots == 1


async def test_those_who_ask_at_the_same_time_use_no_more_than_half_of_the_weight(
    exchange: SimulatedExchange, client: Binance
) -> None:
    """Twelve snapshots are 3,000 of 6,000."""
    await _early_in_a_minute()
    answers = await asyncio.gather(*(client.anchor("BTC/USDT") for _ in range(15)), return_exceptions=True)
    assert sum(isinstance(answer, Anchor) for answer in answers) == exchange.state.snapshots == 12
    assert all(isinstance(answer, (Anchor, ExchangeUnavailable)) for answer in answers)


async def test_the_limit_of_the_request_weight_is_the_exchanges(client: Binance) -> None:
    """The answer about markets says how much a minute allows."""
    client._weight_limit = 0
    await client.load(["BTC/USDT"])
    assert client._weight_limit == 6000


async def test_limits_of_other_kinds_are_passed_over() -> None:
    """Whatever they say, or do not."""
    market = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": []}
    limits = [{}, {"rateLimitType": None}, {"rateLimitType": "REQUEST_WEIGHT", "interval": "DAY", "limit": 7}]
    limits += [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "limit": "1200"}]
    async with answering(json.dumps({"rateLimits": limits, "symbols": [market]})) as url, binance(url) as client:
        assert await client.load(["BTC/USDT"]) == [Market("BTC/USDT", "BTCUSDT", "USDT")]
        assert client.weight[1] == 1200


@pytest.mark.parametrize(
    ("body", "content_type"), [("<html>Welcome</html>", "text/html"), ("[1,2]", "application/json"), ("", "text/plain")]
)
async def test_a_host_that_is_not_binance_is_told_by_its_answer(body: str, content_type: str) -> None:
    """A page, a list or nothing, of markets and of snapshots: the line names the host and the setting."""
    async with answering(body, content_type=content_type) as url, binance(url) as client:
        for ask in (lambda: client.load(["BTC/USDT"]), lambda: client.anchor("BTC/USDT"), client.time_ms):
            with pytest.raises(ExchangeUnavailable, match="BINANCE_REST_URL") as raised:
                await ask()
            assert url.removeprefix("http://") in str(raised.value)


@pytest.mark.parametrize(
    "body", ['{"symbols":[{}]}', '{"symbols":"all"}', '{"symbols":[{"baseAsset":1}]}', '{"new":' + "[" * 100_000]
)
async def test_markets_in_another_shape_are_no_traceback(body: str) -> None:
    """An exchangeInfo that cannot be read is an answer of something else than Binance."""
    async with answering(body) as url, binance(url) as client:
        with pytest.raises(ExchangeUnavailable, match="BINANCE_REST_URL"):
            await client.load(["BTC/USDT"])


@pytest.mark.parametrize(
    "body",
    ['{"lastUpdateId":1}', '{"lastUpdateId":1,"bids":[["x","1"]],"asks":[]}', "{}", '{"lastUpdateId":1,'],
)
async def test_a_body_that_is_no_snapshot_is_malformed(body: str) -> None:
    """Missing sides, prices that are no numbers, or half an answer never become a book."""
    async with answering(body) as url, binance(url) as client:
        with pytest.raises(MalformedFrame, match="asked for again"):
            await client.anchor("BTC/USDT")


async def test_nothing_is_malformed_before_the_stream(client: Binance) -> None:
    """The count begins with the stream."""
    assert client.malformed == 0


@pytest.fixture
def other_process() -> Iterator[str]:
    """The REST URL of an exchange that takes none of this process' time."""
    command = [sys.executable, "-m", "depth.exchange.simulated"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[3]
        process.terminate()


@pytest.mark.alone
async def test_a_snapshot_never_holds_the_loop_up_for_more_than_15_ms(other_process: str) -> None:
    """To read, use and audit 5,000 levels a side lets frames in between; the best of three tries counts."""
    freeze_imports()
    blocks: list[float] = []
    stop, worst = asyncio.Event(), []
    async with binance(other_process, other_process.replace("http", "ws")) as client:
        collector = Collector(client, Grid(), "test", Rows(), lambda: Schedule(hourly=0.4))
        running = asyncio.create_task(collector.run(["BTC/USDT"], stop))
        ticking = asyncio.create_task(_tick(blocks))
        for _ in range(3):
            await asyncio.sleep(1.2)
            worst.append(max(blocks))
            blocks.clear()
        stop.set()
        outcome = await running
        ticking.cancel()
    assert outcome.symbols[0].audits_agreed == outcome.symbols[0].audits >= 4
    assert min(worst) <= _LONGEST_BLOCK_SECONDS, worst


async def _tick(blocks: list[float]) -> None:
    """Note how long the loop worked between two milliseconds; what other processes took from it does not count."""
    before, used = time.monotonic(), time.thread_time()
    while True:
        await asyncio.sleep(0.001)
        now, using = time.monotonic(), time.thread_time()
        blocks.append(min(now - before, using - used))
        before, used = now, using


async def _early_in_a_minute() -> None:
    """Wait until the minute is not about to end."""
    left = _MINUTE - time.time() % _MINUTE
    if left < 3:
        await asyncio.sleep(left + 0.1)
