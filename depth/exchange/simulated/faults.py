"""Faults on demand: one method each, callable from Python and, by name, from POST /sim/faults.

``{"fault": "freeze", "socket": 1, "seconds": 4}`` calls ``freeze(seconds=4, socket=1)``.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar, get_type_hints

import msgspec

from depth.errors import UsageError
from depth.exchange.simulated.outgoing import SocketFaults
from depth.exchange.simulated.playing import Play
from depth.exchange.simulated.resting import RestFault, RestFaults

_Method = TypeVar("_Method", bound=Callable[..., None])
_commands: dict[str, type[msgspec.Struct]] = {}
_DAY_MS = 86_400_000
_MEGABYTE = 1_000_000
_STATUSES = (403, 418, 429, 451, 500, 503)


def _fault(method: _Method) -> _Method:
    """Let a method be called by name with checked arguments."""
    hints = get_type_hints(method)
    fields: list[Any] = [
        (name, hints[name]) if parameter.default is parameter.empty else (name, hints[name], parameter.default)
        for name, parameter in inspect.signature(method).parameters.items()
        if name != "self"
    ]
    _commands[method.__name__] = msgspec.defstruct(method.__name__, fields, forbid_unknown_fields=True)
    return method


class Clocks(Protocol):
    """The times that faults are set by."""

    def loop_time(self) -> float:
        """Return the event loop's clock in s."""
        ...

    def market_ms(self) -> int:
        """Return the market time in ms."""
        ...


