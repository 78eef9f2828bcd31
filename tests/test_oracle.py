"""The oracle is held against what was recorded beside the book: bookTicker, a second snapshot, and sums by hand.

Tests of the oracle alone (no code of the project): if one fails, the oracle is wrong and nothing may be judged by it.
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import pytest

from tests import oracle, recordings
from tests.oracle import OracleBook, Sampled, Shape

SHAPE = Shape(step=0.00002, steps=40)
LOWEST_KNOWN_BID = Decimal("61631.55")
"""Of the golden recording's snapshot."""
CENT = 10**14
"""A cent in units of 1e-16, the product of two numbers of 8 decimals."""
WINDOW = SHAPE.step * SHAPE.steps


def recorded(name: str) -> recordings.Recording:
    """Load a recording, or skip the calling test where there are none."""
    recordings.require()
    return recordings.load(name)


@cache
def sampled(name: str) -> Sampled:
    """Sample a recording at the default shape, once."""
    recording = recorded(name)
    return oracle.sample(recording.events, recording.snapshot, SHAPE)


class Top(NamedTuple):
    """After one applied event: the book's best levels, and the exchange's own by its latest bookTicker."""

    u: int
    time: int
    book: list[Decimal]
    ticker: list[Decimal]


@cache
def golden_tops() -> list[Top]:
    """Return every applied event's `Top` with the latest bookTicker of an id up to the event's."""
    recording = recorded(recordings.GOLDEN)
    tickers = list(recording.bookticker())
    ids = [ticker["u"] for ticker in tickers]
    book = OracleBook(recording.snapshot)
    return [
        Top(e["u"], e["E"], best_levels(book), ticker_levels(tickers[bisect_right(ids, e["u"]) - 1]))
        for e in recording.events
        if book.apply(e)
    ]


def best_levels(book: OracleBook) -> list[Decimal]:
    """Return best bid, its amount, best ask, its amount."""
    bid, ask = book.best()
    assert bid is not None
    assert ask is not None
    return [bid, book.bids[bid], ask, book.asks[ask]]


def ticker_levels(ticker: recordings.Json) -> list[Decimal]:
    """Return the same of a bookTicker message."""
    return [Decimal(ticker[key]) for key in "bBaA"]


class Level(NamedTuple):
    """A level in a row's window; `place` is its bucket, asks behind bids."""

    place: int
    price: Decimal
    amount: Decimal
    distance: Decimal


ORDERS: dict[str, Callable[[list[Level]], list[Level]]] = {
    "dict": lambda levels: levels,
    "best first": lambda levels: sorted(levels, key=lambda level: level.distance),
    "far first": lambda levels: sorted(levels, key=lambda level: -level.distance),
}


@cache
def window_levels(name: str) -> dict[int, list[Level]]:
    """Return the levels that each row of a covered recording sums, in the order of the book's dicts."""
    recording = recorded(name)
    rows_by_id: dict[int, list[int]] = {}
    for epoch, row in sampled(name).rows.items():
        rows_by_id.setdefault(row.update_id, []).append(epoch)
    book = OracleBook(recording.snapshot)
    found: dict[int, list[Level]] = {}
    for e in recording.events:
        if book.apply(e):
            for epoch in rows_by_id.get(e["u"], []):
                row = sampled(name).rows[epoch]
                found[epoch] = [
                    *levels_in_window(book.bids, row.best_bid, 0),
                    *levels_in_window(book.asks, row.best_ask, SHAPE.steps),
                ]
    return found


def levels_in_window(side: oracle.Side, best: Decimal, offset: int) -> Iterator[Level]:
    """Yield the levels of one side that fall into a bucket."""
    far = best / 1000  # the window is 0.0008: spares the logarithms of thousands of levels
    for price, amount in side.items():
        if abs(price - best) < far and (place := oracle.index(best, price, SHAPE.step)) < SHAPE.steps:
            yield Level(place + offset, price, amount, abs(price - best))


