"""ccxt as transport: requests with their status and headers, and sockets whose frames arrive as they were sent."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from depth.errors import AccessRefused, DepthError, ExchangeUnavailable, UnknownSymbol
from depth.exchange.simulated import SimulatedExchange, SyntheticSource
from depth.exchange.transport import Transport
from tests.live import until
from tests.strangers import answering

STREAM = {"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 1}


@asynccontextmanager
async def transport(rest_url: str, ws_url: str = "ws://127.0.0.1:9") -> AsyncIterator[Transport]:
    opened = Transport(rest_url, ws_url)
    opened.timeout_on_exit = 0  # ccxt's quarter of a second at the end
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def exchange() -> AsyncIterator[SimulatedExchange]:
    async with SimulatedExchange(SyntheticSource()) as running:
        yield running


@pytest.fixture
async def client(exchange: SimulatedExchange) -> AsyncIterator[Transport]:
    async with transport(exchange.rest_url, exchange.ws_url) as opened:
        yield opened


@pytest.fixture
def nobody() -> str:
    """``host:port`` of a loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return f"127.0.0.1:{held.getsockname()[1]}"


async def failure(request: Awaitable[object]) -> DepthError:
    with pytest.raises(DepthError) as raised:
        await request
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    ("status", "retry_after", "wait"),
    [(500, None, None), (503, None, None), (429, 7, 7.0), (418, 120, 120.0), (429, None, 10.0)],
)
async def test_a_failed_request_says_how_long_to_wait(
    exchange: SimulatedExchange, client: Transport, status: int, retry_after: int | None, wait: float | None
) -> None:
    """HTTP 500, 503, 429 and 418 may pass by themselves; Retry-After is kept where there is one."""
    exchange.faults.rest_status(status, retry_after=retry_after)
    error = await failure(client.request_rest("public_get_depth", "BTC/USDT", limit=5))
    assert isinstance(error, ExchangeUnavailable)
    assert error.retry_after == wait
    assert f"HTTP {status}" in str(error)
    assert await client.request_rest("public_get_depth", "BTC/USDT", limit=5)


@pytest.mark.parametrize("status", [451, 403])
async def test_a_refused_address_is_terminal(exchange: SimulatedExchange, client: Transport, status: int) -> None:
    """HTTP 451 and 403 will not pass by themselves; the one line says what to do."""
    exchange.faults.rest_status(status)
    error = await failure(client.request_rest("public_get_exchangeinfo", "BTC/USDT"))
    assert isinstance(error, AccessRefused)
    assert error.status == status
    assert client.host in str(error)


async def test_an_unknown_symbol_is_named(client: Transport) -> None:
    """The exchange's "Invalid symbol" becomes a line about what was asked for."""
    error = await failure(client.request_rest("public_get_depth", "FOO/USDT", limit=5))
    assert isinstance(error, UnknownSymbol)
    assert "FOO/USDT" in str(error)


async def test_a_host_that_is_not_there_is_named_with_the_setting(nobody: str) -> None:
    """No route: at once, with the host and the setting to check."""
    async with transport(f"http://{nobody}") as client:
        error = await failure(client.request_rest("public_get_depth", "BTC/USDT"))
    assert isinstance(error, ExchangeUnavailable)
    assert nobody in str(error)
    assert "BINANCE_REST_URL" in str(error)


async def test_a_host_that_knows_no_such_path_is_named_with_the_setting() -> None:
    """HTTP 404 is no outage of Binance: the line says which setting to check."""
    async with answering("<html>nothing here</html>", 404, "text/html") as url, transport(url) as client:
        error = await failure(client.request_rest("public_get_depth", "BTC/USDT"))
    assert isinstance(error, ExchangeUnavailable)
    assert "HTTP 404" in str(error)
    assert "BINANCE_REST_URL" in str(error)


async def test_a_retry_after_that_is_no_number_is_no_wait() -> None:
    """A date in Retry-After is left to our own back-off."""
    later = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}
    async with answering("{}", 503, headers=later) as url, transport(url) as client:
        error = await failure(client.request_rest("public_get_depth", "BTC/USDT"))
    assert isinstance(error, ExchangeUnavailable)
    assert error.retry_after is None


async def test_frames_arrive_as_text_whatever_they_hold(exchange: SimulatedExchange, client: Transport) -> None:
    """Half a frame and HTML reach the handler, and the frames after them too."""
    frames: list[str] = []
    closed = await client.connect("0", frames.append)
    await client.send("0", STREAM)
    await until(lambda: len(frames) > 2)
    exchange.faults.truncate(1)
    exchange.faults.garbage()
    await until(lambda: {frame[-1] for frame in frames} - {"}", ">"} and any("<html>" in frame for frame in frames))
    count = len(frames)
    await until(lambda: len(frames) > count + 2)
    assert not closed.done()


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_the_end_of_a_socket_is_told_with_a_reason(
    exchange: SimulatedExchange, client: Transport, how: str
) -> None:
    """A close and a reset by the other side end the future; sending then is no error."""
    closed = await client.connect("0", lambda _: None)
    getattr(exchange.faults, how)()
    await asyncio.wait([closed], timeout=5)
    assert str(closed.exception())
    await client.send("0", STREAM)


async def test_a_socket_that_cannot_be_opened_is_named_with_the_setting(
    exchange: SimulatedExchange, nobody: str
) -> None:
    """Nobody listens, or it speaks no websocket: one line with host and setting, at once."""
    async with answering("{}") as stranger:
        for ws_url in (f"ws://{nobody}", stranger.replace("http", "ws")):
            async with transport(exchange.rest_url, ws_url) as client:
                error = await failure(client.connect("0", lambda _: None))
            assert isinstance(error, ExchangeUnavailable)
            assert ws_url.removeprefix("ws://") in str(error)
            assert "BINANCE_WS_URL" in str(error)


async def test_a_refused_socket_can_be_opened_again_under_its_name(
    exchange: SimulatedExchange, client: Transport
) -> None:
    """A failure leaves nothing behind that keeps the next try from working."""
    exchange.faults.refuse(60)
    await failure(client.connect("0", lambda _: None))
    exchange.faults.refuse(0)
    closed = await client.connect("0", lambda _: None)
    assert not closed.done()


async def test_a_half_open_socket_is_left_within_a_second(exchange: SimulatedExchange, client: Transport) -> None:
    """A peer that no longer answers is not waited for, and the exchange sees that the socket is gone."""
    await client.connect("0", lambda _: None)
    await until(lambda: exchange.state.open)
    exchange.faults.half_open()
    began = time.monotonic()
    await client.disconnect("0")
    assert time.monotonic() - began < 1.5
    await until(lambda: not exchange.state.open)


async def test_to_disconnect_what_is_not_connected_is_harmless(client: Transport) -> None:
    """Never opened, or closed already: nothing happens."""
    await client.disconnect("7")
    await client.connect("0", lambda _: None)
    await client.disconnect("0")
    await client.disconnect("0")
    await client.send("0", STREAM)


async def test_a_symbol_that_is_no_name_is_unknown() -> None:
    """Binance calls its characters illegal, by another code: it is not tried again either."""
    illegal = '{"code":-1100,"msg":"Illegal characters found in parameter \'symbol\'."}'
    async with answering(illegal, 400) as url, transport(url) as client:
        error = await failure(client.request_rest("public_get_exchangeinfo", "B*C/USDT"))
    assert isinstance(error, UnknownSymbol)
