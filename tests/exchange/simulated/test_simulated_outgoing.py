"""From events to one socket's frames."""

import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from depth.exchange.simulated.outgoing import Outgoing, SocketFaults
from depth.exchange.simulated.source import Diff, made
from depth.exchange.simulated.subscriptions import Subscriptions
from tests.exchange.simulated.client import FAST


def event(slot: int, market: str = "BTCUSDT") -> Diff:
    return made(market, (10 * slot + 1, 10 * slot + 10), 1_000_014 + 100 * slot, [(slot + 1, 5)], [])


def socket(faults: SocketFaults | None = None, batch: int = 1, stream: str = FAST) -> Outgoing:
    return Outgoing(Subscriptions([stream]), faults or SocketFaults(), batch)


def sent(outgoing: Outgoing, slots: list[int]) -> list[dict[str, Any]]:
    return [json.loads(frame) for slot in slots for frame in outgoing.take(event(slot))]


def ids(frames: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(frame["U"], frame["u"]) for frame in frames]


def test_an_event_goes_out_as_it_is() -> None:
    assert socket().take(event(1)) == [event(1).payload]


def test_other_markets_are_not_told() -> None:
    assert socket().take(event(1, "ETHUSDT")) == []


def test_a_combined_stream_is_wrapped() -> None:
    wrapping = Outgoing(Subscriptions([FAST], combined=True), SocketFaults())
    assert wrapping.take(event(1)) == [f'{{"stream":"{FAST}","data":{event(1).payload}}}']


def test_pairs_of_slots_become_one_event() -> None:
    frames = sent(socket(batch=2), [0, 1, 2, 3])
    assert ids(frames) == [(1, 20), (21, 40)]
    assert [frame["E"] for frame in frames] == [event(1).time, event(3).time]


def test_a_pair_with_a_quiet_slot_goes_out_when_its_time_is_over() -> None:
    outgoing = socket(batch=2)
    assert sent(outgoing, [0]) == []
    assert outgoing.flush(1_000_199) == []
    assert ids([json.loads(frame) for frame in outgoing.flush(1_000_200)]) == [(1, 10)]
    assert outgoing.flush() == []


def test_the_slow_stream_tells_once_a_second() -> None:
    frames = sent(socket(stream="btcusdt@depth"), list(range(20)))
    assert ids(frames) == [(1, 100), (101, 200)]


@given(st.lists(st.integers(0, 60), unique=True, min_size=1).map(sorted), st.integers(1, 5))
def test_merging_loses_nothing_and_keeps_the_order(slots: list[int], batch: int) -> None:
    outgoing = socket(batch=batch)
    frames = sent(outgoing, slots) + [json.loads(frame) for frame in outgoing.flush()]
    told = [price for frame in frames for price, _ in sorted(frame["b"])]
    assert told == [json.loads(event(slot).payload)["b"][0][0] for slot in slots]
    assert all(early["u"] < late["U"] for early, late in itertools.pairwise(frames))


def test_dropped_events_are_not_sent() -> None:
    assert ids(sent(socket(SocketFaults(drop=2)), [0, 1, 2])) == [(21, 30)]


def test_duplicated_events_are_sent_twice() -> None:
    assert ids(sent(socket(SocketFaults(duplicate=1)), [0, 1])) == [(1, 10), (1, 10), (11, 20)]


def test_a_truncated_event_is_half_its_text() -> None:
    outgoing = socket(SocketFaults(truncate=1))
    text = event(0).payload
    assert outgoing.take(event(0)) == [text[: len(text) // 2]]
    assert outgoing.take(event(1)) == [event(1).payload]


def test_times_in_microseconds_have_16_digits_and_the_same_millisecond() -> None:
    (frame,) = sent(socket(SocketFaults(microseconds=True)), [1])
    assert frame["E"] // 1_000 == event(1).time
    assert frame["E"] % 1_000 == event(1).last_id % 1_000


def test_a_wrong_time_is_wrong_once() -> None:
    frames = sent(socket(SocketFaults(moved=1, moved_ms=-3_000)), [0, 1])
    assert [frame["E"] for frame in frames] == [event(0).time - 3_000, event(1).time]
