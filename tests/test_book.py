"""The book: the same as a naive one, and never surer than its anchor."""

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from depth.book import Audit, Book, Sample
from depth.epochs import Grid
from depth.events import Event, parse, parse_anchor
from tests import oracle, recordings, strategies

AGAINST_STREAMS = settings(
    deadline=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],  # to explain a failure takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def body(bids: Sequence[str], asks: Sequence[str], update_id: int = 10) -> dict[str, Any]:
    """Write a REST body with levels as "price amount"."""
    return {"lastUpdateId": update_id, "bids": [level.split() for level in bids], "asks": [a.split() for a in asks]}


def event(update_id: int, bids: Sequence[str] = (), asks: Sequence[str] = ()) -> dict[str, Any]:
    """Write an event of one id, a second long, with levels as "price amount"."""
    levels = {"b": [level.split() for level in bids], "a": [level.split() for level in asks]}
    return {"e": "depthUpdate", "E": update_id * 1000, "s": "BTCUSDT", "U": update_id, "u": update_id} | levels


def read(wire: oracle.Event) -> Event:
    """Parse an event of the oracle's."""
    return parse(json.dumps(wire))


def book(snapshot: oracle.Body, events: Sequence[oracle.Event] = (), grid: Grid | None = None) -> Book:
    """Build a book and apply events."""
    built = Book(parse_anchor(json.dumps(snapshot)), grid or Grid(), 2)
    for wire in events:
        built.apply(read(wire))
    return built


def seconds(events: Sequence[oracle.Event]) -> list[oracle.Event]:
    """Give each event a second of its own, so that the oracle has a row of the book after each of them."""
    return [{**wire, "E": 1000 * number} for number, wire in enumerate(events, start=1)]


def check_each_sample(snapshot: oracle.Body, events: Sequence[oracle.Event], grid: Grid) -> None:
    """Sample after every event and hold each sample, or the reason for none, against the oracle's book."""
    timed = seconds(events)
    closing = {**timed[-1], "E": timed[-1]["E"] + 1000, "U": timed[-1]["u"] + 1, "u": timed[-1]["u"] + 1}
    truth = oracle.sample([*timed, closing], snapshot, oracle.Shape(grid.step, grid.steps))
    built = Book(parse_anchor(json.dumps(snapshot)), grid, 2)
    for wire in timed:
        if wire["u"] <= snapshot["lastUpdateId"]:
            continue
        built.apply(read(wire))
        sample, epoch = built.sample(), wire["E"] // 1000
        if isinstance(sample, str):
            assert sample == truth.absent[epoch]
            continue
        row = truth.rows[epoch]
        assert (sample.best_bid, sample.best_ask) == (float(row.best_bid), float(row.best_ask))
        assert [*sample.bid_buckets] == row.bid_buckets
        assert [*sample.ask_buckets] == row.ask_buckets
    assert built.last_id == timed[-1]["u"]


@AGAINST_STREAMS
@given(st.data(), strategies.streams(max_events=24))
def test_every_sample_of_any_stream_is_the_oracles(data: st.DataObject, stream: strategies.Stream) -> None:
    """After each event of a stream on any anchor: bests, buckets and reasons for none."""
    anchor = data.draw(strategies.anchors(stream))
    if anchor["lastUpdateId"] < stream.events[-1]["u"]:
        check_each_sample(anchor, stream.events, Grid())


GRIDS = [Grid(0.00002, 40), Grid(0.001, 3), Grid(0.2, 4), Grid(1.0, 200)]


