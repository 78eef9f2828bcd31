"""One market being played: order, bodies ahead of the stream, halts, new ids."""

import json
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth.exchange.simulated import Diff, SyntheticSource
from depth.exchange.simulated.playing import Pace, Play
from tests.exchange.simulated.client import START


def play() -> Play:
    source = SyntheticSource(seed=5, start=START).placed(START, 1.0)
    return Play(source, source.listings[0])


@given(st.floats(0.1, 100), st.integers(0, 10**6))
def test_market_time_and_clock_are_inverse(speed: float, elapsed_ms: int) -> None:
    pace = Pace(START, 10.0, speed)
    now = 10.0 + pace.seconds_until(START + elapsed_ms, 10.0)
    assert abs(pace.market_ms(now) - START - elapsed_ms) <= 1


def test_events_are_due_at_their_time_and_not_before() -> None:
    market = play()
    first = market.next_time
    assert first is not None
    assert market.due(first - 1) == []
    assert [diff.time for diff in market.due(first)] == [first]
    assert market.delivered_id > 0


def test_no_more_than_asked_for_at_once() -> None:
    market = play()
    assert len(market.due(START + 10_000, at_most=7)) == 7
    assert not market.ended


def test_a_body_holds_what_happened_until_its_time_and_the_stream_still_tells_it() -> None:
    market = play()
    delivered = market.due(START + 1_000)[-1]
    body = json.loads(market.body(100, START + 1_300) or "")
    told = market.due(START + 1_300)
    assert len(told) == 3
    assert body["lastUpdateId"] == told[-1].last_id > delivered.last_id


def test_a_cut_body_ends_inside_the_event_that_comes_next() -> None:
    market, inside = play(), 0
    for slot in range(1, 20):
        body = json.loads(market.body(100, START + 100 * slot, cut=True) or "")
        market.due(START + 100 * slot)
        following = market.due(START + 100 * slot + 1_000, 1)[0]
        assert following.first_id - 1 <= body["lastUpdateId"] < following.last_id
        inside += following.first_id <= body["lastUpdateId"]
    assert inside > 15


def test_the_book_at_an_id_is_the_opening_and_all_events_up_to_it() -> None:
    market = play()
    last = market.due(START + 2_000)[-1]
    told = json.loads(market.body(5_000, START + 2_000) or "")
    truth = market.book_at(last.last_id)
    assert (told["lastUpdateId"], len(truth.known()[0])) == (truth.last_id, len(truth.bids))
    with pytest.raises(LookupError, match="ends with update id"):
        market.book_at(last.last_id - 1)


def test_a_halted_market_is_silent_and_goes_on_where_it_was() -> None:
    market = play()
    before = market.due(START + 1_000)[-1]
    market.halted = True
    assert (market.next_time, market.due(START + 9_000)) == (None, [])
    body = json.loads(market.body(100, START + 9_000) or "")
    assert body["lastUpdateId"] == before.last_id
    market.resume(8_050)
    after = market.due(START + 60_000)[0]
    assert after.first_id == before.last_id + 1
    assert after.time >= START + 9_050
    assert (after.time - before.time) % 100 == 0
    assert json.loads(after.payload)["E"] == after.time


def test_ids_begin_again_in_stream_and_bodies() -> None:
    market = play()
    before = market.due(START + 1_000)[-1]
    market.body(100, START + 1_200)
    market.reset_ids()
    after = market.due(START + 2_000)
    assert after[0].first_id == 1
    assert json.loads(after[0].payload)["U"] == 1
    assert json.loads(after[-1].payload)["u"] == after[-1].last_id < before.last_id
    assert json.loads(market.body(100, START + 2_000) or "")["lastUpdateId"] == after[-1].last_id
    assert market.book_at(after[-1].last_id).bids


def test_a_stale_body_is_older_than_every_event() -> None:
    market = play()
    first = market.due(START + 5_000)[0]
    assert json.loads(market.stale_body(10) or "")["lastUpdateId"] < first.first_id


def test_a_source_that_ends_ends_the_play() -> None:
    class Short(SyntheticSource):
        def diffs(self, market: str) -> Iterator[Diff]:
            yield from islice(SyntheticSource.diffs(self, market), 3)

    source = Short(start=START)
    market = Play(source, source.listings[0])
    assert len(market.due(START + 10_000)) == 3
    assert market.ended
    assert market.next_time is None
