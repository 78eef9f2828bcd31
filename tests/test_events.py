"""The exchange's messages: what is read, and what is refused."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from depth.errors import MalformedFrame
from depth.events import Anchor, Message, parse, parse_anchor

In = TypeVar("In")
Out = TypeVar("Out")

QUICKLY = settings(max_examples=100, deadline=None)

EVENT: dict[str, Any] = {
    "e": "depthUpdate",
    "E": 1723161255208,
    "s": "BTCUSDT",
    "U": 50093239189,
    "u": 50093239202,
    "b": [["61737.63000000", "0.00000000"]],
    "a": [["61837.64000000", "1.54698000"]],
}
BODY: dict[str, Any] = {"lastUpdateId": 50093239218, "bids": [["61837.63", "3.78826"]], "asks": [["61837.64", "1"]]}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["1", "NaN"])
shapes = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from([*EVENT, *BODY, "id", "result", "data", "stream", "raw", "new"]), inner),
    ),
    max_leaves=12,
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Draw a good frame with a stretch of it replaced: cut off, doubled, or overwritten with anything."""
    text = json.dumps(EVENT if draw(st.booleans()) else {"stream": "btcusdt@depth@100ms", "data": EVENT})
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, len(text)))
    return text[:start] + draw(st.text(max_size=5)) + text[end:]


def message_or_reason(read: Callable[[In], Out], text: In) -> Out | str:
    """Give what was read, or why it is malformed."""
    try:
        return read(text)
    except MalformedFrame as error:
        return str(error)


def frame(**changes: object) -> str:
    """Write the event with other fields."""
    return json.dumps(EVENT | changes)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.binary().map(lambda data: data.decode(errors="surrogateescape")),
        damaged(),
        shapes.map(json.dumps),
        st.fixed_dictionaries({}, optional=dict.fromkeys(EVENT, shapes)).map(lambda some: json.dumps(EVENT | some)),
    )
)
@example("")
@example("null")
@example('{"data":' * 100_000)
@example('{"new":' + "[" * 100_000)
@example(json.dumps(EVENT)[:-1])
@example(frame(E=10**19))
@example(frame(s="\ud800"))
@example(frame(b=[["\ud800", "1"]]))
@example('{"e":"\ud800"}')
@example(json.dumps(EVENT).replace("1723161255208", "9" * 5000))
def test_any_text_is_a_message_or_malformed(raw: str) -> None:
    """No other exception can reach the receive loop, and what is said is one line."""
    read = message_or_reason(parse, raw)
    if isinstance(read, str):
        assert "\n" not in read
        assert len(read) < 300
    else:
        assert isinstance(read, Message)
        assert read.raw == raw
        assert read.kind != "depthUpdate" or 0 < read.first_id <= read.last_id


def test_bytes_that_are_no_text_are_malformed() -> None:
    """A frame of broken UTF-8 raises what broken JSON raises."""
    with pytest.raises(MalformedFrame):
        parse(b'{"e":"\xff"}')  # type: ignore[arg-type]  # what a careless caller would pass


def test_an_event_is_read_into_numbers() -> None:
    """Each documented key of a bare frame, amounts of 0 too."""
    event = parse(json.dumps(EVENT))
    assert (event.kind, event.market, event.time) == ("depthUpdate", "BTCUSDT", 1723161255208)
    assert (event.first_id, event.last_id) == (50093239189, 50093239202)
    assert (event.bids, event.asks) == ([(61737.63, 0.0)], [(61837.64, 1.54698)])


def test_a_wrapped_event_is_the_bare_one() -> None:
    """Combined streams wrap frames in {stream, data}; the message is the same but for its text."""
    bare, wrapped = parse(json.dumps(EVENT)), parse(json.dumps({"stream": "btcusdt@depth@100ms", "data": EVENT}))
    wrapped.raw = bare.raw
    assert wrapped == bare


@pytest.mark.parametrize("wrap", [False, True])
def test_a_frame_can_be_read_again_from_its_text(wrap: bool) -> None:  # noqa: FBT001  (a parameter of pytest)
    """`raw` gives the same message: this is how the last minute is kept."""
    event = parse(json.dumps({"stream": "x", "data": EVENT} if wrap else EVENT))
    assert parse(event.raw) == event


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        (1723161255208, 1723161255208),
        (1723161255208000, 1723161255208),
        (1723161255208999, 1723161255208),
        (1, 1),
        (9_999_999_999_999, 9_999_999_999_999),
        (9_999_999_999_999_999, 9_999_999_999_999),
    ],
)
def test_microseconds_are_floored_to_milliseconds(written: int, ms: int) -> None:
    """E of 16 digits is µs."""
    assert parse(frame(E=written)).time == ms


def test_unknown_keys_are_tolerated() -> None:
    """In the event, in the wrapper and in the REST body."""
    more = EVENT | {"T": 1, "pu": None, "new": {"b": [1]}}
    assert parse(json.dumps({"stream": "x", "data": more, "v": [2]})).bids == [(61737.63, 0.0)]
    assert parse_anchor(json.dumps(BODY | {"T": 1, "E": {}})).last_id == 50093239218


def test_empty_sides_are_an_event() -> None:
    """A slot may change one side or none."""
    event = parse(frame(b=[], a=[]))
    assert (event.bids, event.asks) == ([], [])


