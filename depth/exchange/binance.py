"""Binance spot: markets, snapshots within the request weight, and the streams."""

import asyncio
import time
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from depth.errors import ExchangeUnavailable, UnknownSymbol
from depth.events import Anchor, parse_anchor
from depth.exchange.base import FRAMES_FIRST_SECONDS, Feed, Market, Sockets
from depth.exchange.sockets import SocketPool
from depth.exchange.transport import Transport

_LEVELS = 5000
# https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#order-book
_SNAPSHOT_WEIGHT = 250
_DEFAULT_WEIGHT_LIMIT = 6000
_MINUTE = 60.0
_ONE_SOURCE = ("binance.com", "binance.vision")

_Answer = TypeVar("_Answer", bound=msgspec.Struct)


class _Time(msgspec.Struct, rename="camel"):
    server_time: int


class _Limit(msgspec.Struct, rename="camel"):
    rate_limit_type: str | None = None
    interval: str | None = None
    limit: int = 0


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str


class _ExchangeInfo(msgspec.Struct, rename="camel"):
    symbols: list[_Symbol]
    rate_limits: list[_Limit] = []


def source(rest_url: str) -> str:
    """Name whose data a REST host serves.

    Returns:
        ``binance spot`` for every host of binance.com and binance.vision, else ``<host> spot``: another exchange.
    """
    host = urlsplit(rest_url).hostname or rest_url
    same = any(host == domain or host.endswith(f".{domain}") for domain in _ONE_SOURCE)
    return f"{'binance' if same else host} spot"


class Binance:
    """The spot market of Binance, or of any host that speaks its protocol.

    Attributes:
        source: whose data these are.
    """

    def __init__(self, rest_url: str, ws_url: str, connections: int = 2) -> None:
        """Prepare; nothing is sent.

        Args:
            rest_url: scheme, host and port, for example ``https://api.binance.com``.
            ws_url: scheme, host and port, for example ``wss://stream.binance.com:9443``.
            connections: sockets that feed one book.
        """
        self.source = source(rest_url)
        self._transport = Transport(rest_url, ws_url)
        self._connections = connections
        self._pool: SocketPool | None = None
        self._weight_limit = _DEFAULT_WEIGHT_LIMIT
        self._weight = (0, 0)  # minute, used weight in it as the exchange last said
        self._patience_until = float("-inf")  # monotonic; a request before then prolongs a ban
        self._one_at_a_time = asyncio.Lock()  # each heeds what the one before was told

    @property
    def malformed(self) -> int:
        """Frames that could not be read, since the start."""
        return self._pool.malformed if self._pool else 0

    def sockets(self) -> Sockets:
        """See `Exchange.sockets`."""
        return self._pool.sockets() if self._pool else Sockets(self._connections)

    async def load(self, symbols: Sequence[str]) -> list[Market]:
        """See `Exchange.load`."""
        return [(await self._info(symbol))[0] for symbol in symbols]

    async def time_ms(self) -> int:
        """Ask the exchange for its time, ms UTC.

        Raises:
            AccessRefused: HTTP 451 or 403.
            ExchangeUnavailable: not reached, or asked to wait.
        """
        return self._read(await self._request("public_get_time"), _Time).server_time

    @property
    def weight(self) -> tuple[int, int]:
        """Request weight used, as the exchange last said, and its limit; of one minute and address."""
        return self._weight[1], self._weight_limit

    async def trading(self, symbol: str) -> bool:
        """See `Exchange.trading`."""
        return (await self._info(symbol))[1] == "TRADING"

    async def anchor(self, symbol: str) -> Anchor:
        """See `Exchange.anchor`; waits for the next minute rather than use over half of the weight limit."""
        body = await self._request("public_get_depth", symbol, weight=_SNAPSHOT_WEIGHT, limit=_LEVELS)
        await asyncio.sleep(FRAMES_FIRST_SECONDS)  # to receive it took some ms, and to read it will
        if not body.lstrip().startswith("{"):
            raise self._not_binance()
        return parse_anchor(body)

    async def stream(self, markets: Sequence[Market], feed: Feed) -> None:
        """See `Exchange.stream`."""
        self._pool = SocketPool(self._transport, markets, feed, self._connections)
        await self._pool.run()

    async def close(self) -> None:
        """See `Exchange.close`."""
        await self._transport.close()

    async def _info(self, symbol: str) -> tuple[Market, str]:
        """Ask for one market; all markets at once cost 110 MB that never come back."""
        answer = self._read(await self._request("public_get_exchangeinfo", symbol), _ExchangeInfo)
        for limit in answer.rate_limits:
            if (limit.rate_limit_type, limit.interval) == ("REQUEST_WEIGHT", "MINUTE") and limit.limit > 0:
                self._weight_limit = limit.limit
        for info in answer.symbols:
            if f"{info.base_asset}/{info.quote_asset}" == symbol:
                return Market(symbol, info.symbol, info.quote_asset), info.status
        raise UnknownSymbol(symbol, self._transport.host)

    async def _request(self, method: str, symbol: str = "", *, weight: int = 0, **params: object) -> str:
        """Make one request; `weight` is that of a heavy one, which waits rather than use over half of the limit."""
        async with self._one_at_a_time:
            self._heed(weight)
            try:
                return await self._transport.request_rest(method, symbol, **params)
            except ExchangeUnavailable as error:
                if error.retry_after:
                    self._patience_until = time.monotonic() + error.retry_after
                raise
            finally:
                used = self._transport.response_headers.get("x-mbx-used-weight-1m", "")
                if used.isdecimal():
                    self._weight = (int(time.time() // _MINUTE), int(used))

    def _heed(self, weight: int) -> None:
        if (left := self._patience_until - time.monotonic()) > 0:
            said = f"{self._transport.host} asked for patience: the next request waits {left:.0f} s"
            raise ExchangeUnavailable(said, retry_after=left)
        minute, used = self._weight
        if weight and minute == int(time.time() // _MINUTE) and used + weight > self._weight_limit / 2:
            raise ExchangeUnavailable(
                f"{used} of {self._weight_limit} request weight is used, the next snapshot waits for the next minute",
                retry_after=_MINUTE - time.time() % _MINUTE + 1,
            )

    def _read(self, body: str, kind: type[_Answer]) -> _Answer:
        try:
            return msgspec.json.decode(body, type=kind, strict=False)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._not_binance() from error

    def _not_binance(self) -> ExchangeUnavailable:
        return ExchangeUnavailable(
            f"{self._transport.host} answers something else than Binance: check BINANCE_REST_URL"
        )
