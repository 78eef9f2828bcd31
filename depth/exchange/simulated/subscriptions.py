"""What one socket has subscribed to, and its requests. Pure: text in, text out."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_NAMED = re.compile(r"[a-zA-Z0-9_.!]+@")
_DEPTH = re.compile(r"(?P<market>[a-z0-9]+)@depth(?P<fast>@100ms)?")
_SLOW_SLOTS = 10
_LONGEST_ID = 36


class _Refused(Exception):
    """A request that cannot be done; its arguments are Binance's code and message."""


class Subscriptions:
    """The streams of one socket.

    Attributes:
        combined: frames go out as ``{"stream": …, "data": …}``.
    """

    def __init__(self, streams: Sequence[str] = (), *, combined: bool = False) -> None:
        """Begin with the streams named in the path; ``/ws/0`` names none."""
        self.combined = combined
        self._streams = dict.fromkeys(stream for stream in streams if _NAMED.match(stream))

    def __len__(self) -> int:
        """Return the number of streams."""
        return len(self._streams)

    def depth_streams(self, market: str) -> list[tuple[str, int]]:
        """Return the depth streams of a market, each with the number of 100 ms slots that it merges."""
        found = ((stream, _DEPTH.fullmatch(stream)) for stream in self._streams)
        return [
            (stream, 1 if match["fast"] else _SLOW_SLOTS)
            for stream, match in found
            if match and match["market"] == market.lower()
        ]

    def framed(self, stream: str, payload: str) -> str:
        """Put a payload into the frame that this socket gets."""
        return f'{{"stream":"{stream}","data":{payload}}}' if self.combined else payload

    def answer(self, text: str) -> str:
        """Do one request and return its answer.

        ``{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}`` gives ``{"result":null,"id":1}``; what
        cannot be done gives ``{"error":{"code":2,"msg":"Invalid request: …"},"id":1}``.

        Source: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
        """
        number: object = None
        try:
            request = _decoded(text)
            number = _id(request)
            return _encoded({"result": self._do(request["method"], request.get("params", [])), "id": number})
        except _Refused as refused:
            code, message = refused.args
            return _encoded({"error": {"code": code, "msg": message}, "id": number})

    @staticmethod
    def refusal(text: str) -> str:
        """Return the answer to a request that is refused, whatever it asks."""
        try:
            number = _id(_decoded(text))
        except _Refused:
            number = None
        return _encoded({"error": {"code": 0, "msg": "Unknown error"}, "id": number})

    def _do(self, method: str, params: object) -> object:
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._streams)
        if method.endswith("PROPERTY"):
            return self._property(method, params)
        for stream in _stream_names(params):
            if method == "SUBSCRIBE":
                self._streams[stream] = None
            else:
                self._streams.pop(stream, None)
        return None

    def _property(self, method: str, params: object) -> object:
        match method, params:
            case "GET_PROPERTY", ["combined"]:
                return self.combined
            case "SET_PROPERTY", ["combined", bool(combined)]:
                self.combined = combined
                return None
            case "SET_PROPERTY", ["combined", _]:
                raise _Refused(1, "Invalid value type: expected Boolean")
        raise _Refused(0, "Unknown property")


def _decoded(text: str) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise _Refused(3, "Invalid JSON: expected value at line 1 column 1") from error
    if not isinstance(request, dict) or "method" not in request:
        raise _Refused(2, f"Invalid request: missing field `method` at line 1 column {len(text)}")
    if request["method"] not in _METHODS:
        expected = ", ".join(f"`{method}`" for method in _METHODS)
        raise _Refused(2, f"Invalid request: unknown variant `{request['method']}`, expected one of {expected}")
    return request


def _id(request: dict[str, Any]) -> int | str | None:
    number = request.get("id")
    if isinstance(number, str) and number.isalnum() and len(number) <= _LONGEST_ID:
        return number
    if number is None or (isinstance(number, int) and not isinstance(number, bool)):
        return number
    raise _Refused(2, "Invalid request: request ID must be an unsigned integer")


def _stream_names(params: object) -> list[str]:
    if not isinstance(params, list) or not params or not all(isinstance(stream, str) for stream in params):
        raise _Refused(2, "Invalid request: stream name must be a string")
    if not all(_NAMED.match(stream) for stream in params):
        raise _Refused(2, "Invalid request: invalid stream")
    return params


def _encoded(answer: dict[str, object]) -> str:
    return msgspec.json.encode(answer).decode()
