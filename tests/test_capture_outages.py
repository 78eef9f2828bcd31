"""What a capture says while nothing can be proved, and what its own mistakes cost."""

import pytest

from depth.book import Book
from depth.capture import Incident
from tests import oracle
from tests.capturing import SECOND, SHAPE, body, chained, epochs, event, stored, ticks


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
