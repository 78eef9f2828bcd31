"""The oracle is held against streams made from a whole book, and the streams against what they must contain."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import hypothesis
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests import oracle, strategies
from tests.oracle import NaiveBook, Sampled, Shape

SHAPE = Shape(step=0.00002, steps=40)


def find(condition: Callable[[Sampled], bool]) -> None:
    """Search a stream and an anchor of it whose sampling meets a condition; fails with NoSuchExample."""
    hypothesis.find(
        strategies.streams().flatmap(lambda stream: st.tuples(st.just(stream), strategies.anchors(stream))),
        lambda drawn: condition(oracle.sample(drawn[0].events, drawn[1], SHAPE)),
        settings=settings(strategies.SETTINGS, max_examples=2000, phases=[Phase.generate]),
    )


class TestAgainstStreams:
    """Streams made from a whole book: what a truncated anchor claims to know is held against it."""

    @given(strategies.streams())
    @strategies.SETTINGS
    def test_both_books_are_the_same_after_any_stream(self, stream: strategies.Stream) -> None:
        """The book by Binance's rule and the naive one hold the same levels."""
        book = oracle.book_at(stream.events, stream.opening, stream.events[-1]["u"])
        assert NaiveBook(stream.opening).apply_all(stream.events) == (book.bids, book.asks)

    @given(st.data(), strategies.streams())
    @strategies.SETTINGS
    def test_rows_of_a_truncated_anchor_never_lie(self, data: st.DataObject, stream: strategies.Stream) -> None:
        """Every value that a row of any anchor gives is the whole book's, and no row is where the truth has none."""
        truth = oracle.full_rows(stream.events, stream.opening, SHAPE)
        for anchor in data.draw(st.lists(strategies.anchors(stream), min_size=1, max_size=5)):
            for epoch, row in oracle.sample(stream.events, anchor, SHAPE).rows.items():
                assert not oracle.disagreements(row, truth[epoch])

    @given(st.data(), strategies.streams())
    @strategies.SETTINGS
    def test_a_new_anchor_loses_no_epoch(self, data: st.DataObject, stream: strategies.Stream) -> None:
        """Swapped at any event at or after the anchor's id, a live book has the epochs it had, and they do not lie."""
        anchor = data.draw(strategies.anchors(stream))
        swapped_at = data.draw(st.sampled_from([e["u"] for e in stream.events if e["u"] >= anchor["lastUpdateId"]]))
        live = oracle.sample(stream.events, stream.opening, SHAPE)
        candidate = oracle.sample(stream.events, anchor, SHAPE)
        stored = oracle.reanchored(stream.events, live, candidate, swapped_at)
        assert stored.epochs == live.epochs
        truth = oracle.full_rows(stream.events, stream.opening, SHAPE)
        assert not any(oracle.disagreements(row, truth[epoch]) for epoch, row in stored.rows.items())

    @given(strategies.streams())
    @strategies.SETTINGS
    def test_epochs_of_a_chain_are_contiguous(self, stream: strategies.Stream) -> None:
        """From the first to the last, every epoch has a row or a cause, never both."""
        sampling = oracle.sample(stream.events, stream.opening, SHAPE)
        assert sampling.epochs == list(range(sampling.epochs[0], sampling.epochs[-1] + 1)) if sampling.epochs else True
        assert not sampling.rows.keys() & sampling.absent.keys()

    @given(strategies.streams())
    @strategies.SETTINGS
    def test_streams_have_contiguous_ids_and_each_price_once(self, stream: strategies.Stream) -> None:
        """What Binance guarantees holds for made streams."""
        following = stream.opening["lastUpdateId"] + 1
        for e in stream.events:
            assert e["U"] == following <= e["u"]
            assert all(len({Decimal(price) for price, _ in e[side]}) == len(e[side]) for side in "ba")
            following = e["u"] + 1

    @given(st.data(), strategies.streams())
    @strategies.SETTINGS
    def test_deliveries_keep_each_sockets_order_and_lose_nothing(
        self, data: st.DataObject, stream: strategies.Stream
    ) -> None:
        """Each socket delivers rising ids, none twice, and together they deliver every event."""
        delivered = data.draw(strategies.deliveries(stream.events))
        for socket in (0, 1):
            ids = [e["u"] for number, e in delivered if number == socket]
            assert ids == sorted(set(ids))
        assert {e["u"] for _, e in delivered} == {e["u"] for e in stream.events}

    @given(st.integers(0, 10**9), st.one_of(st.integers(0, 10**16 - 1), st.integers(0, 999).map(lambda n: n * 10**13)))
    @strategies.SETTINGS
    def test_values_are_pythons_half_even_round(self, whole: int, part: int) -> None:
        """Decimal's rounding, the oracle's, is that of Fraction, ties and all."""
        total = whole + Fraction(part, 10**16)
        exact = Decimal(whole * 10**16 + part).scaleb(-16, oracle.EXACT)
        assert exact == total
        assert oracle.value(exact) == round(total * 100) / 100


class TestStreamsReachWhatMatters:
    """The strategies are worth something only if the rare cases occur."""

    @pytest.mark.parametrize("cause", ["unanchored", "one-sided", "crossed", "silent"])
    def test_every_cause_occurs(self, cause: str) -> None:
        """Hypothesis finds a stream and an anchor with an epoch absent for each cause."""
        find(lambda sampling: cause in sampling.absent.values())

    def test_partly_known_rows_occur(self) -> None:
        """There are rows that are null on one side from somewhere inside the window on."""
        find(lambda sampling: any(0 < row.covered[0] < SHAPE.steps for row in sampling.rows.values()))