def whole_sums(levels: Sequence[Level]) -> list[int]:
    """Return the exact sum of every bucket in units of 1e-16, bids then asks."""
    totals = [0] * (2 * SHAPE.steps)
    for level in levels:
        totals[level.place] += int(level.price * 10**8) * int(level.amount * 10**8)
    return totals


def verified() -> recordings.Recording:
    """Return the recording with a second snapshot."""
    return recorded(recordings.VERIFIED)


def second_snapshot() -> recordings.Json:
    """Return that second snapshot."""
    snapshot = verified().verify_snapshot
    assert snapshot is not None
    return snapshot


class TestAgainstBookTicker:
    """The golden recording and the derived one carry the exchange's own best prices."""

    def test_the_book_has_the_exchanges_best_prices_and_amounts_but_for_two_ids(self) -> None:
        """Of 6,493 applied events only the two that ORIGIN.md names differ: best bids no client could know."""
        assert len(golden_tops()) == 6_493
        assert {top.u: (top.book[0], top.ticker[0]) for top in golden_tops() if top.book != top.ticker} == {
            50093478174: (Decimal("61564.91"), Decimal("61565.10")),
            50093480542: (Decimal("61556.04"), Decimal("61556.11")),
        }

    def test_both_wrong_best_bids_lie_outside_the_known_range(self) -> None:
        """What the book gets wrong is below the anchor's last bid, so no row can hold it."""
        wrong = [top.book[0] for top in golden_tops() if top.book != top.ticker]
        assert oracle.known_range(recorded(recordings.GOLDEN).snapshot).low_bid == LOWEST_KNOWN_BID
        assert all(best < LOWEST_KNOWN_BID for best in wrong)

    def test_every_row_has_the_exchanges_best_prices(self) -> None:
        """Each of the 560 rows' best bid and ask are bookTicker's at the row's own update id."""
        truth = {top.u: (top.ticker[0], top.ticker[2]) for top in golden_tops()}
        rows = sampled(recordings.GOLDEN).rows.values()
        assert len(rows) == 560
        assert all((row.best_bid, row.best_ask) == truth[row.update_id] for row in rows)

    def test_the_derived_book_equals_every_bookticker_of_its_own_ids(self) -> None:
        """450 tickers carry the u of an event; all agree in price and amount."""
        recording = recorded(recordings.DERIVED)
        tickers = {ticker["u"]: ticker for ticker in recording.bookticker()}
        book = OracleBook(recording.snapshot)
        agree = [
            best_levels(book) == ticker_levels(tickers[e["u"]])
            for e in recording.events
            if book.apply(e) and e["u"] in tickers
        ]
        assert agree == [True] * 450