def test_levels_may_be_numbers_too() -> None:
    """A server that writes numbers instead of text says the same."""
    assert parse(frame(b=[[61737.63, 0]])).bids == [(61737.63, 0.0)]


def test_an_amount_of_minus_zero_removes_the_level() -> None:
    """It is 0, whatever its sign."""
    [(_, amount)] = parse(frame(b=[["1", "-0.0"]])).bids
    assert not amount


BAD_NUMBERS = ["NaN", "nan", "inf", "-inf", "Infinity", "-1", "1e400", "1e15", "1" + "0" * 400, "", " 1", "0x1", "null"]


@pytest.mark.parametrize("side", ["b", "a"])
@pytest.mark.parametrize(
    "level", [[bad, "1"] for bad in [*BAD_NUMBERS, "0", "-0"]] + [["1", bad] for bad in BAD_NUMBERS]
)
def test_a_level_that_is_no_price_and_amount_is_refused(side: str, level: list[str]) -> None:
    """NaN, infinity, a sign, too many digits: the frame is malformed, and so is a body with such a level."""
    with pytest.raises(MalformedFrame):
        parse(frame(**{side: [["1", "1"], level]}))
    with pytest.raises(MalformedFrame):
        parse_anchor(json.dumps(BODY | {{"b": "bids", "a": "asks"}[side]: [["1", "1"], level]}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1", "true", "null", "1" + "0" * 5000])
def test_a_bare_number_that_is_no_price_is_refused(number: str) -> None:
    """The same without quotes."""
    with pytest.raises(MalformedFrame):
        parse(frame(b=[]).replace('"b": []', f'"b": [[{number},"1"]]'))


@pytest.mark.parametrize("level", [["1"], ["1", "2", "3"], [], "1", {"1": "2"}, None])
def test_a_level_is_a_pair(level: object) -> None:
    """Anything else is no level."""
    with pytest.raises(MalformedFrame):
        parse(frame(b=[level]))


@pytest.mark.parametrize(
    "changes",
    [
        {"U": 0},
        {"U": -1},
        {"U": 50093239203},
        {"U": None},
        {"U": 1.5},
        {"u": 2**63},
        {"u": 10**30},
        {"U": 10**30, "u": 10**30},
        {"E": 0},
        {"E": -1},
        {"E": 1.5},
        {"E": True},
        {"E": "soon"},
        {"E": 10**13},
        {"E": 10**15 - 1},
        {"E": 10**16},
        {"E": 10**18},
        {"E": 10**30},
        {"e": 5},
        {"b": None},
        {"b": {}},
    ],
)
def test_an_event_that_cannot_be_right_is_refused(changes: dict[str, object]) -> None:
    """Ids that are not U <= u below 2**63; times that are neither ms nor µs, which would hold up every later epoch."""
    with pytest.raises(MalformedFrame):
        parse(frame(**changes))


@pytest.mark.parametrize("key", ["E", "U", "u"])
def test_an_event_without_time_or_ids_is_refused(key: str) -> None:
    """What cannot be ordered is no event."""
    with pytest.raises(MalformedFrame, match="it is skipped"):
        parse(json.dumps({name: value for name, value in EVENT.items() if name != key}))


def test_other_messages_are_messages() -> None:
    """serverShutdown, answers to requests, and errors come through with what matters in them."""
    assert parse('{"e":"serverShutdown","E":1770123456789}').kind == "serverShutdown"
    answer = parse('{"result":["btcusdt@depth@100ms"],"id":2}')
    assert (answer.id, answer.result) == (2, ["btcusdt@depth@100ms"])
    assert parse('{"result":null,"id":1}').id == 1
    assert parse('{"error":{"code":2,"msg":"Invalid request"},"id":"x"}').kind == ""


def test_a_body_is_read_into_numbers() -> None:
    """The update id and both sides, best first."""
    assert parse_anchor(json.dumps(BODY)) == Anchor(50093239218, [(61837.63, 3.78826)], [(61837.64, 1.0)])


@QUICKLY
@given(
    st.text()
    | (shapes | st.fixed_dictionaries({}, optional=dict.fromkeys(BODY, shapes)).map(lambda some: BODY | some)).map(
        json.dumps
    )
)
@example('{"lastUpdateId":1,"bids":[["\ud800","1"]],"asks":[]}')
@example(json.dumps({"lastUpdateId": 1, "bids": [["\ud800", "1"]], "asks": []}))
@example(json.dumps(BODY)[:-1])
@example('{"bids":' + "[" * 100_000)
@example('{"new":' + "[" * 100_000)
@example(json.dumps(BODY).replace("50093239218", "9" * 5000))
@example("<html>")
def test_any_body_is_an_anchor_or_malformed(body: str) -> None:
    """Whatever a proxy answers, JSON or not."""
    read = message_or_reason(parse_anchor, body)
    assert isinstance(read, Anchor) or ("\n" not in read and len(read) < 300)


@pytest.mark.parametrize("last_id", [-1, 1.5, None, "x", 2**63, 10**30])
def test_a_body_needs_an_update_id(last_id: object) -> None:
    """One that no stream could ever reach would be waited for."""
    with pytest.raises(MalformedFrame, match="asked for again"):
        parse_anchor(json.dumps(BODY | {"lastUpdateId": last_id}))
