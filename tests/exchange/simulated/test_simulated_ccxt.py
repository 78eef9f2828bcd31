"""The real ccxt client takes the simulated exchange for Binance."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro
import pytest

from depth.exchange.simulated import Options, RecordingSource, SimulatedExchange, SyntheticSource
from tests.exchange.simulated.client import NaiveBook, recording, same


@asynccontextmanager
async def binance(exchange: SimulatedExchange) -> AsyncIterator[Any]:
    """Point ccxt's Binance at an exchange."""
    client = ccxt.pro.binance({"enableRateLimit": False, "options": {"fetchMarkets": {"types": ["spot"]}}})
    for name in ("public", "private"):
        client.urls["api"][name] = exchange.rest_url + "/api/v3"
    client.urls["api"]["v1"] = exchange.rest_url + "/api/v1"
    client.urls["api"]["ws"]["spot"] = exchange.ws_url + "/ws"
    try:
        yield client
    finally:
        await client.close()


async def test_markets_load_by_symbol() -> None:
    async with SimulatedExchange(SyntheticSource(("BTC/USDT", "ETH/USDT"))) as exchange, binance(exchange) as client:
        await client.load_markets(params={"symbol": "ETHUSDT"})
        market = client.market("ETH/USDT")
        assert (market["id"], market["spot"], market["active"], market["precision"]["price"]) == (
            "ETHUSDT",
            True,
            True,
            0.01,
        )
        assert exchange.state.requests == {"/api/v3/exchangeInfo": 1}


async def test_a_halted_market_is_not_active() -> None:
    async with SimulatedExchange(SyntheticSource()) as exchange, binance(exchange) as client:
        exchange.faults.halt()
        await client.load_markets(params={"symbol": "BTCUSDT"})
        assert client.market("BTC/USDT")["active"] is False


async def test_bodies_arrive_with_their_text_and_weight() -> None:
    async with SimulatedExchange(SyntheticSource()) as exchange, binance(exchange) as client:
        await client.load_markets(params={"symbol": "BTCUSDT"})
        body = await client.public_get_depth({"symbol": "BTCUSDT", "limit": 5000})
        assert (len(body["bids"]), len(body["asks"])) == (5_000, 5_000)
        assert isinstance(body["bids"][0][0], str)
        assert client.last_response_headers["X-MBX-USED-WEIGHT-1M"] == str(exchange.state.used_weight)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, ccxt.DDoSProtection),
        (418, ccxt.DDoSProtection),
        (500, ccxt.OperationFailed),
        (451, ccxt.ExchangeNotAvailable),
        (403, ccxt.NetworkError),
    ],
)
async def test_error_bodies_become_ccxts_errors(status: int, error: type[Exception]) -> None:
    async with SimulatedExchange(SyntheticSource()) as exchange, binance(exchange) as client:
        await client.load_markets(params={"symbol": "BTCUSDT"})
        exchange.faults.rest_status(status)
        with pytest.raises(error):
            await client.public_get_depth({"symbol": "BTCUSDT"})


async def test_an_unknown_symbol_is_a_bad_symbol() -> None:
    async with SimulatedExchange(SyntheticSource()) as exchange, binance(exchange) as client:
        with pytest.raises(ccxt.BadSymbol):
            await client.load_markets(params={"symbol": "NOSUCH"})


async def test_its_book_joins_and_every_raw_event_passes_by() -> None:
    async with (
        SimulatedExchange(SyntheticSource(seed=31), Options(speed=5)) as exchange,
        binance(exchange) as client,
    ):
        await client.load_markets(params={"symbol": "BTCUSDT"})
        seen: list[dict[str, Any]] = []
        original = client.handle_order_book

        def watch(socket: Any, message: dict[str, Any]) -> None:
            seen.append(message)
            original(socket, message)

        client.handle_order_book = watch
        async with asyncio.timeout(20):
            while len(seen) < 40:
                book = await client.watch_order_book("BTC/USDT", 5000)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert book["nonce"] == seen[-1]["u"]
        assert all(late["U"] == early["u"] + 1 for early, late in itertools.pairwise(seen))
        truth = exchange.book_at("BTCUSDT", book["nonce"])
        assert round(book["bids"][0][0] * 1e8) == max(truth.bids)
        assert round(book["asks"][0][0] * 1e8) == min(truth.asks)


async def test_a_recording_passes_through_ccxt_unharmed() -> None:
    source = RecordingSource(recording("spot-btcusdt-20260630"))
    async with SimulatedExchange(source, Options(speed=20, start_after=1)) as exchange, binance(exchange) as client:
        await client.load_markets(params={"symbol": "BTCUSDT"})
        seen: list[dict[str, Any]] = []
        complete = asyncio.Event()

        def watch(_: Any, message: dict[str, Any]) -> None:
            seen.append(message)
            if len(seen) == 77:
                complete.set()

        client.handle_order_book = watch
        watching = asyncio.ensure_future(client.watch_order_book("BTC/USDT", 1000))
        body = await client.public_get_depth({"symbol": "BTCUSDT", "limit": 1000})
        await asyncio.wait_for(complete.wait(), 20)
        watching.cancel()
        await asyncio.wait([watching])
        last_id = int(body["lastUpdateId"])
        book = NaiveBook.joined({**body, "lastUpdateId": last_id}, seen)
        assert same(book, exchange.book_at("BTCUSDT", book.last_id))
