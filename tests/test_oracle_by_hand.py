"""The oracle is held against small books whose rows can be worked out on paper."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests import oracle
from tests.oracle import HoleError, KnownRange, OracleBook, Shape

SHAPE = Shape(step=0.00002, steps=40)


def event(u: int, time: int, bids: Sequence[str] = (), asks: Sequence[str] = (), *, first: int = 0) -> dict[str, Any]:
    """Write an event of one id (or from `first` on) with levels as "price amount"."""
    return {"U": first or u, "u": u, "E": time, "b": [level.split() for level in bids], "a": [a.split() for a in asks]}


def body(update_id: int, bids: Sequence[str], asks: Sequence[str]) -> dict[str, Any]:
    """Write a REST body with levels as "price amount"."""
    return {"lastUpdateId": update_id, "bids": [level.split() for level in bids], "asks": [a.split() for a in asks]}


class TestRowsByHand:
    """Small books whose rows can be worked out on paper. A tick of 0.01 at 100.00 is five buckets of 0.00002."""

    def test_the_text_of_both_columns(self) -> None:
        """Compact JSON in DESIGN's key order, floats by repr, null where not known; price by repr of the mid."""
        snapshot = body(10, ["100.00 1.5", "99.99 2"], ["100.01 3", "100.02 1", "100.03 1"])
        events = [event(10, 1000), event(11, 2001)]
        shape = Shape(0.0001, 3)
        rows = oracle.sample(events, snapshot, shape).rows
        assert sorted(rows) == [1, 2]
        assert rows[1].orderbook == (
            '{"epoch":1,"bid_buckets":[150.0,199.98,0.0],"ask_buckets":[400.05,null,null],'
            '"best_bid":100.0,"best_ask":100.01,"step_pct":0.0001,"num_steps":3}'
        )
        assert rows[1].price == "100.005"
        assert (rows[1].covered, rows[1].event_time, rows[1].update_id, rows[1].closed_by) == ((3, 1), 1000, 10, 11)

    def test_an_event_on_the_second_is_in_that_seconds_row(self) -> None:
        """The row of T holds E == T*1000 and not E == T*1000 + 1."""
        events = [event(11, 900), event(12, 1000, ["99 7"]), event(13, 1001, ["99 8"]), event(14, 2000, ["99 9"])]
        sampling = oracle.sample([*events, event(15, 2001)], body(10, ["100 1", "90 1"], ["101 1"]), SHAPE)
        assert {epoch: row.update_id for epoch, row in sampling.rows.items()} == {1: 12, 2: 14}

    def test_the_last_second_is_not_proved(self) -> None:
        """Without an event of E > T*1000 there is no row of T, also if E == T*1000 came."""
        snapshot = body(10, ["100 1"], ["101 1", "102 1"])
        assert oracle.sample([event(11, 900), event(12, 1000)], snapshot, SHAPE).epochs == []

    def test_a_second_before_the_chain_has_no_row(self) -> None:
        """The chain starts at its first event: E=1500 says nothing of T=1."""
        assert oracle.sample([event(11, 1500), event(12, 2500)], body(10, ["9 1"], ["10 1"]), SHAPE).epochs == [2]

    def test_epochs_are_multiples_of_the_interval(self) -> None:
        """With interval 5 only 5 and 10 are epochs of these eleven seconds."""
        snapshot = body(10, ["9 1"], ["10 1"])
        assert oracle.sample([event(11, 1000), event(12, 12_000)], snapshot, SHAPE, interval=5).epochs == [5, 10]

    def test_an_older_e_takes_the_time_of_the_event_before_it(self) -> None:
        """E=990 after E=1010 counts as 1010: the row of T=1 holds neither."""
        events = [event(11, 900), event(12, 1010), event(13, 990), event(14, 1100), event(15, 2000), event(16, 2100)]
        rows = oracle.rows(events, body(10, ["9 1"], ["10 1"]), 0.00002, 40)
        assert {epoch: row.update_id for epoch, row in rows.items()} == {1: 11, 2: 15}
        assert oracle.event_times(events)[:4] == [900, 1010, 1010, 1100]

    def test_an_event_before_the_snapshot_still_bounds_the_times_after_it(self) -> None:
        """The snapshot holds E=1010, so a first event of E=990 cannot prove the second 1."""
        events = [event(10, 1010), event(11, 990), event(12, 1100), event(13, 2100)]
        assert oracle.sample(events, body(11, ["9 1"], ["10 1"]), SHAPE).epochs == [2]

    def test_e_of_16_digits_is_microseconds_floored(self) -> None:
        """1723161255999999 µs is 1723161255999 ms."""
        assert oracle.event_times([event(1, 1723161255999999)]) == [1723161255999]

    def test_quiet_is_filled_up_to_300_s_and_a_longer_silence_has_no_row(self) -> None:
        """300,000 ms give 300 rows of the same book; 300,001 ms give none, all `silent`, and sampling goes on."""
        events = [event(11, 1000), event(12, 301_000), event(13, 601_001), event(14, 602_500)]
        sampling = oracle.sample(events, body(10, ["9 1"], ["10 1"]), SHAPE)
        assert sorted(sampling.rows) == [*range(1, 301), 602]
        assert sampling.absent == dict.fromkeys(range(301, 602), "silent")

    @pytest.mark.parametrize(
        ("change", "cause"),
        [
            (event(11, 1000, ["9 0", "8 1"]), "unanchored"),
            (event(11, 1000, [], ["10 0", "11 1"]), "unanchored"),
            (event(11, 1000, ["9 0"]), "one-sided"),
            (event(11, 1000, ["9 0", "8 1"], ["10 0"]), "unanchored"),
            (event(11, 1000, ["10 1"]), "crossed"),
            (event(11, 1000, ["10.5 1"]), "crossed"),
        ],
    )
    def test_no_row_and_its_cause(self, change: dict[str, Any], cause: str) -> None:
        """A best outside the known range, an empty side, best bid >= best ask; the first of them in DESIGN's order."""
        sampling = oracle.sample([change, event(12, 2000)], body(10, ["9 1"], ["10 1"]), SHAPE)
        assert (sampling.rows, sampling.absent) == ({}, {1: cause})

    def test_a_best_on_the_edge_is_known_and_all_its_buckets_are_not(self) -> None:
        """The edge is inclusive, and its own bucket, here the first, is null."""
        row = oracle.sample([event(11, 1000), event(12, 2000)], body(10, ["9 1"], ["10 1"]), SHAPE).rows[1]
        assert row.covered == (0, 0)
        assert row.bid_buckets == [None] * 40

    def test_levels_beyond_the_edge_are_never_summed(self) -> None:
        """A bid that shows up in the bucket of the edge or behind it stays null, whatever it holds."""
        snapshot = body(10, ["100.00 1", "99.99 1"], ["100.01 1", "100.02 1"])
        row = oracle.sample([event(11, 1000, ["99.98 5"]), event(12, 2000)], snapshot, Shape(0.0001, 4)).rows[1]
        assert row.bid_buckets == [100.0, None, None, None]

    def test_the_shorter_side_of_a_body_is_unbounded(self) -> None:
        """One bid and two asks: the exchange has no other bid, so every bid bucket is known."""
        assert oracle.known_range(body(1, ["9 1"], ["10 1", "11 1"])) == KnownRange(None, Decimal(11))
        assert oracle.known_range(body(1, ["9 1", "8 1"], ["10 1"])) == KnownRange(Decimal(8), None)
        assert oracle.known_range(body(1, ["9 1"], ["10 1"])) == KnownRange(Decimal(9), Decimal(10))
        assert oracle.known_range(body(1, [], ["10 1"])) == KnownRange(None, Decimal(10))

    def test_one_price_written_in_two_ways_is_one_level(self) -> None:
        """A "100.0" deletes the "100.00000000", and "99999" is less than "100001"."""
        book = OracleBook(body(10, ["100.00000000 1", "99999 1", "100001 1"], []))
        book.apply(event(11, 1, ["100.0 0"]))
        assert book.best() == (Decimal(100001), None)
        assert sorted(book.bids) == [99999, 100001]

    @pytest.mark.parametrize(
        ("total", "places", "expected"),
        [
            ("0.005", 2, 0.0),
            ("0.015", 2, 0.02),
            ("0.025", 2, 0.02),
            ("0.0250000000000001", 2, 0.03),
            ("2.675", 2, 2.68),
            ("0.000000005", 8, 0.0),
            ("0.000000015", 8, 2e-08),
        ],
    )
    def test_values_are_rounded_half_even(self, total: str, places: int, expected: float) -> None:
        """Ties go to the even cent, by decimal digits and not by the binary neighbour."""
        assert oracle.value(Decimal(total), places) == expected

    def test_an_inexact_sum_raises(self) -> None:
        """The oracle's sums are exact or fail; 28 digits, Decimal's default, would not be enough."""
        price, amount = Decimal("123456789.12345678"), Decimal("98765432109.87654321")
        assert oracle.EXACT.multiply(price, amount) == Fraction(price) * Fraction(amount)
        assert price * amount != Fraction(price) * Fraction(amount)

    def test_a_hole_raises(self) -> None:
        """Neither a snapshot older than the stream nor a stream with missing ids is joined."""
        with pytest.raises(HoleError):
            oracle.sample([event(12, 1000)], body(10, ["9 1"], ["10 1"]), SHAPE)
        with pytest.raises(HoleError):
            oracle.sample([event(11, 1000), event(13, 1100)], body(10, ["9 1"], ["10 1"]), SHAPE)
