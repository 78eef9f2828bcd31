"""One websocket connection: what goes out, when, and how it ends."""

import asyncio
import socket as sockets
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiohttp import WSCloseCode, WSMsgType, web

from depth.exchange.simulated.options import Options, SocketOptions
from depth.exchange.simulated.outgoing import Outgoing, SocketFaults, nothing
from depth.exchange.simulated.source import Diff
from depth.exchange.simulated.subscriptions import Subscriptions

_ROOM_FRAMES = 64
_MOST_FRAMES = 50_000
_LARGEST_REQUEST = 64 * 1024
_POLL_SECONDS = 0.05
_CLOSE_SECONDS = 2.0


class Connection:
    """Serves one client until either side ends it.

    Attributes:
        number: 1 for the first connection of the exchange.
        subscriptions: what it gets.
        sent: number of event frames that went out.
        alive: it can still get something.
    """

    def __init__(
        self,
        number: int,
        subscriptions: Subscriptions,
        faults: SocketFaults,
        options: Options,
        subscribed: Callable[[], None],
    ) -> None:
        """Prepare; `subscribed` is called whenever the subscriptions may have changed."""
        self.number = number
        self.subscriptions = subscriptions
        self.sent = 0
        self.alive = True
        self._options = options
        self._how: SocketOptions = options.sockets.get(number, options.every_socket)
        self._faults = faults
        self._outgoing = Outgoing(subscriptions, faults, self._how.batch)
        self._frames: deque[tuple[float, bool, str]] = deque()
        self._subscribed = subscribed
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._opened = self._last_pong = self._loop.time()
        self._last_ping = self._opened
        self._messages: deque[float] = deque(maxlen=options.messages_per_second + 1)
        self._ws = web.WebSocketResponse(
            autoping=False,
            autoclose=False,
            compress=options.compress,
            max_msg_size=_LARGEST_REQUEST,
            timeout=_CLOSE_SECONDS,
        )

    @property
    def listening(self) -> bool:
        """It is subscribed to something and takes it at this moment."""
        faults = self._faults
        moving = self.alive and not faults.half_open and faults.frozen_until <= self._loop.time()
        return moving and len(self.subscriptions) > 0

    def offer(self, diff: Diff) -> None:
        """Queue what one event means for this client."""
        if self.alive and not self._faults.half_open:
            self._queue(self._outgoing.take(diff), event=True)

    def flush(self, market_ms: int | None = None) -> None:
        """Queue merged events whose time is over at `market_ms`; None = all."""
        if self.alive and not self._faults.half_open:
            self._queue(self._outgoing.flush(market_ms), event=True)

    async def room(self) -> None:
        """Wait until this client keeps up again."""
        while self.listening and len(self._frames) > _ROOM_FRAMES:
            self._room.clear()
            await self._room.wait()

    async def drained(self) -> None:
        """Wait until everything that was queued is sent, however long the client is frozen."""
        while self.alive and not self._faults.half_open and self._frames:
            self._room.clear()
            await self._room.wait()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Run the connection from handshake to end."""
        try:
            await self._ws.prepare(request)
        except ConnectionResetError:  # the client has gone before it was answered
            self.alive = False
            return web.Response()  # nobody reads it
        self._faults.connected = True
        self._faults.changed = self._changed
        self._subscribed()
        transport = request.transport
        writer = asyncio.create_task(self._write(transport), name=f"simulated socket {self.number}")
        try:
            await self._read()
            await self._outlast(transport)
        finally:
            self.alive = False
            self._frames.clear()
            self._changed()
            self._faults.connected, self._faults.changed = False, nothing
            await writer
        return self._ws

    def stop(self) -> None:
        """End the connection: the exchange goes away."""
        self._faults.ending = self._faults.ending or ("reset" if self._faults.half_open else "close")
        self._changed()

    def _changed(self) -> None:
        self._wake.set()
        self._room.set()

    def _queue(self, frames: list[str], *, event: bool) -> None:
        if not frames:
            return
        due = self._loop.time() + self._how.delay_ms / 1000
        self._frames.extend((due, event, frame) for frame in frames)
        if len(self._frames) > _MOST_FRAMES:
            self._faults.ending = "reset"
        self._wake.set()

    async def _read(self) -> None:
        while True:
            message = await self._ws.receive()
            if message.type in (WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return
            if self._faults.half_open:
                if message.type is WSMsgType.CLOSE:
                    return
                continue
            if message.type is WSMsgType.CLOSE:
                await self._ws.close()
                return
            if message.type is WSMsgType.PING:
                await asyncio.sleep(max(0.0, self._faults.frozen_until - self._loop.time()))
                with suppress(
                    ConnectionResetError
                ):  # the connection ended while it was frozen: the next message says so
                    await self._ws.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._last_pong = self._loop.time()
            elif message.type is WSMsgType.TEXT:
                self._request(message.data)

    def _request(self, text: str) -> None:
        now = self._loop.time()
        self._messages.append(now)
        if len(self._messages) > self._options.messages_per_second and now - self._messages[0] < 1:
            self._faults.ending = "close"
        answer = self.subscriptions.answer
        if self._faults.refusals:
            self._faults.refusals -= 1
            answer = self.subscriptions.refusal
        self._queue([answer(text)], event=False)
        self._subscribed()

    async def _outlast(self, transport: asyncio.Transport | None) -> None:
        """Hold a half-open connection until the client drops it; a transport tells nobody when that happens."""
        while self._faults.half_open and self.alive and transport and not transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)

    async def _write(self, transport: asyncio.Transport | None) -> None:
        try:
            while self.alive:
                self._wake.clear()
                next_at = await self._send_next(transport)
                if next_at is None:
                    continue
                alarm = self._loop.call_at(next_at, self._wake.set)
                await self._wake.wait()
                alarm.cancel()
        except ConnectionError:  # the client is gone: the reader sees it too
            self.alive = False
        finally:
            self._room.set()

    async def _send_next(self, transport: asyncio.Transport | None) -> float | None:
        """Do what is due first; return when to look again, None = at once."""
        faults, now = self._faults, self._loop.time()
        if faults.ending:
            await self._end(transport)
            return None
        if faults.half_open:
            self._frames.clear()
            return now + self._options.socket_age_seconds
        if faults.frozen_until > now:
            return faults.frozen_until
        if faults.injected:
            await self._ws.send_str(faults.injected.popleft()(self.subscriptions.combined))
            return None
        if self._frames and self._frames[0][0] <= now:
            _, event, frame = self._frames.popleft()
            self.sent += event
            if len(self._frames) <= _ROOM_FRAMES:
                self._room.set()
            await self._ws.send_str(frame)
            return None
        return await self._keep_alive(now)

    async def _keep_alive(self, now: float) -> float | None:
        options = self._options
        if now - self._last_pong > options.pong_seconds or now - self._opened > options.socket_age_seconds:
            self._faults.ending = "close"
            return None
        if now - self._last_ping >= options.ping_seconds:
            self._last_ping = now
            await self._ws.ping(str(int(time.time() * 1000)).encode())
        times = [
            self._last_ping + options.ping_seconds,
            self._last_pong + options.pong_seconds + _POLL_SECONDS,
            self._opened + options.socket_age_seconds + _POLL_SECONDS,
        ]
        return min([*times, self._frames[0][0]] if self._frames else times)

    async def _end(self, transport: asyncio.Transport | None) -> None:
        how, self._faults.ending = self._faults.ending, ""
        self.alive = False
        if how == "close":
            await self._ws.close(code=WSCloseCode.GOING_AWAY)
        elif transport:
            # Lingering for no time makes the kernel send RST instead of FIN.
            transport.get_extra_info("socket").setsockopt(
                sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0)
            )
            transport.abort()
