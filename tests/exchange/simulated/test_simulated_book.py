"""The exchange's book, events and texts."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth.exchange.simulated import Book, Diff
from depth.exchange.simulated.source import Level, decimal_text, made, merged, restamped, scaled

levels = st.dictionaries(st.integers(1, 20), st.integers(0, 2), max_size=5).map(lambda side: sorted(side.items()))


@st.composite
def stories(draw: st.DrawFn) -> list[Diff]:
    """Consecutive events of one market."""
    diffs: list[Diff] = []
    last_id = draw(st.integers(0, 5))
    for slot in range(draw(st.integers(1, 4))):
        first_id, last_id = last_id + 1, last_id + draw(st.integers(1, 9))
        diffs.append(made("BTCUSDT", (first_id, last_id), 100 * slot + 1, draw(levels), draw(levels)))
    return diffs


def played(diffs: Sequence[Diff]) -> Book:
    book = Book(diffs[0].first_id - 1, [], [])
    for diff in diffs:
        book.apply(diff)
    return book


def sides(book: Book) -> tuple[dict[int, int], dict[int, int], int]:
    return book.bids, book.asks, book.last_id


@given(st.integers(0, 10**16))
def test_scaled_numbers_and_their_text_are_the_same_number(value: int) -> None:
    assert scaled(decimal_text(value)) == value


@pytest.mark.parametrize(("text", "value"), [("1", 10**8), ("0.1", 10**7), ("61837.63000000", 6183763000000)])
def test_shorter_text_is_the_same_number(text: str, value: int) -> None:
    assert scaled(text) == value


@pytest.mark.parametrize("text", ["0.123456789", "x", "", "-1", "1.x"])
def test_text_that_cannot_be_kept_exactly_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"decimal|invalid literal"):
        scaled(text)


@given(stories())
def test_a_merged_event_does_what_its_parts_do(diffs: list[Diff]) -> None:
    assert sides(played([merged(diffs)])) == sides(played(diffs))


@given(stories())
def test_a_merged_event_has_ids_and_time_from_first_to_last(diffs: list[Diff]) -> None:
    one = merged(diffs)
    assert (one.first_id, one.last_id, one.time) == (diffs[0].first_id, diffs[-1].last_id, diffs[-1].time)
    event = json.loads(one.payload)
    assert (event["U"], event["u"], event["E"], event["s"]) == (one.first_id, one.last_id, one.time, one.market)


@given(stories())
def test_an_event_that_is_in_the_book_already_changes_nothing(diffs: list[Diff]) -> None:
    assert sides(played([*diffs, *diffs])) == sides(played(diffs))


@given(stories())
def test_a_book_cut_inside_an_event_reaches_the_whole_state_with_that_event(diffs: list[Diff]) -> None:
    *before, last = diffs
    book = played(before) if before else Book(last.first_id - 1, [], [])
    cut = book.cut(last)
    assert cut.last_id == book.last_id or last.first_id <= cut.last_id < last.last_id
    cut.apply(last)
    assert sides(cut) == sides(played(diffs))


def test_a_cut_holds_a_part_of_the_event_and_not_the_whole() -> None:
    for last_id in range(20, 34):
        diff = made("BTCUSDT", (11, last_id), 1, [(1, 1), (2, 1)], [(8, 1), (9, 1)])
        cut = Book(10, [], []).cut(diff)
        assert 1 <= len(cut.bids) + len(cut.asks) <= 3
        assert 11 <= cut.last_id < last_id


def test_a_cut_is_never_crossed() -> None:
    """The price jumps over old asks: their removal comes before the new bids."""
    rise: list[Level] = [(price, 1) for price in range(15, 25)]
    taken: list[Level] = [(price, 0) for price in range(11, 26)]
    for last_id in range(20, 34):
        book = Book(10, [(10, 1)], [(price, 1) for price in range(11, 40)])
        cut = book.cut(made("BTCUSDT", (11, last_id), 1, rise, taken))
        assert max(cut.bids) < min(cut.asks)


def test_a_book_with_edges_tells_equal_numbers_of_levels_within_them() -> None:
    book = Book(1, [(price, 1) for price in (1, 5, 6, 7)], [(price, 1) for price in (10, 11, 12, 13, 14, 99)])
    book.bid_edge, book.ask_edge = 5, 14
    assert book.known() == ([(7, 1), (6, 1), (5, 1)], [(10, 1), (11, 1), (12, 1)])


def test_only_the_event_time_is_rewritten() -> None:
    payload = '{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":1,"b":[],"a":[]}'
    assert restamped(payload, "22") == payload.replace('"E":1', '"E":22')