class LeapingMarket:
    """A market that leaps by up to a thousand windows, loses whole sides and gets them back."""

    def __init__(self, seed: int, grid: Grid) -> None:
        self.chance = Random(seed)  # noqa: S311  (a test's own)
        self.window = grid.window
        self.middle = 100_000.0
        self.held: dict[str, set[str]] = {"b": set(), "a": set()}

    def levels(self, side: str, count: int, windows: float) -> list[str]:
        """Give prices up to so many windows from the middle, where there are prices."""
        away = [min(self.chance.uniform(0, windows) * self.window, 5.0) + 1e-5 for _ in range(count)]
        return [f"{self.middle * math.exp(-distance if side == 'b' else distance):.2f}" for distance in away]

    def body(self) -> dict[str, Any]:
        """Give a body of a dozen levels a side, more or less, some of them far."""
        sides = {}
        for side, held in self.held.items():
            held.update(self.levels(side, self.chance.choice([0, 11, 12, 12]), 6) + self.levels(side, 2, 60))
            prices = sorted(held, key=Decimal, reverse=side == "b")
            sides[side] = [f"{price} {self.amount()}" for price in prices]
        return body(sides["b"], sides["a"])

    def event(self, update_id: int) -> dict[str, Any]:
        """Move, and give the event of it."""
        windows = self.chance.choice([0, 0, 0.2, -0.2, 0.6, -0.6, 1.2, -1.2, 3, -3, 10, -10, 1000, -1000])
        leap = max(min(windows * self.window, 3.0), -3.0)
        self.middle = min(max(self.middle * math.exp(leap), 10.0), 1e9)
        changes: dict[str, dict[str, str]] = {"b": {}, "a": {}}
        for side, held in self.held.items():
            gone = self.chance.choice(["nothing", "everything", *["crossed"] * 8])
            for price in held:
                crossed = (
                    Decimal(price) > Decimal(self.middle) if side == "b" else Decimal(price) < Decimal(self.middle)
                )
                if gone == "everything" or (gone == "crossed" and crossed):
                    changes[side][price] = "0"
            for price in self.levels(side, self.chance.choice([0, 1, 4]), 3):
                changes[side][price] = self.amount()
            held.difference_update(price for price, amount in changes[side].items() if amount == "0")
            held.update(price for price, amount in changes[side].items() if amount != "0")
        b, a = ([f"{price} {amount}" for price, amount in changes[side].items()] for side in "ba")
        return event(update_id, b, a)

    def amount(self) -> str:
        """Give an amount."""
        return f"{self.chance.randint(1, 10**6) / 1000:.3f}"


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from(GRIDS))
def test_near_and_far_levels_make_no_difference(seed: int, grid: Grid) -> None:
    """Leaps of a thousand windows, emptied sides, windows of 0.08 % to beyond all prices: samples are the oracle's."""
    market = LeapingMarket(seed, grid)
    check_each_sample(market.body(), [market.event(update_id) for update_id in range(11, 41)], grid)


@AGAINST_STREAMS
@given(st.data(), strategies.streams())
def test_sampling_changes_nothing(data: st.DataObject, stream: strategies.Stream) -> None:
    """A book sampled after every event and one sampled at the end alone say the same and audit as equal."""
    often, once = (Book(parse_anchor(json.dumps(stream.opening)), Grid(), 2) for _ in range(2))
    for wire in stream.events:
        often.apply(read(wire))
        once.apply(read(wire))
        if data.draw(st.booleans()):
            often.sample()
    assert often.audit(once).agrees
    assert often.sample() == once.sample()


@AGAINST_STREAMS
@given(strategies.streams())
def test_the_levels_are_those_of_the_naive_book(stream: strategies.Stream) -> None:
    """Nothing is lost or left over: an audit of all levels agrees with a book built of the naive book's."""
    end = stream.events[-1]["u"]
    bids, asks = oracle.NaiveBook(stream.opening).apply_all(stream.events)
    naive = body([f"{p} {bids[p]}" for p in sorted(bids, reverse=True)], [f"{p} {asks[p]}" for p in sorted(asks)], end)
    audit = book(stream.opening, stream.events).audit(book(naive))
    assert audit.agrees


def test_prices_compare_as_numbers() -> None:
    """99,999 is less than 100,001 although its text is greater."""
    sample = book(body(["99999 1", "99998 1"], ["100001 1", "100002 1"]), [event(11, ["100000 1"])]).sample()
    assert isinstance(sample, Sample)
    assert (sample.best_bid, sample.best_ask) == (100_000.0, 100_001.0)


def test_one_price_written_in_two_ways_is_one_level() -> None:
    """An amount replaces and a 0 removes whatever zeros were written."""
    built = book(body(["100.00000000 1", "99 1"], ["101.0 1", "102 1"]), [event(11, ["100.0 7"], ["101 0"])])
    other = book(body(["100 7", "99 1"], ["102.00 1.0"]))
    assert built.audit(other) == Audit(3, 0)


def test_a_delete_of_an_unknown_price_is_normal() -> None:
    """It changes nothing, near or far."""
    built = book(body(["100 1", "99 1"], ["101 1", "102 1"]))
    before = built.sample()
    built.apply(read(event(11, ["99.5 0", "1 0"], ["101.5 0", "1000 0"])))
    assert built.sample() == before
    assert built.last_id == 11


def test_an_anchor_may_hold_amounts_of_zero() -> None:
    """They are no levels."""
    sample = book(body(["100 0", "99 1", "98 1"], ["101 0", "102 1", "103 1"])).sample()
    assert isinstance(sample, Sample)
    assert (sample.best_bid, sample.best_ask) == (99.0, 102.0)


