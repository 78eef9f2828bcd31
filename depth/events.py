"""The exchange's messages, read once: stream frames into events, REST bodies into anchors.

Prices and amounts arrive as decimal text and are kept as float64: both have at most 15 significant digits, so a float
names exactly one decimal, and one price written in two ways is one level. `buckets.scaled` turns them back into the
exact integers that are summed.
"""

from typing import Annotated

import msgspec

from depth.errors import MalformedFrame

Price = Annotated[float, msgspec.Meta(gt=0, lt=1e15)]
Amount = Annotated[float, msgspec.Meta(ge=0, lt=1e15)]
Level = tuple[Price, Amount]
_UpdateId = Annotated[int, msgspec.Meta(ge=0)]

_MICROSECONDS = 10**15


class Event(msgspec.Struct, frozen=True, gc=False):
    """One `depthUpdate`: what changed between two update ids.

    Attributes:
        market: the exchange's name, ``BTCUSDT``.
        first_id: Binance's U.
        last_id: Binance's u.
        time: E in ms; µs are floored.
        bids: changed bid levels, price and absolute amount; amount 0 removes.
        asks: changed ask levels.
        raw: the frame as it came; it can be parsed again, which is how the last minute is kept.
    """

    market: str
    first_id: int
    last_id: int
    time: int
    bids: list[Level]
    asks: list[Level]
    raw: str


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


class Frame(msgspec.Struct, gc=False):
    """Any message of the stream; absent keys keep their defaults, unknown keys are skipped."""

    e: str = ""
    s: str = ""
    E: int = 0
    U: int = 0
    u: int = 0
    b: list[Level] = []
    a: list[Level] = []
    id: int | str | None = None
    result: list[str] | None = None
    data: "Frame | None" = None


_frame = msgspec.json.Decoder(Frame, strict=False)


def parse_frame(raw: str) -> Frame:
    """Read one frame, bare or wrapped in ``{"stream": …, "data": …}``.

    Returns:
        The inner message: `e` names its type, ``""`` for answers to requests.

    Raises:
        MalformedFrame: not JSON, or a field that cannot be what Binance documents.
    """
    try:
        frame = _frame.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedFrame(f"frame of {len(raw)} characters cannot be read ({error}): it is skipped") from error
    return frame.data or frame


def parse_event(raw: str) -> Event:
    """Read one `depthUpdate` frame.

    ``{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,
    "b":[["61737.63000000","0.00000000"]],"a":[["61837.64000000","1.54698000"]]}``

    Source: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#diff-depth-stream

    Raises:
        MalformedFrame: another type of message, or one that cannot be an event.
    """
    return to_event(parse_frame(raw), raw)


def to_event(frame: Frame, raw: str) -> Event:
    """Check a frame of type `depthUpdate` and name its fields.

    Raises:
        MalformedFrame: the ids or the time cannot be right.
    """
    if frame.e != "depthUpdate" or not 0 < frame.U <= frame.u or frame.E <= 0:
        raise MalformedFrame(f"frame e={frame.e!r} E={frame.E} U={frame.U} u={frame.u} is no event: it is skipped")
    time = frame.E // 1000 if frame.E >= _MICROSECONDS else frame.E
    return Event(frame.s, frame.U, frame.u, time, frame.b, frame.a, raw)


def to_anchor(body: object) -> Anchor:
    """Read a decoded REST depth body.

    Raises:
        MalformedFrame: not a depth body.
    """
    try:
        return msgspec.convert(body, Anchor, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedFrame(f"the snapshot cannot be read ({error}): it is asked for again") from error