class TestAgainstSecondSnapshot:
    """The 2026 recording was checked by its author with a second REST body."""

    def test_the_replayed_book_equals_it_inside_the_first_known_range(self) -> None:
        """At update id 96688021190 all 988 bids and 986 asks in the range agree, and the book has no others there."""
        recording = verified()
        second = second_snapshot()
        assert second["lastUpdateId"] == 96688021190
        known = oracle.known_range(recording.snapshot)
        book = oracle.book_at(recording.events, recording.snapshot, second["lastUpdateId"])
        assert book.update_id == second["lastUpdateId"]
        truth = OracleBook(second)
        assert known.low_bid is not None
        assert known.high_ask is not None
        true_bids = {price: amount for price, amount in truth.bids.items() if price >= known.low_bid}
        true_asks = {price: amount for price, amount in truth.asks.items() if price <= known.high_ask}
        assert (len(true_bids), len(true_asks)) == (988, 986)
        # The second body ends somewhere too: compare where both claim to know.
        both_low = max(known.low_bid, min(truth.bids))
        both_high = min(known.high_ask, max(truth.asks))
        assert {price: amount for price, amount in book.bids.items() if price >= both_low} == true_bids
        assert {price: amount for price, amount in book.asks.items() if price <= both_high} == true_asks

    def test_rows_of_both_anchors_agree(self) -> None:
        """Closed by a later event, the second snapshot's row is the row of a collector that has run since the first."""
        second = second_snapshot()
        until = [e for e in verified().events if e["u"] <= second["lastUpdateId"]]
        after = second["lastUpdateId"] + 1
        closing = {"U": after, "u": after, "E": until[-1]["E"] + 1000, "b": [], "a": []}
        epochs = range(1782785663, until[-1]["E"] // 1000 + 2)
        old = oracle.sample([*until, closing], verified().snapshot, SHAPE).rows
        new = oracle.sample([*until, closing], second, SHAPE).rows
        assert list(old) == list(epochs)
        assert list(new) == [epochs[-1]]
        assert new[epochs[-1]] == old[epochs[-1]]
        assert new[epochs[-1]].covered == (40, 40)

    def test_the_chain_starts_with_the_received_event_of_the_snapshots_own_id(self) -> None:
        """Event 17 has u == lastUpdateId: its time, not the next event's, is where the chain begins."""
        recording = verified()
        starts = [e for e in recording.events if e["u"] == recording.snapshot["lastUpdateId"]]
        assert [e["E"] for e in starts] == [1782785662714]
        assert sampled(recordings.VERIFIED).epochs[0] == 1782785663


class TestKnownRangeOfTheGoldenRecording:
    """The price falls 49 bp through the lowest bid that the 1,000-level snapshot knew."""

    def test_650_epochs_without_a_hole(self) -> None:
        """Every second of the recording is in the chain, across 00:00 UTC."""
        assert sampled(recordings.GOLDEN).epochs == list(range(1723161256, 1723161906))

    def test_283_of_650_epochs_have_nulls_or_no_row(self) -> None:
        """193 rows have a null bid bucket and 90 epochs have no row because the best bid is unknown."""
        result = sampled(recordings.GOLDEN)
        with_null = [row for row in result.rows.values() if None in row.bid_buckets + row.ask_buckets]
        assert (len(with_null), len(result.absent), len(result.rows)) == (193, 90, 560)
        assert set(result.absent.values()) == {"unanchored"}

    def test_nulls_are_exactly_where_the_window_leaves_the_known_range(self) -> None:
        """A row has a null where best*exp(-steps*step) is below the lowest known bid, and nowhere else."""
        for row in sampled(recordings.GOLDEN).rows.values():
            assert (None in row.bid_buckets) == (float(row.best_bid) * math.exp(-WINDOW) < LOWEST_KNOWN_BID)
            assert row.covered[1] == SHAPE.steps

    def test_rows_are_absent_exactly_where_the_true_best_bid_is_below_the_known_range(self) -> None:
        """The exchange's own bookTicker, which knows no snapshot, gives the same 90 epochs."""
        result = sampled(recordings.GOLDEN)
        times = [top.time for top in golden_tops()]
        true_best = {epoch: golden_tops()[bisect_right(times, epoch * 1000) - 1].ticker[0] for epoch in result.epochs}
        assert set(result.absent) == {epoch for epoch, best in true_best.items() if best < LOWEST_KNOWN_BID}

    def test_the_window_leaves_in_11_stretches_from_217_6_s_on(self) -> None:
        """ORIGIN.md's figures by mid price: 2,822 of 6,493 events, the first 217.6 s after the first applied one."""
        outside = [
            float((top.book[0] + top.book[2]) / 2) * math.exp(-WINDOW) < LOWEST_KNOWN_BID for top in golden_tops()
        ]
        assert sum(outside) == 2_822
        assert sum(now and not before for before, now in itertools.pairwise([False, *outside])) == 11
        assert golden_tops()[outside.index(True)].time - golden_tops()[0].time == 217_605

    def test_null_buckets_are_the_far_ones(self) -> None:
        """Known buckets come first; `covered` counts them."""
        for row in sampled(recordings.GOLDEN).rows.values():
            for values, covered in ((row.bid_buckets, row.covered[0]), (row.ask_buckets, row.covered[1])):
                assert [value is None for value in values] == [False] * covered + [True] * (SHAPE.steps - covered)

    def test_the_chain_starts_with_the_straddling_event(self) -> None:
        """No received event has u == lastUpdateId; U=50093239208 straddles it and starts the chain."""
        recording = recorded(recordings.GOLDEN)
        last = recording.snapshot["lastUpdateId"]
        assert last not in {e["u"] for e in recording.events}
        first = next(e for e in recording.events if e["u"] > last)
        assert (first["U"], first["u"], first["E"]) == (50093239208, 50093239224, 1723161255408)


class TestOtherRecordings:
    """Ties, quiet and a snapshot that is too shallow."""

    def test_the_shallow_snapshot_never_covers_the_window(self) -> None:
        """50 levels a side reach 6 of 40 buckets after every event, and its one row says so."""
        recording = recorded(recordings.SHALLOW)
        known = oracle.known_range(recording.snapshot)
        book = OracleBook(recording.snapshot)
        for e in recording.events:
            if book.apply(e):
                best_bid, best_ask = book.best()
                assert best_bid is not None
                assert best_ask is not None
                assert known.low_bid is not None
                assert known.high_ask is not None
                assert oracle.index(best_bid, known.low_bid, SHAPE.step) == 6
                assert oracle.index(best_ask, known.high_ask, SHAPE.step) == 6
        assert {epoch: row.covered for epoch, row in sampled(recordings.SHALLOW).rows.items()} == {1783157232: (6, 6)}

    def test_the_derived_recording_is_covered_throughout(self) -> None:
        """All 514 epochs have a full row."""
        result = sampled(recordings.DERIVED)
        assert result.epochs == sorted(result.rows) == list(range(1680652701, 1680653215))
        assert {row.covered for row in result.rows.values()} == {(40, 40)}

    def test_quiet_seconds_are_filled_with_the_last_event_before_them(self) -> None:
        """No event from E=1680652800248 to ...2342: the rows of 801 and 802 are the same book, two epochs."""
        rows = sampled(recordings.DERIVED).rows
        quiet = [rows[1680652801], rows[1680652802]]
        assert {(row.event_time, row.update_id) for row in quiet} == {(1680652800248, 2710249438582)}
        assert quiet[0].bid_buckets == quiet[1].bid_buckets

    def test_half_cent_ties_are_in_288_derived_rows(self) -> None:
        """441 buckets of 288 of the 514 rows lie exactly between two cents, so how they are rounded shows."""
        ties = [
            sum(total % CENT == CENT // 2 for total in whole_sums(levels))
            for levels in window_levels(recordings.DERIVED).values()
        ]
        assert (sum(count > 0 for count in ties), sum(ties), len(ties)) == (288, 441, 514)

    @pytest.mark.parametrize(("order", "differing"), [("dict", 165), ("best first", 177), ("far first", 159)])
    def test_float_sums_show_and_so_does_their_order(self, order: str, differing: int) -> None:
        """round(float sum, 2) is not the exact row in 165 of 514 rows, or 177 or 159, by the order of the levels."""
        rows = sampled(recordings.DERIVED).rows
        shown = 0
        for epoch, levels in window_levels(recordings.DERIVED).items():
            totals = [0.0] * (2 * SHAPE.steps)
            for level in ORDERS[order](levels):
                totals[level.place] += float(level.price) * float(level.amount)
            shown += [round(total, 2) for total in totals] != rows[epoch].bid_buckets + rows[epoch].ask_buckets
        assert shown == differing

    def test_whole_numbers_give_the_same_rows(self) -> None:
        """Every value of every row again, summed in integers and rounded by Python's own half-even round."""
        rows = sampled(recordings.DERIVED).rows
        for epoch, levels in window_levels(recordings.DERIVED).items():
            values = [round(Fraction(total, CENT)) / 100 for total in whole_sums(levels)]
            assert values == rows[epoch].bid_buckets + rows[epoch].ask_buckets