TWO = body(["100 1", "99 1"], ["101 1", "102 1"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (event(11, ["100 0", "99 0", "98.9 1"]), "unanchored"),
        (event(11, [], ["101 0", "102 0", "102.1 1"]), "unanchored"),
        (event(11, ["100 0", "99 0"]), "one-sided"),
        (event(11, [], ["101 0", "102 0"]), "one-sided"),
        (event(11, ["100 0", "99 0"], ["101 0", "102 0"]), "one-sided"),
        (event(11, ["100 0", "99 0", "98 1"], ["101 0", "102 0"]), "unanchored"),
        (event(11, ["100 0", "99 0"], ["101 0", "102 0", "103 1"]), "unanchored"),
        (event(11, ["101 1"]), "crossed"),
        (event(11, ["101.5 1"]), "crossed"),
    ],
)
def test_a_book_that_cannot_vouch_says_why(change: oracle.Event, reason: str) -> None:
    """A best outside the known range, else a side without levels, else best bid >= best ask."""
    assert book(TWO, [change]).sample() == reason


def test_the_last_known_level_is_inclusive() -> None:
    """A best on the edge is known; none of its buckets is."""
    sample = book(TWO, [event(11, ["100 0"], ["101 0"])]).sample()
    assert sample == Sample(99.0, 102.0, (None,) * 40, (None,) * 40)


def test_the_best_is_never_a_level_beyond_the_known_range() -> None:
    """A bid that appears below the anchor's last one is kept, not summed, and not the best."""
    grid = Grid(0.01, 4)
    built = book(body(["100 1", "99 1"], ["101 1", "102 1"]), [event(11, ["98 5"], ["103 5"])], grid)
    assert built.sample() == Sample(100.0, 101.0, (100.0, None, None, None), (None,) * 4)


def test_only_an_anchor_changes_the_known_range() -> None:
    """Levels that appear beyond the edge do not move it."""
    grown = book(TWO, [event(11, [f"{98 - number} 1" for number in range(50)])])
    assert grown.sample() == book(TWO).sample()
    assert grown.margin() == book(TWO).margin()


@pytest.mark.parametrize(
    ("bids", "asks", "known"),
    [
        (["100 1"], ["101 1", "102 1"], (4, 0)),  # the exchange had one bid and no more
        (["100 1", "99 1"], ["101 1"], (1, 4)),
        (["100 1"], ["101 1"], (0, 0)),  # both may have been cut
        (["100 1", "99 1"], ["101 1", "102 1"], (1, 0)),
    ],
)
def test_a_side_is_unbounded_only_if_the_other_holds_more_levels(
    bids: list[str], asks: list[str], known: tuple[int, int]
) -> None:
    """Of one body; equal lengths may both have been cut."""
    sample = book(body(bids, asks), grid=Grid(0.01, 4)).sample()
    assert isinstance(sample, Sample)
    assert tuple(4 - side.count(None) for side in (sample.bid_buckets, sample.ask_buckets)) == known


def test_a_side_that_was_empty_in_the_body_is_unbounded_if_the_other_was_not() -> None:
    """No bid at all, one ask: the exchange has told all bids, and one that comes is the best."""
    sample = book(body([], ["101 1"]), [event(11, ["100 1"])], Grid(0.01, 4)).sample()
    assert isinstance(sample, Sample)
    assert sample.bid_buckets == (100.0, 0.0, 0.0, 0.0)


def test_a_body_without_levels_knows_nothing() -> None:
    """Neither side holds more than the other: whatever comes is outside the known range."""
    empty = body([], [])
    assert book(empty).sample() == "one-sided"
    built = book(empty, [event(11, ["100 1"], ["101 1"])])
    assert built.sample() == "unanchored"
    assert built.margin() < 0
    assert built.audit(book(TWO)) == Audit(0, 0)


def test_margin_is_the_distance_from_the_window_to_the_edge() -> None:
    """In log price, the smaller of both sides; negative where the window reaches beyond."""
    grid = Grid(0.01, 4)
    assert book(TWO, grid=grid).margin() == pytest.approx(math.log(102 / 101) - 0.04)
    wide = book(body(["100 1", "50 1"], ["101 1", "151 1"]), grid=grid)
    assert wide.margin() == pytest.approx(math.log(151 / 101) - 0.04)
    wide.apply(read(event(11, ["60 1", "100 0"])))
    assert wide.margin() == pytest.approx(math.log(60 / 50) - 0.04)


def test_margin_is_infinite_without_an_edge_and_worst_without_a_side() -> None:
    """One side unbounded leaves the other's; a side without levels asks for a new anchor."""
    assert book(body([], ["101 1", "102 1"]), [event(11, ["100 1"])]).margin() == pytest.approx(
        math.log(102 / 101) - Grid().window
    )
    assert book(TWO, [event(11, ["100 0", "99 0"])]).margin() == -math.inf


