"""Events that never came, and ids that begin anew."""

import pytest

from depth.book import Book
from depth.losses import Incident
from tests import oracle
from tests.capturing import SECOND, SHAPE, Run, body, chained, epochs, event, stored, ticks


class TestHoles:
    """Events that one socket or both did not bring."""

    def test_a_hole_filled_by_the_other_socket_loses_nothing(self) -> None:
        """Rows are byte for byte those of a run without it, but for the receive times."""
        run, other = chained("AB"), chained("AB")
        wires = ticks(21, 45)
        other.deliver("A", *wires)
        run.deliver("A", *wires[:5], *wires[12:])
        run.wait(1.9)
        run.deliver("B", *wires)
        assert len(run.rows) == 4
        assert run.rows == other.rows
        assert (run.lost, run.capture.counts.resyncs) == ({}, 0)

    def test_a_snapshot_is_wanted_as_soon_as_a_hole_appears(self) -> None:
        """So that it is there when the hole is given up."""
        run = chained("AB")
        assert run.wants is None
        run.deliver("A", event(22, 2200))
        assert run.wants == "hole"

    @pytest.mark.parametrize("ahead", [22, 30], ids=["has all that was received", "is ahead of the stream"])
    @pytest.mark.parametrize("late", [False, True], ids=["before the hole is filled", "after it was filled"])
    def test_the_replacement_is_dropped_if_the_hole_is_filled(self, ahead: int, late: bool) -> None:  # noqa: FBT001
        """The book goes on as it was: nothing is audited and nothing replaced."""
        run = chained("AB")
        run.deliver("A", event(22, 2200))
        assert run.wants == "hole"
        if not late:
            run.anchor(body(ahead, ["77 1"], ["78 1"]), "hole")
            assert run.wants is None
        run.deliver("B", *ticks(1, 22))
        if late:
            run.anchor(body(ahead, ["77 1"], ["78 1"]), "hole")
        run.deliver("A", *ticks(23, 35))
        assert [*run.rows] == epochs(1, 2, 3)
        assert (run.capture.counts.anchors, run.capture.counts.audits) == (1, 0)
        assert run.wants is None
        run.deliver("A", event(37, 3700))
        assert run.wants == "hole"

    def test_a_hole_that_is_lost_is_a_gap_and_then_rows_are_right_again(self) -> None:
        """Rows of the new chain are the oracle's from the replacement on; the gap has its cause and both its ends."""
        run = chained("AB")
        run.deliver("A", event(25, 2500), *ticks(26, 31))
        new = body(24, ["99 5", "95 5"], ["100 5", "105 5"])
        run.anchor(new, "hole")
        run.wait(2.0)
        run.deliver("A", *ticks(32, 45))
        truth = oracle.sample(ticks(25, 45), new, SHAPE)
        assert {epoch: run.rows[epoch] for epoch in truth.rows} == stored(truth)
        assert [*run.rows] == epochs(1, 3, 4)
        assert run.incidents == [Incident(SECOND + 2, SECOND + 3, "sequence break")]
        assert run.capture.counts.resyncs == 1

    def test_without_the_replacement_a_snapshot_is_wanted_after_the_break(self) -> None:
        """There is no book; the chain goes on being received."""
        run = chained("AB")
        run.deliver("A", event(25, 2500))
        run.wait(2.0)
        assert not run.capture.chained
        assert run.wants == "start"
        run.deliver("A", *ticks(26, 45))
        run.anchor(body(24))
        assert [*run.rows] == epochs(1, 3, 4)

    def test_all_events_of_a_filled_hole_are_one_step_for_an_anchor(self) -> None:
        """A snapshot that waits while a hole is filled is held against a book that stands where it stands."""
        run = chained("AB")
        run.anchor(body(22, ["100 2", "90 1"]), "hourly")
        run.deliver("A", event(22, 2200, ["100 2"]), event(23, 2300, ["100 3"]), event(24, 2400, ["100 4"]))
        run.deliver("B", event(21, 2100))
        counts = run.capture.counts
        assert (counts.anchors, counts.audits, counts.audits_agreed) == (2, 1, 1)
        assert run.wants is None

    def test_a_start_that_waits_behind_a_hole_applies_each_event_once(self) -> None:
        """The first book is built when the hole is filled: rows of all that came at once are right."""
        run = Run("AB")
        run.deliver("A", event(1, 100))
        run.anchor(body(2))
        wires = [event(number, 400 * number, [f"100 {number}"]) for number in range(2, 12)]
        run.deliver("A", *wires[1:])
        run.deliver("B", wires[0])
        assert run.rows == stored(oracle.sample([event(1, 100), *wires], body(2), SHAPE))

    def test_a_new_chain_that_begins_in_a_time_already_proved_proves_nothing_twice(self) -> None:
        """E went back with the break: the epochs that have rows keep them."""
        run = chained("A")
        run.deliver("A", event(21, 3100), event(25, 1500))
        run.anchor(body(24, ["99 1", "90 1"]))
        run.deliver("A", event(26, 2500), event(27, 3050), event(28, 5100))
        assert [run.rows[epoch]["update_id"] for epoch in epochs(1, 2, 3, 4, 5)] == ["10", "20", "20", "27", "27"]
        assert run.lost == {}

    def test_a_gap_after_every_socket_was_closed_is_a_disconnect(self) -> None:
        """Whatever socket comes back first."""
        run = chained("AB")
        run.capture.closed("A", run.now)
        run.capture.closed("B", run.now)
        run.wait(3.0)
        run.capture.opened("C")
        run.deliver("C", *ticks(60, 75))
        run.anchor(body(59))
        assert run.incidents == [Incident(SECOND + 2, SECOND + 6, "disconnect")]
        assert [*run.rows] == epochs(1, 6, 7)

    def test_a_reconnect_without_a_hole_breaks_no_chain(self) -> None:
        """All sockets were closed, and nothing was missed: ids alone decide."""
        run = chained("AB")
        run.capture.closed("A", run.now)
        run.capture.closed("B", run.now)
        run.capture.opened("C")
        run.deliver("C", *ticks(19, 35))
        assert [*run.rows] == epochs(1, 2, 3)
        assert (run.lost, run.capture.counts.resyncs) == ({}, 0)

    def test_a_later_break_is_not_a_disconnect_any_more(self) -> None:
        """Once events came again the sockets are not the cause."""
        run = chained("A")
        run.capture.closed("A", run.now)
        run.capture.opened("B")
        run.deliver("B", *ticks(21, 25))
        run.deliver("B", *ticks(40, 51))
        run.anchor(body(39))
        assert set(run.lost.values()) == {"sequence break"}

    def test_a_stall_of_the_process_loses_nothing(self) -> None:
        """Frames that waited in the kernel for a minute are a quiet minute in nobody's book."""
        run = chained("AB")
        run.deliver("A", *ticks(21, 25), event(27, 2700))
        run.now += 60.0
        run.capture.sequence.restart_timers(run.now)
        run.capture.tick(run.now)
        run.deliver("B", *ticks(21, 45))
        assert [*run.rows] == epochs(1, 2, 3, 4)
        assert (run.lost, run.capture.counts.resyncs) == ({}, 0)


