"""Requests on a stream connection, answered in Binance's words."""

import json

import pytest

from depth.exchange.simulated.subscriptions import Subscriptions
from tests.exchange.simulated.client import FAST


def answered(subscriptions: Subscriptions, method: str, params: object = None, number: object = 1) -> dict[str, object]:
    request = {"method": method, "id": number} | ({} if params is None else {"params": params})
    answer = json.loads(subscriptions.answer(json.dumps(request)))
    assert isinstance(answer, dict)
    return answer


def test_the_answer_to_a_subscription_is_exactly_binances() -> None:
    request = '{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":7}'
    assert Subscriptions().answer(request) == '{"result":null,"id":7}'


def test_subscriptions_come_are_listed_and_go() -> None:
    mine = Subscriptions()
    answered(mine, "SUBSCRIBE", [FAST, "btcusdt@trade"])
    assert answered(mine, "LIST_SUBSCRIPTIONS", number=3) == {"result": [FAST, "btcusdt@trade"], "id": 3}
    assert mine.depth_streams("BTCUSDT") == [(FAST, 1)]
    assert answered(mine, "UNSUBSCRIBE", [FAST, "never@subscribed"]) == {"result": None, "id": 1}
    assert mine.depth_streams("BTCUSDT") == []
    assert len(mine) == 1


def test_streams_of_the_path_are_subscribed_and_a_number_is_no_stream() -> None:
    assert len(Subscriptions(["0"])) == len(Subscriptions([""])) == 0
    assert Subscriptions([FAST, "btcusdt@depth"]).depth_streams("BTCUSDT") == [(FAST, 1), ("btcusdt@depth", 10)]


def test_frames_are_wrapped_once_asked_for() -> None:
    mine = Subscriptions([FAST])
    assert mine.framed(FAST, "{}") == "{}"
    assert answered(mine, "SET_PROPERTY", ["combined", True]) == {"result": None, "id": 1}
    assert answered(mine, "GET_PROPERTY", ["combined"]) == {"result": True, "id": 1}
    assert mine.framed(FAST, "{}") == f'{{"stream":"{FAST}","data":{{}}}}'


@pytest.mark.parametrize("number", [None, 0, 12, "abc12"])
def test_ids_of_every_documented_type_come_back(number: object) -> None:
    assert answered(Subscriptions(), "LIST_SUBSCRIPTIONS", number=number) == {"result": [], "id": number}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("no json", 3, "Invalid JSON"),
        ("[1]", 2, "missing field `method`"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"method":"SUB","id":1}', 2, "unknown variant `SUB`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`"),
        ('{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":{}}', 2, "request ID must be"),
        ('{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":true}', 2, "request ID must be"),
        ('{"method":"SUBSCRIBE","params":"btcusdt@depth","id":1}', 2, "stream name must be a string"),
        ('{"method":"SUBSCRIBE","id":1}', 2, "stream name must be a string"),
        ('{"method":"SUBSCRIBE","params":["not asdf"],"id":1}', 2, "invalid stream"),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1, "expected Boolean"),
        ('{"method":"GET_PROPERTY","params":["colour"],"id":1}', 0, "Unknown property"),
    ],
)
def test_bad_requests_get_code_and_reason(text: str, code: int, words: str) -> None:
    error = json.loads(Subscriptions().answer(text))["error"]
    assert error["code"] == code
    assert words in error["msg"]
