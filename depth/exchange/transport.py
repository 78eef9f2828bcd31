"""ccxt.pro as transport: REST requests and websockets, and nothing of its own order book."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from depth.errors import AccessRefused, ExchangeUnavailable, UnknownSymbol
from depth.exchange.ccxt_binance import BadRequest, BaseError, Client, binance

logger = logging.getLogger(__name__)

FrameHandler = Callable[[str], None]

_REQUEST_TIMEOUT_MS = 20_000
_CONNECT_TIMEOUT_MS = 5_000
_PING_MS = 20_000
_GOODBYE_SECONDS = 1.0
_LONGEST_BAN_SECONDS = 3 * 86_400.0  # what Binance names as the longest
_BINANCES_OWN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.IM_A_TEAPOT)


class Transport(binance):  # type: ignore[misc]  # ccxt is untyped
    """One ccxt instance for the REST requests and all sockets of a collector.

    What it changes, each through a hook that ccxt calls:
    - `client`: frames go to their socket unparsed. ccxt's own parsing ends its receive loop, without an error, on the
      first truncated frame, and drops frames on hosts whose URL it does not know.
    - `on_rest_response`: status and headers are kept; ccxt's errors do not carry Retry-After. The body of a success
      goes to the caller unparsed: what ccxt makes of 5,000 levels a side is 2 MB that the process never gives back.
    - `ws_dial_delay`: none; the sockets have their own back-off.
    """

    def __init__(self, rest_url: str, ws_url: str) -> None:
        """Prepare; nothing is sent.

        Args:
            rest_url: scheme, host and port of the REST API.
            ws_url: scheme, host and port of the streams.
        """
        super().__init__(
            {
                # ccxt's rate limit puts 2.5 s before every snapshot; we count the weight that the exchange reports.
                "enableRateLimit": False,
                "enableLastHttpResponse": False,  # it would keep a snapshot's text until the next request
                "timeout": _REQUEST_TIMEOUT_MS,
                "options": {"ws": {"connectionTimeout": _CONNECT_TIMEOUT_MS, "keepAlive": _PING_MS, "compress": 0}},
            }
        )
        self.urls["api"]["public"] = f"{rest_url}/api/v3"
        self._ws_url = ws_url
        self.host = urlsplit(rest_url).netloc
        self.ws_host = urlsplit(ws_url).netloc
        self.status = 0
        self.response_headers: dict[str, str] = {}
        self._body = ""
        self._handlers: dict[str, FrameHandler] = {}

    async def request_rest(self, method: str, symbol: str, **params: Any) -> str:
        """Make one public REST request; the caller makes one at a time, so that status and headers are this one's.

        Args:
            method: ccxt's implicit method, for example ``public_get_depth``.
            symbol: the market asked for, ``BTC/USDT``; empty where the request is about none.
            params: further query parameters.

        Returns:
            The text of the body.

        Raises:
            UnknownSymbol: the exchange has no such market.
            AccessRefused: HTTP 451 or 403.
            ExchangeUnavailable: any other status than a success, with Retry-After where the exchange gave one, or none.
        """
        self.status, self.response_headers, self._body = 0, {}, ""
        market = {"symbol": symbol.replace("/", "")} if symbol else {}
        try:
            await getattr(self, method)(market | params)
        except BadRequest as error:  # unknown, or not even a name: all else that is sent is ours
            raise UnknownSymbol(symbol, self.host) from error
        except BaseError as error:
            raise self._explain(error) from error
        if not self._succeeded():  # ccxt lets through bodies with code 0
            raise self._explain(None)
        body, self._body = self._body, ""
        return body

    def _succeeded(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def _explain(self, error: Exception | None) -> Exception:
        if self.status in (HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS, HTTPStatus.FORBIDDEN):
            return AccessRefused(self.status, self.host)
        if self.status:
            retry_after = self.response_headers.get("retry-after", "")
            wait = min(float(retry_after), _LONGEST_BAN_SECONDS) if retry_after.isdecimal() else None
            if wait is not None:
                remedy = f", wait {retry_after} s"
            elif self.status in _BINANCES_OWN or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                remedy = ""
            else:
                remedy = ": is it Binance? check BINANCE_REST_URL"
            return ExchangeUnavailable(f"{self.host} answers HTTP {self.status}{remedy}", wait)
        cause = error.__cause__ if error is not None and error.__cause__ is not None else error
        return ExchangeUnavailable(
            f"{self.host} cannot be reached ({brief(cause)}): check network and BINANCE_REST_URL"
        )

    def on_rest_response(  # noqa: PLR0913, PLR0917  # ccxt's signature
        self,
        code: int,
        reason: str,
        url: str,
        method: str,
        response_headers: Mapping[str, str],
        response_body: str,
        request_headers: object,
        request_body: object,
    ) -> str:
        """Keep status, headers and body of the response; called by ccxt before it parses what this returns."""
        self.status = code
        if self._succeeded():
            self._body, response_body = response_body, "{}"
        self.response_headers = {name.lower(): value for name, value in response_headers.items()}
        text: str = super().on_rest_response(
            code, reason, url, method, response_headers, response_body, request_headers, request_body
        )
        return text

    async def connect(self, path: str, handler: FrameHandler) -> "asyncio.Future[Any]":
        """Open one websocket.

        Args:
            path: unique among the open ones; the exchange takes any.
            handler: called with the text of each frame.

        Returns:
            A future that ends when the socket closes, with the reason as its exception.

        Raises:
            ExchangeUnavailable: not connected within 5 s.
        """
        url = f"{self._ws_url}/ws/{path}"
        self._handlers[url] = handler
        closed: asyncio.Future[Any] = self.watch(url, "closed", None, "closed")
        closed.add_done_callback(_retrieve)
        await asyncio.wait({closed, self.client(url).connected}, return_when=asyncio.FIRST_COMPLETED)
        if closed.done():
            self._forget(url)
            reason = "cancelled" if closed.cancelled() else brief(closed.exception())
            raise ExchangeUnavailable(f"{self.ws_host} cannot be reached ({reason}): check network and BINANCE_WS_URL")
        return closed

    async def send(self, path: str, message: Mapping[str, Any]) -> None:
        """Send one JSON message; a socket that is closed already says so by its future."""
        client = self.clients.get(f"{self._ws_url}/ws/{path}")
        if client is None:
            return
        try:
            await client.send(message)
        except (ConnectionError, RuntimeError) as error:
            logger.debug("socket %s did not take a message: %s", path, error)

    async def disconnect(self, path: str) -> None:
        """Close one websocket; does not wait for a peer that no longer answers."""
        url = f"{self._ws_url}/ws/{path}"
        client = self.clients.get(url)
        self._forget(url)
        if client is not None:
            try:
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await client.close()
            except TimeoutError:
                logger.debug("socket %s did not say goodbye", path)

    def client(self, url: str) -> Client:
        """Give the client of a URL, its frames routed to the handler; called by ccxt."""
        client = super().client(url)
        handler = self._handlers.get(url)
        if handler is not None:
            client.handle_text_or_binary_message = handler
        return client

    def ws_dial_delay(self, url: str) -> float:  # noqa: ARG002  # ccxt's signature
        """No waiting of ccxt's own before a dial."""
        return 0.0

    def _forget(self, url: str) -> None:
        self._handlers.pop(url, None)
        if self.clients:
            self.clients.pop(url, None)


def _retrieve(closed: "asyncio.Future[Any]") -> None:
    """Look at the reason, so that asyncio does not complain where nobody else does any more."""
    if not closed.cancelled():
        closed.exception()


def brief(error: BaseException | None) -> str:
    """Say in one short line what an error says, or what it is where it says nothing."""
    text = str(error).strip().splitlines()
    return text[0][:160] if text else type(error).__name__
