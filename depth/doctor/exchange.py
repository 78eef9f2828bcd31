"""Can this machine read the market: region, REST, stream, clock, request weight, symbols."""

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus

from depth.doctor.finding import Finding, fail, ok, skipped, warn
from depth.errors import AccessRefused, DepthError, ExchangeUnavailable, MalformedFrame, UnknownSymbol
from depth.events import parse
from depth.exchange.binance import Binance
from depth.exchange.transport import Transport
from depth.plan import Plan

_CLOCK_MS = 1000
_ANSWER_SECONDS = 20.0
_EVENT_SECONDS = 10.0
_AFTER_REST = ("clock", "symbols", "weight")


async def check(plan: Plan) -> Sequence[Finding]:
    """Ask the exchange of a plan, by REST and by stream at the same time."""
    exchange, transport = Binance(plan.rest_url, plan.ws_url), Transport(plan.rest_url, plan.ws_url)
    try:
        rest, stream = await asyncio.gather(_rest(plan, exchange), _stream(plan, transport))
    finally:
        await exchange.close()
        await transport.close()
    return [*rest, stream]


async def _rest(plan: Plan, exchange: Binance) -> list[Finding]:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            sent = time.time()
            theirs = await exchange.time_ms()
            received = time.time()
    except AccessRefused as error:
        skips = skipped(*_AFTER_REST, why="this address is refused")
        if error.status == HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
            return [fail("region", str(error)), ok("rest", f"{plan.rest_url} answers"), *skips]
        return [ok("region", "not refused by law"), fail("rest", str(error)), *skips]
    except (DepthError, TimeoutError) as error:
        if isinstance(error, ExchangeUnavailable) and error.retry_after is not None:
            busy = fail("weight", f"{error}: too much is asked from this address; run less behind it")
            skips = skipped("region", "clock", "symbols", why="the exchange asks for patience")
            return [skips[0], ok("rest", f"{plan.rest_url} answers"), *skips[1:], busy]
        said = str(error) or f"{plan.rest_url} does not answer within {_ANSWER_SECONDS:g} s: check the network"
        skips = skipped("region", *_AFTER_REST, why="REST does not answer")
        return [skips[0], fail("rest", said), *skips[1:]]
    return [
        ok("region", "this address is served"),
        ok("rest", f"{plan.rest_url} answers in {(received - sent) * 1000:.0f} ms"),
        _clock(theirs, sent * 1000, received * 1000),
        *[await _symbol(exchange, symbol) for symbol in plan.symbols],
        _weight(*exchange.weight),
    ]


def _clock(theirs: int, sent: float, received: float) -> Finding:
    """Compare clocks: the exchange read its own somewhere between our two readings, all in ms."""
    ahead = (sent - theirs) if sent > theirs else min(received - theirs, 0.0)
    if abs(ahead) <= _CLOCK_MS:
        return ok("clock", f"within {_CLOCK_MS} ms of the exchange's")
    where = "ahead of" if ahead > 0 else "behind"
    return warn(
        "clock",
        f"{abs(ahead) / 1000:.1f} s {where} the exchange's: rows are right all the same, but not their `timestamp`, "
        "nor what is expected by now; set the clock by NTP (timedatectl set-ntp true)",
    )


async def _symbol(exchange: Binance, symbol: str) -> Finding:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            trading = await exchange.trading(symbol)
    except UnknownSymbol as error:
        return fail("symbols", str(error))
    except (DepthError, TimeoutError) as error:
        return warn("symbols", f"{symbol}: {str(error) or 'no answer'}: ask again")
    if not trading:
        return warn("symbols", f"{symbol} is listed but does not trade: there are no rows until it does; wait")
    return ok("symbols", f"{symbol} trades")


def _weight(used: int, limit: int) -> Finding:
    said = f"{used} of {limit} request weight used in this minute"
    if used > limit / 2:
        return warn("weight", f"{said}: no snapshot is asked for above half; run less behind this address")
    return ok("weight", said)


async def _stream(plan: Plan, transport: Transport) -> Finding:
    """Subscribe as a collector does, and wait for an event."""
    frames: asyncio.Queue[str] = asyncio.Queue()
    began = time.monotonic()
    try:
        await transport.connect("0", frames.put_nowait)
        streams = [f"{symbol.replace('/', '').lower()}@depth@100ms" for symbol in plan.symbols]
        await transport.send("0", {"method": "SUBSCRIBE", "params": streams, "id": 1})
        async with asyncio.timeout(_EVENT_SECONDS):
            while parse(await frames.get()).kind != "depthUpdate":
                pass
    except TimeoutError:
        return warn(
            "stream",
            f"{plan.ws_url} is connected, but no event came within {_EVENT_SECONDS:g} s: the market is silent, or it "
            "is no Binance; check BINANCE_WS_URL",
        )
    except ExchangeUnavailable as error:
        return fail("stream", str(error))
    except MalformedFrame as error:
        return fail("stream", f"{plan.ws_url}: {error}; is it Binance? check BINANCE_WS_URL")
    return ok("stream", f"{plan.ws_url} brings events; the first one after {time.monotonic() - began:.1f} s")
