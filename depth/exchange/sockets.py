"""The sockets of a collector: opened, watched, replaced before they are dropped."""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from random import Random

from depth.errors import ExchangeUnavailable, MalformedFrame
from depth.events import Event, parse
from depth.exchange.base import Feed, Market, Sockets
from depth.exchange.retry import keep_trying
from depth.exchange.transport import Transport, brief

logger = logging.getLogger(__name__)

_BEHIND_SECONDS = 5.0
_SILENT_SECONDS = 5.0
_ANSWER_SECONDS = 2.0
_JOIN_SECONDS = 5.0
_SUBSCRIBE_SECONDS = 5.0
# Of all places together: an outage of up to a minute is noticed to be over 1.25 s late at most, and in 5 minutes there
# are 144 attempts, of the 300 that Binance allows an address.
_DIAL_SECONDS = 1.25
_LOOK_SECONDS = 0.25
_STALL_SECONDS = 1.0
_AGE_SECONDS = 23 * 3600.0
_AGE_SPREAD = 0.5 / 23
_SHORTEST_LIFE_SECONDS = 2.5
_SAY_EVERY_SECONDS = 30.0
_PATHS = 50  # as many numbered paths as ccxt itself uses for spot
_SUBSCRIBE, _PROBE = 1, 2


class Socket:
    """One websocket and what is known of its health.

    Attributes:
        name: path of the connection, unique among the open ones.
        opened_at: when it was subscribed, monotonic seconds.
        retire_at: when it is old enough to be replaced.
        last_frame: arrival of its last frame of any kind.
        last_ids: market id to the highest update id it has delivered.
        condemned: why it is to be replaced, None while it is well.
    """

    def __init__(self, name: str, pool: "SocketPool") -> None:
        """Prepare; nothing is sent."""
        self.name = name
        self.opened_at = self.last_frame = time.monotonic()
        self.retire_at = float("inf")
        self.last_ids: dict[str, int] = {}
        self.condemned: str | None = None
        self._probed_at: float | None = None
        self._pool = pool
        self._answers: dict[int, asyncio.Future[list[str] | None]] = {}
        self._ended: asyncio.Future[object] | None = None
        self.delivered = asyncio.Event()
        self.over = asyncio.Event()

    async def open(self, streams: Sequence[str]) -> None:
        """Connect and subscribe.

        Raises:
            ExchangeUnavailable: no connection, no answer to the subscription, or a refusal; close it.
        """
        transport = self._pool.transport
        self._ended = await transport.connect(self.name, self._frame)
        self._ended.add_done_callback(self._closed)
        try:
            async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                await self._request(_SUBSCRIBE, "SUBSCRIBE", streams)
        except TimeoutError as error:
            raise ExchangeUnavailable(f"{transport.ws_host} does not answer a subscription: is it Binance?") from error

    async def close(self) -> None:
        """Disconnect; twice is harmless."""
        if self._ended is not None:
            self._ended.remove_done_callback(self._closed)
        self._give_up_answers("closed here")
        await self._pool.transport.disconnect(self.name)
        self.over.set()

    def condemn(self, why: str) -> None:
        """Ask for a replacement."""
        if self.condemned is None:
            self.condemned = why
            self.over.set()

    def look(self, now: float) -> None:
        """Judge the socket's health; `now` in monotonic seconds."""
        if self._probed_at is not None and now - self._probed_at > _ANSWER_SECONDS:
            self.condemn("silent, and it does not answer")
        elif self._probed_at is None and now - self.last_frame > _SILENT_SECONDS:
            self._probed_at = now
            self._pool.spawn(self._probe())
        elif self._pool.is_behind(self, now):
            self.condemn("behind another socket")
        elif now >= self.retire_at:
            self.condemn("old")

    def is_answering(self, now: float) -> bool:
        """Say whether a frame came, or can still come, before the socket is called dead; `now` in monotonic seconds."""
        return now - self.last_frame <= _SILENT_SECONDS + _LOOK_SECONDS + _ANSWER_SECONDS

    def restart_timers(self, now: float) -> None:
        """Forget what was measured before the process stood still; a probe under way is waited for anew."""
        self.last_frame = now
        if self._probed_at is not None:
            self._probed_at = now

    async def _probe(self) -> None:
        try:
            streams = await self._request(_PROBE, "LIST_SUBSCRIPTIONS", None)
        except ExchangeUnavailable:
            return
        self._probed_at = None
        if not streams:
            self.condemn("no longer subscribed")

    async def _request(self, number: int, method: str, params: Sequence[str] | None) -> list[str] | None:
        answer: asyncio.Future[list[str] | None]
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"method": method, "id": number} | ({"params": list(params)} if params else {})
        await self._pool.transport.send(self.name, message)
        return await answer

    def _frame(self, raw: str | bytes) -> None:
        """Take one frame; called by the receive loop, which must never see an exception."""
        now = self.last_frame = time.monotonic()
        try:
            text = raw if isinstance(raw, str) else raw.decode()
            message = parse(text)
        except (MalformedFrame, UnicodeDecodeError) as error:
            self._pool.skip(self, error, now)
            return
        if message.kind == "depthUpdate":
            self._pool.deliver(self, message, now)
        elif message.kind == "serverShutdown":
            self.condemn("the server says that it shuts down")
        elif isinstance(message.id, int) and (answer := self._answers.pop(message.id, None)) and not answer.done():
            if message.error is not None:
                host = self._pool.transport.ws_host
                answer.set_exception(ExchangeUnavailable(f"{host} refuses a request ({message.error}): is it Binance?"))
                return
            answer.set_result(message.result)
            if message.id == _SUBSCRIBE:  # here, not after the wait for it: events may follow in the same read
                self.opened_at = now
                self._pool.join(self)

    def _closed(self, ended: "asyncio.Future[object]") -> None:
        reason = "closed here" if ended.cancelled() else brief(ended.exception())
        self._give_up_answers(reason)
        self._pool.ended(self, reason)
        self.condemn(f"closed ({reason})")

    def _give_up_answers(self, reason: str) -> None:
        """Release whoever waits for an answer: none will come."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ExchangeUnavailable(reason))
                answer.exception()
        self._answers.clear()


class SocketPool:
    """Keeps `connections` sockets subscribed to the same streams.

    A socket that must go is replaced first: the replacement is connected, subscribed and has delivered before the old
    one is dropped, so that the two are never both at once away by our doing.

    Attributes:
        malformed: frames that could not be read, since the start.
        reconnects: sockets opened beyond the first of each place.
    """

    def __init__(
        self,
        transport: Transport,
        markets: Sequence[Market],
        feed: Feed,
        connections: int,
        age_seconds: float = _AGE_SECONDS,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            transport: connects.
            markets: what is subscribed to.
            feed: where events go.
            connections: sockets at the same time.
            age_seconds: about when a socket is old; Binance cuts at 24 h.
        """
        self.transport = transport
        self.malformed = 0
        self.reconnects = 0
        self._feed = feed
        self._connections = connections
        self._age_seconds = age_seconds
        self._streams = [f"{market.id.lower()}@depth@100ms" for market in markets]
        self._progress: dict[str, deque[tuple[float, int]]] = {market.id: deque([(0.0, 0)]) for market in markets}
        self._live: dict[str, Socket] = {}
        self._said = float("-inf")
        self._names = (str(number % _PATHS) for number in itertools.count())
        self._chance = Random()  # noqa: S311  # jitter, not secrets
        self._dialling = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Hold the sockets until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look())
                for place in range(self._connections):
                    group.create_task(self._hold(place))
        finally:
            for socket in [*self._live.values()]:
                self._drop(socket)
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, coroutine: Coroutine[object, object, None]) -> None:
        """Run beside, and keep the task from being collected."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def join(self, socket: Socket) -> None:
        """Count a socket in; it delivers from now on."""
        self._live[socket.name] = socket
        self._feed.opened(socket.name)

    def deliver(self, socket: Socket, event: Event, now: float) -> None:
        """Pass an event on and note how far its socket is."""
        progress = self._progress.get(event.market)
        if progress is None or socket.name not in self._live:
            return
        if event.last_id > socket.last_ids.get(event.market, 0):
            socket.last_ids[event.market] = event.last_id
            if event.last_id > progress[-1][1]:
                progress.append((now, event.last_id))
        try:
            self._feed.delivered(socket.name, event, time.time(), now)
        except Exception:
            # An exception here would end ccxt's receive loop without a word.
            logger.exception("event %d-%d was not taken", event.first_id, event.last_id)
        socket.delivered.set()

    def skip(self, socket: Socket, error: Exception, now: float) -> None:
        """Count a frame that could not be read; say so, but not of each one where all are."""
        self.malformed += 1
        if now - self._said >= _SAY_EVERY_SECONDS:
            self._said = now
            logger.warning("socket %s: %s; %d frames so far", socket.name, error, self.malformed)

    def sockets(self) -> Sockets:
        """See `Exchange.sockets`."""
        now = time.monotonic()
        answering = sum(socket.condemned is None and socket.is_answering(now) for socket in self._live.values())
        return Sockets(self._connections, len(self._live), answering, self.reconnects)

    def is_behind(self, socket: Socket, now: float) -> bool:
        """Whether another socket delivered an event 5 s ago that this one, open then, still has not."""
        for market, progress in self._progress.items():
            while len(progress) > 1 and progress[1][0] <= now - _BEHIND_SECONDS:
                progress.popleft()
            at, last_id = progress[0]
            if socket.opened_at <= at <= now - _BEHIND_SECONDS and socket.last_ids.get(market, 0) < last_id:
                return True
        return False

    def ended(self, socket: Socket, reason: str) -> None:
        """Take out a socket that was closed by the other side."""
        if self._release(socket):
            logger.warning("socket %s is closed (%s); a new one is opened", socket.name, reason)
            self._feed.closed(socket.name)

    async def _hold(self, place: int) -> None:
        """Keep one place filled."""
        old: Socket | None = None
        while True:
            async with self._dialling:
                new = await keep_trying(self._open, f"socket {place + 1} of {self._connections}", _DIAL_SECONDS)
            # Spread evenly around the age, 23 h ± 30 min, so that no two are old at once.
            share = (place + self._chance.random()) / self._connections
            new.retire_at = new.opened_at + self._age_seconds * (1 + _AGE_SPREAD * (2 * share - 1))
            if old is not None:
                self.reconnects += 1
                if self._live.get(old.name) is old:
                    await self._overlap(new)
                    self._drop(old)
            await new.over.wait()
            # 300 connection attempts in 5 minutes an address: a server that closes at once is not asked at once.
            await asyncio.sleep(_SHORTEST_LIFE_SECONDS - min(time.monotonic() - new.opened_at, _SHORTEST_LIFE_SECONDS))
            logger.info("socket %s is replaced: %s", new.name, new.condemned)
            old = new

    async def _open(self) -> Socket:
        name = next(name for name in self._names if name not in self._live)
        socket = Socket(name, self)
        try:
            await socket.open(self._streams)
        except BaseException:
            self._drop(socket)
            self.spawn(socket.close())  # it may not have been counted in
            raise
        return socket

    async def _overlap(self, new: Socket) -> None:
        """Give the new socket time to deliver before the old one goes; a quiet market delivers nothing."""
        try:
            async with asyncio.timeout(_JOIN_SECONDS):  # wait_for of Python 3.11 may swallow a cancellation
                await new.delivered.wait()
        except TimeoutError:
            logger.debug("socket %s has delivered nothing yet", new.name)

    def _drop(self, socket: Socket) -> None:
        if self._release(socket):
            self._feed.closed(socket.name)
            self.spawn(socket.close())

    def _release(self, socket: Socket) -> bool:
        """Take a socket out, and say whether it was in: its name may be another's by now."""
        if self._live.get(socket.name) is not socket:
            return False
        del self._live[socket.name]
        return True

    async def _look(self) -> None:
        """Judge every socket four times a second; after a stall all waiting begins anew."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            if now - before - _LOOK_SECONDS > _STALL_SECONDS:
                logger.warning("the process stood still for %.1f s; all waiting times begin anew", now - before)
                for progress in self._progress.values():
                    progress.extend([(now, progress[-1][1])])
                    while len(progress) > 1:
                        progress.popleft()
                for socket in self._live.values():
                    socket.restart_timers(now)
            before = now
            for socket in [*self._live.values()]:
                socket.look(now)
