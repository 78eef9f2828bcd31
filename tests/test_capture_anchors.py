"""Snapshots: when they are wanted, what they change, what they confirm; and books that vouch for nothing."""

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth.epochs import Grid
from depth.losses import Incident
from tests import oracle, strategies
from tests.capturing import AGAINST_STREAMS, SECOND, Run, body, chained, epochs, event, ticks

if TYPE_CHECKING:
    from depth.anchoring import Reason


class TestAnchors:
    """Snapshots for a live book."""

    def test_nothing_is_wanted_before_the_stream_or_while_one_waits(self) -> None:
        """A snapshot could not join; and one at a time."""
        run = Run()
        assert run.wants is None
        run.deliver("A", event(1, 100))
        assert run.wants == "start"
        run.anchor(body(5))
        assert run.wants is None
        run.deliver("A", *ticks(2, 5))
        assert run.wants is None
        assert run.capture.chained

    def test_a_snapshot_too_old_to_join_is_asked_for_again_with_back_off(self) -> None:
        """The stream began behind it: 0.25 s, then longer, until one joins."""
        run = Run()
        run.deliver("A", *ticks(10, 12))
        run.anchor(body(8))
        assert run.capture.counts.anchors == 0
        assert run.wants is None
        run.wait(0.28)
        assert run.wants == "start"
        run.anchor(body(8))
        run.wait(0.28)
        assert run.wants is None
        run.wait(0.28)
        assert run.wants == "start"
        run.anchor(body(9))
        run.deliver("A", *ticks(13, 25))
        assert [*run.rows] == epochs(1, 2)
        assert run.wants is None

    def test_a_snapshot_joins_within_the_minute_that_is_kept(self) -> None:
        """One of 59 s ago is caught up with; one of 61 s ago is too old."""
        for age, anchors in ((590, 1), (620, 0)):
            run = Run()
            for wire in ticks(1, 700):
                run.now += 0.1
                run.deliver("A", wire)
            run.anchor(body(700 - age))
            assert run.capture.counts.anchors == anchors
            assert len(run.rows) == (60 if anchors else 0) - (not age % 10 and anchors)

    def test_a_snapshot_that_came_too_old_leaves_a_live_book_as_it_is(self) -> None:
        """No epoch is lost over it."""
        run = chained()
        run.anchor(body(0), "hourly")
        assert run.capture.counts.anchors == 1 or run.capture.counts.audits == 1
        run.deliver("A", *ticks(21, 35))
        assert [*run.rows] == epochs(1, 2, 3)

    def test_a_new_book_is_audited_within_ten_minutes_and_each_hour(self) -> None:
        """With jitter."""
        run = chained()
        for audits, (not_yet, due) in enumerate(((299, 600), (3239, 3600), (3600 + 3239, 7200)), start=1):
            run.now = float(not_yet)
            assert run.wants is None
            run.now = float(due)
            assert run.wants == "hourly"
            run.anchor(body(20), "hourly")
            assert run.capture.counts.audits_agreed == audits
            assert run.wants is None

    def test_a_book_after_a_break_is_audited_soon_too(self) -> None:
        """What it began with, no audit has confirmed."""
        run = chained()
        run.anchor(body(20), "hourly")
        run.deliver("A", *ticks(30, 45))
        run.anchor(body(29))
        run.now = 600.0
        assert run.wants == "hourly"

    def test_near_the_edge_one_is_wanted_after_60_s(self) -> None:
        """The window comes within a third of its width of the known range's end; one that helps ends it."""
        window = Grid().window
        edge = 100 * math.exp(-window * 1.4)
        run = Run()
        run.anchor(body(0, ["100 1", f"{edge:.8f} 1"], ["101 1", "111 1"]))
        run.deliver("A", *ticks(1, 11))
        run.now = 61.0
        assert run.wants is None
        run.deliver("A", event(12, 1900, [f"{100 * math.exp(-window * 0.1):.8f} 1", "100 0"]), event(13, 2100))
        assert run.wants == "edge"
        near = [f"{100 * math.exp(-window * 0.1):.8f} 1", f"{edge:.8f} 1"]
        run.anchor(body(13, [*near, "80 1"], ["101 1", "111 1", "112 1"]), "edge")
        assert run.capture.counts.audits_agreed == 1
        run.now = 200.0
        run.deliver("A", event(14, 3100))
        assert run.wants is None

    def test_a_book_that_the_price_has_left_is_no_book(self) -> None:
        """The best price is beyond all that the snapshot knew: a new one is wanted at once, however young the last."""
        run = chained()
        run.deliver("A", event(21, 2100, ["100 0", "90 0", "80 1"]), event(22, 3100))
        assert run.lost == {SECOND + 3: "unanchored"}
        assert run.wants == "start"
        run.anchor(body(22, ["80 1", "70 1"]))
        assert run.wants is None
        run.deliver("A", event(23, 4100))
        assert run.rows[SECOND + 4]["covered"] == "40,40"

    def test_a_narrow_book_is_anchored_anew_at_longer_and_longer_distances(self) -> None:
        """A snapshot that never reaches far enough costs weight: 60, 60, 120, 240 s."""
        narrow = ["100 1", f"{100 * math.exp(-Grid().window):.8f} 1"], ["101 1", "111 1"]
        run = Run()
        run.deliver("A", event(1, 100))
        distances = []
        for number in range(2, 6):
            run.anchor(body(number - 1, *narrow), "edge" if number > 2 else "start")
            run.deliver("A", event(number, 1000 * number))
            began = run.now
            while run.wants != "edge":
                run.now += 1.0
            distances.append(run.now - began)
        assert distances == [60, 120, 240, 480]

    def test_a_known_range_changes_with_the_anchor_alone(self) -> None:
        """Rows know more from the swap on, and the swapped book has the levels that the old one could not know."""
        run = chained()
        assert run.rows[SECOND + 1]["covered"] == "40,40"
        wide = body(20, ["100 1", "90 1", "80 7"], ["101 1", "111 1", "121 7"])
        run.anchor(wide, "hourly")
        run.deliver("A", event(21, 2100, ["100 0", "90 0"]), event(22, 3100))
        assert json.loads(run.rows[SECOND + 3]["orderbook"])["best_bid"] == 80.0


