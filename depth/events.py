"""The exchange's messages, read once: stream frames into events, REST bodies into anchors.

Prices and amounts arrive as decimal text and are kept as float64: both have at most 15 significant digits, so a float
names exactly one decimal, and one price written in two ways is one level. `buckets.scaled` turns them back into the
exact integers that are summed.
"""

from typing import Annotated, Any

import msgspec

from depth.errors import MalformedFrame

Price = Annotated[float, msgspec.Meta(gt=0, lt=1e15)]
Amount = Annotated[float, msgspec.Meta(ge=0, lt=1e15)]
Level = tuple[Price, Amount]

_LARGEST_ID = 2**63 - 1
_UpdateId = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_ID)]

_MICROSECONDS = 10**15
# Ten digits of seconds, as in a row key. A later time cannot be true, and would hold up every epoch until then.
_LATEST = 10**13


class Message(
    msgspec.Struct,
    gc=False,
    rename={"kind": "e", "time": "E", "market": "s", "first_id": "U", "last_id": "u", "bids": "b", "asks": "a"},
):
    """Any message of the stream; absent keys keep their defaults, unknown keys are skipped.

    Attributes:
        kind: ``depthUpdate`` for an event, ``serverShutdown``, …, ``""`` for an answer to a request.
        time: E in ms; µs are floored.
        market: the exchange's name, ``BTCUSDT``.
        first_id: Binance's U.
        last_id: Binance's u.
        bids: changed bid levels, price and absolute amount; amount 0 removes.
        asks: changed ask levels.
        raw: the frame as it came; it can be parsed again, which is how the last minute is kept.
        id: of the request that is answered.
        result: the streams subscribed to, in the answer to LIST_SUBSCRIPTIONS.
        error: code and text, in the answer to a request that was refused: ``{"code": 2, "msg": "Invalid request: …"}``.
        data: the message itself, where a combined stream wraps it.
    """

    kind: str = ""
    time: int = 0
    market: str = ""
    first_id: int = 0
    last_id: int = 0
    bids: list[Level] = []
    asks: list[Level] = []
    raw: str = ""
    id: int | str | None = None
    result: list[str] | None = None
    error: Any = None
    data: "Message | None" = None


# What changed in the book between two update ids: a Message of kind `depthUpdate` that `parse` has checked.
Event = Message


class Anchor(msgspec.Struct, frozen=True, gc=False, rename={"last_id": "lastUpdateId"}):
    """One REST depth body.

    ``{"lastUpdateId": 50093239218, "bids": [["61837.63000000", "3.78826000"], …], "asks": […]}``

    Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#order-book

    Attributes:
        last_id: the update id that the body holds.
        bids: bid levels, best first.
        asks: ask levels, best first.
    """

    last_id: _UpdateId
    bids: list[Level]
    asks: list[Level]


_decode = msgspec.json.Decoder(Message, strict=False).decode
_decode_anchor = msgspec.json.Decoder(Anchor, strict=False).decode


def parse(raw: str) -> Message:
    """Read one frame, bare or wrapped in ``{"stream": …, "data": …}``.

    ``{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,
    "b":[["61737.63000000","0.00000000"]],"a":[["61837.64000000","1.54698000"]]}``

    Source: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#diff-depth-stream

    Returns:
        The inner message.

    Raises:
        MalformedFrame: not JSON, or a field that cannot be what Binance documents.
    """
    try:
        message = _decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedFrame(f"frame of {len(raw)} characters cannot be read ({error}): it is skipped") from error
    message = message.data or message
    message.raw = raw
    if message.kind == "depthUpdate":
        if message.time >= _MICROSECONDS:
            message.time //= 1000
        if not (0 < message.first_id <= message.last_id <= _LARGEST_ID and 0 < message.time < _LATEST):
            ids = f"E={message.time} U={message.first_id} u={message.last_id}"
            raise MalformedFrame(f"event with {ids} cannot be right: it is skipped")
    return message


def parse_anchor(text: str) -> Anchor:
    """Read one REST depth body.

    Raises:
        MalformedFrame: not JSON, or not a depth body.
    """
    try:
        return _decode_anchor(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedFrame(f"the snapshot cannot be read ({error}): it is asked for again") from error