class TestOutages:
    """What is being lost is told while it lasts, and taken back where nothing was lost after all."""

    def test_a_disconnect_is_told_while_it_lasts(self) -> None:
        """The ledger knows the cause even if the process dies now; a stop does not change it."""
        run = chained("A")
        run.capture.closed("A", run.now)
        for _ in range(6):
            run.wait(5.0)
        assert run.incidents[-1] == Incident(SECOND + 2, SECOND + 28, "disconnect")
        assert [*run.rows] == epochs(1)
        run.wait(5.0)
        run.capture.finish(run.now)
        assert run.lost == dict.fromkeys(epochs(*range(2, 38)), "disconnect")

    def test_short_losses_are_told_once_they_are_over(self) -> None:
        """A reconnect of some seconds is one incident with both its ends."""
        run = chained("A")
        run.capture.closed("A", run.now)
        run.wait(7.0)
        assert run.incidents == []

    def test_an_outage_that_lost_nothing_is_taken_back(self) -> None:
        """A quiet market: the first event after the outage proves that nothing was missed."""
        run = chained("A")
        run.capture.closed("A", run.now)
        run.wait(30.0)
        assert run.lost
        run.capture.opened("B")
        run.deliver("B", event(21, 33_000))
        assert (run.lost, [*run.rows]) == ({}, epochs(1, *range(2, 33)))

    def test_a_chain_without_a_book_is_told_while_it_lasts(self) -> None:
        """The snapshot does not come: the cause is what broke the chain."""
        run = chained("A")
        run.deliver("A", *ticks(40, 45))
        run.wait(30.0)
        assert set(run.lost.values()) == {"sequence break"}
        run.deliver("A", *ticks(346, 370))
        run.anchor(body(345))
        assert run.lost == dict.fromkeys(epochs(*range(2, 35)), "sequence break")

    def test_a_silence_is_no_loss_yet(self) -> None:
        """The next event may prove it."""
        run = chained("A")
        run.wait(200.0)
        assert run.incidents == []