class TestAudits:
    """A live book held against a fresh snapshot."""

    WRONG = ("100 2", "90 1")

    def doubted(self) -> Run:
        """Make a run whose book differs from a first snapshot."""
        run = chained()
        run.anchor(body(20, self.WRONG), "hourly")
        return run

    def test_a_first_mismatch_keeps_the_book_and_wants_a_second_opinion(self) -> None:
        """At once; rows go on from the book that there is."""
        run = self.doubted()
        counts = run.capture.counts
        assert (counts.anchors, counts.audits, counts.audits_agreed) == (1, 1, 0)
        assert run.wants == "audit"
        run.deliver("A", *ticks(21, 35))
        assert [*run.rows] == epochs(1, 2, 3)
        assert json.loads(run.rows[SECOND + 3]["orderbook"])["bid_buckets"][0] == 100.0
        assert run.incidents == []

    def test_a_second_snapshot_that_agrees_clears_the_book(self) -> None:
        """It replaces it like any other, and nothing is suspect."""
        run = self.doubted()
        run.deliver("A", *ticks(21, 25))
        run.anchor(body(25), "audit")
        counts = run.capture.counts
        assert (counts.anchors, counts.audits, counts.audits_agreed) == (2, 2, 1)
        assert run.wants is None
        assert run.incidents == []

    def test_a_confirmed_mismatch_replaces_the_book_and_marks_its_rows(self) -> None:
        """Suspect from the last good audit to now; the rows after are the snapshot's and no epoch is lost."""
        run = chained()
        run.anchor(body(20), "hourly")  # good: the epochs before are confirmed
        run.deliver("A", *ticks(21, 45))
        run.anchor(body(45, self.WRONG), "hourly")
        run.deliver("A", *ticks(46, 55))
        run.anchor(body(55, self.WRONG), "audit")
        assert run.incidents == [Incident(SECOND + 2, SECOND + 6, "suspect")]
        run.deliver("A", *ticks(56, 75))
        assert [*run.rows] == epochs(1, 2, 3, 4, 5, 6, 7)
        firsts = [json.loads(run.rows[epoch]["orderbook"])["bid_buckets"][0] for epoch in epochs(5, 6)]
        assert firsts == [100.0, 200.0]
        assert run.capture.counts.anchors == 3

    def test_without_a_good_audit_all_rows_of_the_chain_are_suspect(self) -> None:
        """From its first."""
        run = self.doubted()
        run.deliver("A", *ticks(21, 45))
        run.anchor(body(45, self.WRONG), "audit")
        assert run.incidents == [Incident(SECOND + 1, SECOND + 5, "suspect")]

    def test_after_a_confirmed_mismatch_the_next_audit_starts_afresh(self) -> None:
        """One doubt more is a first doubt again."""
        run = self.doubted()
        run.anchor(body(20, self.WRONG), "audit")
        assert run.wants is None
        run.anchor(body(20), "hourly")
        assert run.wants == "audit"
        assert run.capture.counts.anchors == 2

    def test_a_book_that_replaced_a_wrong_one_is_audited_soon_too(self) -> None:
        """It agreed with nothing yet."""
        run = self.doubted()
        run.anchor(body(20, self.WRONG), "audit")
        run.now += 600.0
        assert run.wants == "hourly"

    def test_a_doubt_ends_with_the_chain_it_was_about(self) -> None:
        """The next chain's book is another one: its first mismatch is a first one."""
        run = self.doubted()
        run.deliver("A", *ticks(30, 45))
        run.anchor(body(29))
        assert run.wants is None
        run.anchor(body(45, self.WRONG), "hourly")
        assert run.wants == "audit"
        assert run.incidents == [Incident(SECOND + 2, SECOND + 3, "sequence break")]

    def test_rows_of_an_older_chain_are_not_suspect(self) -> None:
        """A chain that broke had another book."""
        run = chained()
        run.deliver("A", *ticks(30, 45))
        run.anchor(body(29), "start")
        run.deliver("A", *ticks(46, 55))
        reasons: list[Reason] = ["hourly", "audit"]
        for reason in reasons:
            run.anchor(body(55, self.WRONG), reason)
        assert [(one.start, one.end) for one in run.incidents if one.cause == "suspect"] == [(SECOND + 3, SECOND + 6)]

    def test_epochs_without_a_row_are_not_suspect(self) -> None:
        """Two stretches of rows around a crossed book are two suspicions; the book's own cause is another's."""
        run = chained()
        run.anchor(body(20), "hourly")
        run.deliver("A", event(21, 2500, ["105 1"]), event(22, 4500, ["105 0"]))
        run.deliver("A", event(23, 6500))
        run.anchor(body(23, self.WRONG), "hourly")
        run.anchor(body(23, self.WRONG), "audit")
        assert [(one.start - SECOND, one.end - SECOND, one.cause) for one in run.incidents] == [
            (3, 5, "crossed"),
            (2, 3, "suspect"),
            (5, 7, "suspect"),
        ]

    @AGAINST_STREAMS
    @given(st.data(), st.integers(1, 12), st.integers(1, 12))
    def test_a_planted_wrong_level_is_found(self, data: st.DataObject, update_id: int, received: int) -> None:
        """Any one level that both know, with another amount or gone; the snapshot ahead of the stream or behind it."""
        levels = [f"{100 - number} {number + 1}" for number in range(8)], [f"{101 + number} 1" for number in range(8)]
        wires: list[oracle.Event] = [event(n, 100 * n, [f"99.{n:02} 1"]) for n in range(1, 13)]
        true = strategies.Stream(body(0, *levels), wires).body_at(update_id, 5000)
        side = data.draw(st.sampled_from(["bids", "asks"]))
        number = data.draw(st.integers(0, 6))  # without the last level a side would know less, and say nothing of it
        price, amount = true[side][number]
        planted = data.draw(st.sampled_from([[], [[price, f"{Decimal(amount) + Decimal('0.00000001')}"]]]))
        run = Run()
        run.anchor(body(0, *levels))
        run.deliver("A", *wires[:received])
        run.anchor({**true, side: [*true[side][:number], *planted, *true[side][number + 1 :]]}, "hourly")
        run.deliver("A", *wires[received:])
        counts = run.capture.counts
        assert (counts.audits, counts.audits_agreed) == (1, 0)
        assert run.wants == "audit"


