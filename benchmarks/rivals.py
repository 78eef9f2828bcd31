"""The order books that others would use, driven through their own code without a network.

What is left out is in their favour: frames start as text (no socket, no queue) and nobody waits for an update.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro
from binance.ws.depthcache import DepthCacheManager  # type: ignore[import-untyped]
from binance.ws.reconnecting_websocket import ReconnectingWebsocket  # type: ignore[import-untyped]
from ccxt.async_support.base.ws import client as ccxt_client

from benchmarks.ours import SYMBOL
from benchmarks.recording import BenchmarkBroken, Body, Recording, Stream, ensure

JSON_PARSER = ccxt_client.json_parser.__name__
"""What ccxt's transport reads frames with: orjson where it can be imported, else json."""
_loads: Callable[[str], Any] = ccxt_client.json_parser.loads
_PATIENCE = 100


class JsonParse:
    """The parse alone, by ccxt's parser: the floor under every client that reads JSON into Python objects."""

    name = "json_parse"

    async def start(self, recording: Recording) -> None:
        """Nothing to prepare."""

    async def run(self, stream: Stream) -> None:
        """Parse each frame and drop it."""
        loads = _loads
        for frame, _ in stream:
            loads(frame)

    def check(self, recording: Recording) -> None:
        """See that the last frame is read whole."""
        ensure(_loads(recording.frames[-1])["u"] == recording.final.last_id, f"{self.name}: misread")


class DictUpdate:
    """The parse and `dict.update` of the texts: no order, no removal, no numbers. No client; the least one could do."""

    name = "dict_update"

    async def start(self, recording: Recording) -> None:
        """Take the snapshot's texts."""
        self._bids, self._asks = dict(recording.snapshot["bids"]), dict(recording.snapshot["asks"])
        await self.run([recording.joining])

    async def run(self, stream: Stream) -> None:
        """Take the texts."""
        loads, bids, asks = _loads, self._bids, self._asks
        for frame, _ in stream:
            event = loads(frame)
            bids.update(event["b"])
            asks.update(event["a"])

    def check(self, recording: Recording) -> None:
        """Compare all levels."""
        for side, expected in ((self._bids, recording.final.bids), (self._asks, recording.final.asks)):
            levels = {float(price): float(amount) for price, amount in side.items() if float(amount)}
            ensure(levels == expected, f"{self.name}: the levels are wrong")


class Ccxt:
    """ccxt.pro's binance, stock: subscription answer, REST snapshot and frames go through its own handlers.

    A frame enters where its websocket client has text in hand (`handle_text_or_binary_message`, which parses it and
    calls `handle_message`). Each `watch_order_book` would cost further: a future, and cutting the book to 1,000 levels.
    """

    name = "ccxt"

    async def start(self, recording: Recording) -> None:
        """Let it load the market, subscribe, fetch its snapshot and join the stream."""
        exchange = self._exchange = ccxt.pro.binance({"options": {"fetchMarkets": {"types": ["spot"]}}})
        exchange.publicGetExchangeInfo = _answer({"symbols": [recording.market]})
        exchange.publicGetDepth = _answer(recording.snapshot)
        await exchange.load_markets()
        client = exchange.client(exchange.urls["api"]["ws"]["spot"] + "/0")
        exchange.handle_order_book_subscription(client, {}, {"symbol": SYMBOL, "type": "spot", "params": {}})
        self.take: Callable[[str], None] = client.handle_text_or_binary_message
        self.take(recording.joining[0])
        self.book: Body = exchange.orderbooks[SYMBOL]
        for _ in range(_PATIENCE):
            await asyncio.sleep(0)
            if self.book["nonce"] is not None:
                return
        raise BenchmarkBroken("ccxt: it does not build its book")

    async def run(self, stream: Stream) -> None:
        """Take frames."""
        take = self.take
        for frame, _ in stream:
            take(frame)

    def hook(self) -> tuple[object, str]:
        """Name what it calls once an update."""
        return self._exchange, "handle_order_book_message"

    def check(self, recording: Recording) -> None:
        """Compare update id, best prices and all levels: without `limit()` it keeps them all."""
        expected, book = recording.final, self.book
        ensure(self._exchange.orderbooks.get(SYMBOL) is book, f"{self.name}: it dropped its book")
        ensure(book["nonce"] == expected.last_id, f"{self.name}: the book stands at {book['nonce']}")
        same = dict(book["bids"]) == expected.bids and dict(book["asks"]) == expected.asks
        ensure(same, f"{self.name}: the levels are wrong")
        ensure((book["bids"][0][0], book["asks"][0][0]) == expected.best(), f"{self.name}: the best prices are wrong")

    async def stop(self) -> None:
        """Let go of its HTTP session."""
        await self._exchange.close()


class PythonBinance:
    """python-binance's `DepthCacheManager`, with its socket's own parser (orjson where it can be imported).

    By default a frame goes from the parser straight to `_process_depth_message`, which looks at the ids and applies.
    `whole`: by `_depth_event`, as its `recv` does, which writes every message into a debug line that nobody reads.
    """

    def __init__(self, name: str = "python_binance", *, whole: bool = False) -> None:
        """Prepare."""
        self.name = name
        self._whole = whole

    async def start(self, recording: Recording) -> None:
        """Let it fetch its snapshot and join the stream."""
        rest = _Rest(recording.snapshot)
        self._manager = DepthCacheManager(rest, recording.market["symbol"], bm=rest)
        self._loads = ReconnectingWebsocket(url="").json_loads
        await self._manager._init_cache()  # noqa: SLF001  # what entering it does, without the socket
        await self.run([recording.joining])
        rest.asked = 0

    async def run(self, stream: Stream) -> None:
        """Take frames."""
        loads = self._loads
        take = self._manager._depth_event if self._whole else self._manager._process_depth_message  # noqa: SLF001  # the path
        for frame, _ in stream:
            await take(loads(frame))

    def hook(self) -> tuple[object, str]:
        """Name what it calls once an update."""
        return self._manager, "_apply_orders"

    def check(self, recording: Recording) -> None:
        """Compare best prices and all levels, and see that it did not start over."""
        cache, expected = self._manager.get_depth_cache(), recording.final
        ensure(self._manager._client.asked == 0, f"{self.name}: it started over")  # noqa: SLF001  # ours: `_Rest`
        bids, asks = cache.get_bids(), cache.get_asks()
        same = dict(bids) == expected.bids and dict(asks) == expected.asks
        ensure(same, f"{self.name}: the levels are wrong")
        ensure((bids[0][0], asks[0][0]) == expected.best(), f"{self.name}: the best prices are wrong")


class _Rest:
    """Answers python-binance's request for a snapshot."""

    def __init__(self, body: Body) -> None:
        self.asked = 0
        self._body = body

    async def get_order_book(self, **_: object) -> Body:
        self.asked += 1
        return self._body


def count_calls(owner: object, method: str) -> Callable[[], int]:
    """Wrap one object's method; returns what tells how often it was called since."""
    original, calls = getattr(owner, method), itertools.count()

    def counting(*arguments: object) -> object:
        next(calls)
        return original(*arguments)

    setattr(owner, method, counting)
    return lambda: next(calls)


def _answer(body: Body) -> Callable[..., Awaitable[Body]]:
    async def answer(_: object = None) -> Body:
        return body

    return answer