class TestMistakes:
    """An exception of our own costs rows, never the truth of one."""

    def test_nothing_is_proved_by_a_book_that_lacks_an_event(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The chain ends there; after a new snapshot rows are the oracle's again, and the loss has its cause."""
        run = chained("A")
        with monkeypatch.context() as broken:
            broken.setattr(Book, "sample", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run.deliver("A", event(21, 2100))
        assert not run.capture.chained
        assert run.wants == "start"
        run.deliver("A", *ticks(22, 45))
        new = body(32, ["99 5", "95 5"], ["100 5", "105 5"])
        run.anchor(new)
        truth = oracle.sample(ticks(32, 45), new, SHAPE)
        assert {epoch: run.rows[epoch] for epoch in truth.rows} == stored(truth)
        assert run.lost == {SECOND + 2: "internal error", SECOND + 3: "internal error"}


class TestResets:
    """Ids that begin anew."""

    def reset(self, run: Run, first: int = 1, ms: int = 10_000) -> None:
        """Deliver three events of small ids, much later."""
        run.deliver("A", *(event(number, ms + 100 * number) for number in range(first, first + 3)))

    def old(self) -> Run:
        """Make a run at large ids."""
        run = Run()
        run.anchor(body(1000))
        run.deliver("A", *(event(1000 + number, 100 * number) for number in range(1, 21)))
        assert [*run.rows] == epochs(1)
        return run

    def test_three_events_of_old_ids_and_new_times_break_the_chain(self) -> None:
        """Two do not; then a snapshot of the new ids gives rows again, and the gap has its cause."""
        run = self.old()
        self.reset(run)
        assert run.capture.counts.resyncs == 1
        assert run.wants == "start"
        run.anchor(body(3))
        run.deliver("A", *(event(number, 10_000 + 100 * number) for number in range(4, 25)))
        assert run.incidents == [Incident(SECOND + 2, SECOND + 11, "ids reset")]
        assert [*run.rows] == epochs(1, 11, 12)

    def test_a_snapshot_of_the_old_ids_is_not_waited_for(self) -> None:
        """One that the old stream was about to reach would never be reached by the new one."""
        run = self.old()
        run.anchor(body(1050), "hourly")
        self.reset(run)
        assert run.wants == "start"

    def test_a_snapshot_that_the_stream_does_not_reach_is_given_up(self) -> None:
        """A REST server that still has the old ids: after a minute another one is asked for."""
        run = self.old()
        self.reset(run)
        run.anchor(body(1060))
        assert run.wants is None
        run.wait(59.0)
        assert run.wants is None
        run.wait(2.0)
        run.wait(1.0)
        assert run.wants == "start"
