"""The REST part: time, exchangeInfo, depth, and the control of the simulation itself."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from aiohttp import web

from depth.errors import UsageError
from depth.exchange.simulated.faults import Faults
from depth.exchange.simulated.listings import exchange_info
from depth.exchange.simulated.options import Options
from depth.exchange.simulated.playing import Play
from depth.exchange.simulated.resting import Refusal, error_body, refusal
from depth.exchange.simulated.weights import WeightMeter, depth_weight

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_DEFAULT_LEVELS = 100
_MOST_LEVELS = 5000
_WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"


class Exchange(Protocol):
    """What the REST part needs to know of the exchange."""

    options: Options
    faults: Faults
    plays: dict[str, Play]
    requests: Counter[str]

    def market_ms(self) -> int:
        """Return the market time in ms."""
        ...

    def describe(self) -> dict[str, object]:
        """Return the state as JSON values."""
        ...


class Rest:
    """Answers requests as Binance does, by the exchange's own book."""

    def __init__(self, exchange: Exchange) -> None:
        """Serve an exchange."""
        self.weights = WeightMeter(exchange.options.weight_limit)
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        """Return the paths that are served."""
        return [
            web.get("/api/v3/ping", self._api(self._ping)),
            web.get("/api/v3/time", self._api(self._time)),
            web.get("/api/v3/exchangeInfo", self._api(self._exchange_info)),
            web.get("/api/v3/depth", self._api(self._depth)),
            web.get("/sim/state", self._state),
            web.post("/sim/faults", self._faults),
        ]

    def _api(self, answer: Callable[[web.Request, bool], Refusal | str]) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            exchange, now = self._exchange, asyncio.get_running_loop().time()
            exchange.requests[request.path] += 1
            if now < exchange.faults.rest_refused_until and request.transport:
                request.transport.abort()
            hits = exchange.faults.rest_faults.take(request.path, now)
            await asyncio.sleep(sum(hit.delay for hit in hits))
            failing = next((hit for hit in hits if hit.status), None)
            within = self.weights.add(_weight(request), time.time())
            if failing:
                answered: Refusal | str = refusal(failing.status, exchange.market_ms(), failing.retry_after)
            elif not within:
                answered = refusal(429, exchange.market_ms(), self.weights.seconds_left(time.time()))
            else:
                answered = answer(request, any(hit.stale for hit in hits))
            if isinstance(answered, str):
                answered = Refusal(200, answered)
            response = web.Response(status=answered.status, text=answered.body, content_type=answered.content_type)
            response.headers[_WEIGHT_HEADER] = str(self.weights.used)
            if answered.retry_after is not None:
                response.headers["Retry-After"] = str(answered.retry_after)
            return response

        return handle

    def _ping(self, request: web.Request, stale: bool) -> str:  # noqa: FBT001 - one signature for all answers
        del request, stale
        return "{}"

    def _time(self, request: web.Request, stale: bool) -> str:  # noqa: FBT001
        del request, stale
        return f'{{"serverTime":{self._exchange.market_ms()}}}'

    def _exchange_info(self, request: web.Request, stale: bool) -> Refusal | str:  # noqa: FBT001
        del stale
        plays = self._exchange.plays
        wanted = list(plays)
        try:
            if "symbol" in request.query:
                wanted = [request.query["symbol"]]
            elif "symbols" in request.query:
                wanted = msgspec.json.decode(request.query["symbols"], type=list[str])
        except msgspec.DecodeError:
            return Refusal(400, error_body(-1100, "Illegal characters found in parameter 'symbols'."))
        if any(market not in plays for market in wanted):
            return Refusal(400, error_body(-1121, "Invalid symbol."))
        halted = [market for market in wanted if plays[market].halted]
        listings = [plays[market].listing for market in wanted]
        return msgspec.json.encode(
            exchange_info(listings, halted, self._exchange.market_ms(), self._exchange.options.weight_limit)
        ).decode()

    def _depth(self, request: web.Request, stale: bool) -> Refusal | str:  # noqa: FBT001
        """Serve GET /api/v3/depth.

        Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#order-book
        """
        options = self._exchange.options
        symbol = request.query.get("symbol", "")
        if not symbol:
            missing = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            return Refusal(400, error_body(-1102, missing))
        play = self._exchange.plays.get(symbol)
        if play is None:
            return Refusal(400, error_body(-1121, "Invalid symbol."))
        limit = _limit(request)
        if limit is None:
            return Refusal(400, error_body(-1130, "Data sent for parameter 'limit' is not valid."))
        limit = min(limit, options.body_levels or limit)
        if stale:
            body = play.stale_body(limit)
        elif options.fixed_body:
            body = play.own_body()
        else:
            ahead = self._exchange.market_ms() + options.rest_ahead_ms
            body = play.body(limit, ahead, cut=options.cut_inside_events)
        return refusal(503, self._exchange.market_ms()) if body is None else body

    async def _state(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self._exchange.describe())

    async def _faults(self, request: web.Request) -> web.Response:
        try:
            self._exchange.faults.call(msgspec.json.decode(await request.read()))
        except (UsageError, msgspec.DecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})


def _limit(request: web.Request) -> int | None:
    text = request.query.get("limit", str(_DEFAULT_LEVELS))
    if not text.isdecimal() or not int(text):
        return None
    return min(int(text), _MOST_LEVELS)


def _weight(request: web.Request) -> int:
    if request.path.endswith("/depth"):
        return depth_weight(_limit(request) or _DEFAULT_LEVELS)
    return 20 if request.path.endswith("/exchangeInfo") else 1