@pytest.mark.parametrize(
    ("edge", "best", "near"),
    [
        (1.6, 0.34, False),  # in windows: of 0.6 that the anchor gave beyond the window, 0.34 are left
        (1.6, 0.32, True),  # less than a third of the window
        (9.0, 4.1, False),
        (9.0, 3.9, True),  # far more than a third of the window, but less than half of eight
        (1.2, 0.2, True),  # from the first: the anchor is narrow
    ],
)
def test_a_window_is_near_the_edge_within_a_third_of_it_or_half_of_what_the_anchor_gave(
    edge: float, best: float, *, near: bool
) -> None:
    """The larger of both; `edge` is how far the anchor reaches from its best, `best` the margin left now."""
    window = Grid().window

    def bid(windows: float) -> str:
        return f"{100 * math.exp(-windows * window):.9f} 1"

    built = book(body([bid(0), bid(edge)], ["100.1 1", "200 1"]))
    built.apply(read(event(11, ["100 0", bid(edge - 1 - best)])))
    assert built.margin() == pytest.approx(best * window, rel=1e-4)
    assert built.near_edge() is near


def test_books_of_the_same_levels_agree() -> None:
    """Every level is counted once."""
    assert book(TWO).audit(book(TWO)) == Audit(4, 0)
    assert book(TWO).audit(book(TWO)).agrees


@pytest.mark.parametrize(
    "planted",
    [event(11, ["100 1.00000001"]), event(11, ["99 0"]), event(11, ["99.5 1"]), event(11, [], ["101.5 0.00000001"])],
)
def test_an_audit_finds_one_wrong_level_either_way(planted: oracle.Event) -> None:
    """Another amount, a level missing, a level too many; from both sides."""
    right, wrong = book(TWO), book(TWO, [planted])
    assert right.audit(wrong).mismatches == wrong.audit(right).mismatches == 1
    assert not right.audit(wrong).agrees


def test_an_audit_counts_every_level_of_either_book() -> None:
    """Compared is the union of both."""
    audit = book(TWO).audit(book(TWO, [event(11, ["100 0", "99.5 1"], ["101 2"])]))
    assert audit == Audit(5, 3)


def test_an_audit_looks_inside_both_known_ranges_alone() -> None:
    """What lies beyond either edge says nothing against either book."""
    narrow = book(body(["100 1", "99 1"], ["101 1", "102 1"]))
    wide = book(body(["100 1", "99 1", "98 1"], ["101 1", "102 1", "103 1"]))
    narrow.apply(read(event(11, ["98 7"], ["103 7"])))
    assert narrow.audit(wide) == wide.audit(narrow) == Audit(4, 0)


def test_an_audit_of_unbounded_sides_compares_them_whole() -> None:
    """Where neither has an edge there is no end."""
    one = book(body(["1 1"], ["101 1", "102 1"]))
    two = book(body(["1 2"], ["101 1", "102 1"]))
    assert one.audit(two) == Audit(3, 1)


@AGAINST_STREAMS
@given(st.data(), strategies.streams())
def test_books_of_two_anchors_of_one_stream_agree(data: st.DataObject, stream: strategies.Stream) -> None:
    """Nothing is wrong, so no audit finds anything, whatever was cut where and sampled when."""
    built = []
    for _ in range(2):
        anchor = data.draw(strategies.anchors(stream, max_levels=60))
        one = Book(parse_anchor(json.dumps(anchor)), Grid(), 2)
        for wire in stream.events:
            if wire["u"] > anchor["lastUpdateId"]:
                one.apply(read(wire))
                if data.draw(st.booleans()):
                    one.sample()
        built.append(one)
    assert built[0].audit(built[1]).agrees
    assert built[1].audit(built[0]).agrees


def test_the_verified_recording_agrees_with_its_second_snapshot() -> None:
    """After u == 96688021190: all 988 bids and 986 asks that both know."""
    recordings.require()
    recording = recordings.load(recordings.VERIFIED)
    assert recording.verify_snapshot is not None
    built = Book(parse_anchor(json.dumps(recording.snapshot)), Grid(), 2)
    for frame in recording.frames:
        applied = parse(frame)
        if recording.snapshot["lastUpdateId"] < applied.last_id <= 96688021190:
            built.apply(applied)
    assert built.last_id == recording.verify_snapshot["lastUpdateId"] == 96688021190
    assert built.audit(Book(parse_anchor(json.dumps(recording.verify_snapshot)), Grid(), 2)) == Audit(988 + 986, 0)