class Faults:
    """Everything that can be made to go wrong.

    `socket` counts connections from 1 in the order in which they came; one that is still to come may be named.
    Without it a fault hits every socket that is open now.
    """

    def __init__(self, plays: Iterable[Play], clocks: Clocks) -> None:
        """Begin without faults."""
        self.rest_faults = RestFaults()
        self.refused_until = 0.0
        self.rest_refused_until = 0.0
        self._plays = {play.listing.id: play for play in plays}
        self._halted_at: dict[str, int] = {}
        self._clocks = clocks
        self._sockets: defaultdict[int, SocketFaults] = defaultdict(SocketFaults)

    def of(self, socket: int) -> SocketFaults:
        """Return the faults of the n-th socket, connected or not."""
        return self._sockets[socket]

    def call(self, command: object) -> None:
        """Do what a decoded JSON object says.

        Raises:
            UsageError: no such fault, or arguments that it does not take.
        """
        if not isinstance(command, dict) or command.get("fault") not in _commands:
            raise UsageError(f'name a fault, {{"fault": NAME, …}}, one of {", ".join(sorted(_commands))}')
        name = command["fault"]
        given = {key: value for key, value in command.items() if key != "fault"}
        try:
            arguments = msgspec.convert(given, _commands[name])
        except msgspec.ValidationError as error:
            raise UsageError(f"{name}: {error}") from error
        getattr(self, name)(**msgspec.structs.asdict(arguments))

    @_fault
    def reset(self, socket: int | None = None) -> None:
        """Abort the TCP connection: the client sees a reset."""
        self._set(socket, ending="reset")

    @_fault
    def close(self, socket: int | None = None) -> None:
        """Close the websocket properly."""
        self._set(socket, ending="close")

    @_fault
    def half_open(self, socket: int | None = None) -> None:
        """Go silent: TCP stays open, nothing is sent, answered or pinged any more."""
        self._set(socket, half_open=True)

    @_fault
    def freeze(self, seconds: float, socket: int | None = None) -> None:
        """Send nothing for so many seconds, then everything that was held back."""
        self._set(socket, frozen_until=self._clocks.loop_time() + seconds)

    @_fault
    def drop(self, count: int = 1, socket: int | None = None) -> None:
        """Lose the next events."""
        self._set(socket, drop=count)

    @_fault
    def duplicate(self, count: int = 1, socket: int | None = None) -> None:
        """Send the next events twice."""
        self._set(socket, duplicate=count)

    @_fault
    def truncate(self, count: int = 1, socket: int | None = None) -> None:
        """Send only the first half of the next events' text."""
        self._set(socket, truncate=count)

    @_fault
    def refuse_requests(self, count: int = 1, socket: int | None = None) -> None:
        """Answer the next requests with an error: SUBSCRIBE of a socket that is still to come, for example."""
        self._set(socket, refusals=count)

    @_fault
    def microseconds(self, *, on: bool = True, socket: int | None = None) -> None:
        """Write event times in µs."""
        self._set(socket, microseconds=on)

    @_fault
    def move_time(self, milliseconds: int = _DAY_MS, count: int = 1, socket: int | None = None) -> None:
        """Put a wrong E into the next events: a day ahead, or back with a negative number."""
        self._set(socket, moved=count, moved_ms=milliseconds)

    @_fault
    def garbage(self, text: str = "<html>502 Bad Gateway</html>", socket: int | None = None) -> None:
        """Send a frame that is no JSON."""
        self._inject(socket, lambda _: text)

    @_fault
    def huge(self, megabytes: float = 10, socket: int | None = None) -> None:
        """Send one frame of so many megabytes: JSON of an unknown type."""
        padding = "x" * int(megabytes * _MEGABYTE)
        self._inject(socket, lambda _: f'{{"e":"padding","x":"{padding}"}}')

    @_fault
    def unknown(self, event: str = "depthUpdateV2", socket: int | None = None) -> None:
        """Send an event of a type that nobody has heard of."""
        payload = msgspec.json.encode({"e": event, "E": self._clocks.market_ms(), "s": "BTCUSDT", "zz": [1, {}]})
        self._inject(socket, lambda wrapped: _framed(f"!{event}", payload.decode(), wrapped=wrapped))

    @_fault
    def server_shutdown(self, *, wrapped: bool | None = None, socket: int | None = None) -> None:
        """Announce the end of the connection, bare or wrapped; None = as the socket gets its events.

        Source: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
        """
        payload = f'{{"e":"serverShutdown","E":{self._clocks.market_ms()}}}'
        self._inject(
            socket,
            lambda combined: _framed("!serverShutdown", payload, wrapped=combined if wrapped is None else wrapped),
        )

    @_fault
    def reset_ids(self, market: str | None = None) -> None:
        """Number events from 1 again, in the stream and in the bodies."""
        for play in self._of_market(market):
            play.reset_ids()

    @_fault
    def halt(self, market: str | None = None) -> None:
        """Stop trading: status BREAK and no events."""
        for play in self._of_market(market):
            play.halted = True
            self._halted_at.setdefault(play.listing.id, self._clocks.market_ms())

    @_fault
    def resume(self, market: str | None = None) -> None:
        """Trade again; event times go on from now."""
        for play in self._of_market(market):
            if play.halted:
                play.resume(self._clocks.market_ms() - self._halted_at.pop(play.listing.id))

    @_fault
    def refuse(self, seconds: float, *, rest: bool = False) -> None:
        """Cut off every new stream connection for so many seconds; with `rest` every request, too."""
        self.refused_until = self._clocks.loop_time() + seconds
        if rest:
            self.rest_refused_until = self.refused_until

    @_fault
    def rest_status(
        self,
        status: int,
        count: int | None = None,
        seconds: float | None = None,
        retry_after: int | None = None,
        path: str = "/api/",
    ) -> None:
        """Answer requests with an error: the next `count`, or all for so many seconds; without both one.

        `retry_after` in s (429 and 418 have one anyway). `path`: only requests whose path begins so.
        """
        if status not in _STATUSES:
            raise UsageError(f"rest_status: {status} is none of {', '.join(map(str, _STATUSES))}")
        until = None if seconds is None else self._clocks.loop_time() + seconds
        left = 1 if count is None and seconds is None else count
        self.rest_faults.add(RestFault(path, status=status, retry_after=retry_after, left=left, until=until))

    @_fault
    def rest_delay(self, seconds: float, count: int = 1, path: str = "/api/") -> None:
        """Answer the next requests so much later."""
        self.rest_faults.add(RestFault(path, delay=seconds, left=count))

    @_fault
    def stale_body(self, count: int = 1) -> None:
        """Serve the body from before the first event to the next depth requests: older than any buffer."""
        self.rest_faults.add(RestFault("/api/v3/depth", stale=True, left=count))

    @_fault
    def clear(self) -> None:
        """Take back whatever has not happened yet; halted markets trade again."""
        self.rest_faults.clear()
        self.refused_until = self.rest_refused_until = 0.0
        self.resume()
        for faults in self._sockets.values():
            fresh = SocketFaults(connected=faults.connected, changed=faults.changed)
            for name in SocketFaults.__slots__:
                setattr(faults, name, getattr(fresh, name))
            faults.changed()

    def _set(self, socket: int | None, **values: object) -> None:
        for faults in self._hit(socket):
            for name, value in values.items():
                setattr(faults, name, value)
            faults.changed()

    def _inject(self, socket: int | None, frame: Callable[[bool], str]) -> None:
        for faults in self._hit(socket):
            faults.injected.append(frame)
            faults.changed()

    def _hit(self, socket: int | None) -> list[SocketFaults]:
        if socket is not None:
            return [self._sockets[socket]]
        return [faults for faults in self._sockets.values() if faults.connected]

    def _of_market(self, market: str | None) -> list[Play]:
        if market is None:
            return list(self._plays.values())
        if market not in self._plays:
            raise UsageError(f"no market {market}: one of {', '.join(self._plays)}")
        return [self._plays[market]]


def _framed(stream: str, payload: str, *, wrapped: bool) -> str:
    return f'{{"stream":"{stream}","data":{payload}}}' if wrapped else payload