class TestUnusableBooks:
    """Seconds whose book cannot be vouched for."""

    @pytest.mark.parametrize(
        ("change", "back", "cause"),
        [
            (["100 0", "90 0"], ["100 1"], "one-sided"),
            (["100 0", "90 0", "89 1"], ["100 1"], "unanchored"),
            (["101 1"], ["101 0"], "crossed"),
            (["105 1"], ["105 0"], "crossed"),
        ],
    )
    def test_there_is_no_row_and_the_cause_is_said(self, change: list[str], back: list[str], cause: str) -> None:
        """One incident for as long as it lasts, then rows again without a new snapshot."""
        run = chained()
        run.deliver("A", event(21, 2100, change), event(22, 3100), event(23, 4100, back), event(24, 5100))
        assert [*run.rows] == epochs(1, 2, 5)
        assert [(one.start, one.end, one.cause) for one in run.incidents] == [(SECOND + 3, SECOND + 5, cause)]
        assert run.capture.counts.anchors == 1

    def test_a_new_cause_is_a_new_incident(self) -> None:
        """Side by side, half-open, in order."""
        run = chained()
        run.deliver("A", event(21, 2100, ["101 1"]), event(22, 3100, ["101 0", "100 0", "90 0"]), event(23, 4100))
        assert [(one.start, one.end, one.cause) for one in run.incidents] == [
            (SECOND + 3, SECOND + 4, "crossed"),
            (SECOND + 4, SECOND + 5, "one-sided"),
        ]

    def test_an_incident_that_grows_is_told_again(self) -> None:
        """With the start it had: a caller that stores it by its start has its newest form."""
        run = chained()
        run.deliver("A", event(21, 2100, ["101 1"]), event(22, 3100))
        taken, run.capture.losses.incidents = run.capture.losses.incidents, []
        assert [(one.start, one.end) for one in taken] == [(SECOND + 3, SECOND + 4)]
        run.deliver("A", event(23, 3200))
        assert run.incidents == []
        run.deliver("A", event(24, 4100))
        assert [(one.start, one.end) for one in run.incidents] == [(SECOND + 3, SECOND + 5)]

    def test_a_deleted_unknown_price_is_normal(self) -> None:
        """Rows are as if it had not been."""
        run, other = chained(), chained()
        run.deliver("A", event(21, 2100, ["50 0", "95 0"], ["500 0"]), event(22, 3100))
        other.deliver("A", event(21, 2100), event(22, 3100))
        assert run.rows == other.rows
