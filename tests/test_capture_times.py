"""Times of events: quiet, silence, steps back and leaps ahead; and the end of a run."""

import json

import pytest

from depth.epochs import Grid
from depth.events import parse
from depth.losses import Incident
from tests.capturing import SECOND, START, Run, body, chained, epochs, event, ticks


class TestQuiet:
    """Seconds without an event."""

    def test_a_quiet_stretch_of_2_1_s_is_filled(self) -> None:
        """Both epochs in it hold the book of the last event before it."""
        run = chained()
        run.deliver("A", event(21, 4150))
        assert [*run.rows] == epochs(1, 2, 3, 4)
        assert {run.rows[epoch]["update_id"] for epoch in epochs(2, 3, 4)} == {"20"}
        assert {run.rows[epoch]["timestamp"] for epoch in epochs(2, 3, 4)} == {"21.0"}

    def test_silences_of_200_to_400_ms_are_normal(self) -> None:
        """No epoch is lost and nothing is rebuilt."""
        run = Run()
        run.anchor(body(0))
        run.deliver("A", *(event(number, 200 * number + 200 * (number % 2)) for number in range(1, 30)))
        assert [*run.rows] == epochs(1, 2, 3, 4, 5)
        assert (run.lost, run.capture.counts.resyncs) == ({}, 0)

    def test_a_quiet_of_300_s_is_filled(self) -> None:
        """To the last epoch."""
        run = chained()
        run.deliver("A", event(21, 302_000))
        assert [*run.rows] == [*range(SECOND + 1, SECOND + 302)]
        assert run.lost == {}

    @pytest.mark.parametrize(("halted", "cause"), [(False, "silent"), (True, "exchange halted")])
    def test_a_longer_silence_is_a_gap_and_the_book_stays(self, halted: bool, cause: str) -> None:  # noqa: FBT001
        """One ms more: none of its epochs is filled; the next event's are, without a new snapshot."""
        run = chained()
        run.capture.halted = halted
        run.deliver("A", event(21, 302_001), event(22, 303_500))
        assert [*run.rows] == epochs(1, 303)
        assert run.incidents == [Incident(SECOND + 2, SECOND + 303, cause)]  # type: ignore[arg-type]  # parametrized
        assert run.capture.counts.anchors == 1
        assert run.capture.chained

    def test_one_halt_explains_one_silence(self) -> None:
        """The next is merely silent unless the exchange says so again."""
        run = chained()
        run.capture.halted = True
        run.deliver("A", event(21, 400_000), event(22, 401_000), event(23, 800_000))
        assert set(run.lost.values()) == {"exchange halted", "silent"}

    def test_no_timer_cuts_a_row(self) -> None:
        """However much time passes, rows come with events."""
        run = chained()
        rows = run.rows
        for _ in range(100):
            run.wait(1.0)
        assert run.rows == rows
        assert run.lost == {}


class TestTimes:
    """E as it comes."""

    def test_microseconds_make_the_rows_of_milliseconds(self) -> None:
        """The same events, the same bytes."""
        wires = ticks(1, 35)
        runs = [Run(), Run()]
        for run, unit in zip(runs, (1, 1000), strict=True):
            run.anchor(body(0))
            run.deliver("A", *({**wire, "E": wire["E"] * unit + (unit - 1)} for wire in wires))
        assert len(runs[0].rows) == 3
        assert runs[0].rows == runs[1].rows

    def test_e_going_back_rebuilds_nothing(self) -> None:
        """By seconds even: the time stands until E is past it again, and no epoch is lost or cut twice."""
        run = chained()
        run.deliver("A", event(21, 2010), event(22, 500), event(23, 100), event(24, 1900), event(25, 2500))
        run.deliver("A", event(26, 3010))
        assert [*run.rows] == epochs(1, 2, 3)
        assert [run.rows[epoch]["update_id"] for epoch in epochs(2, 3)] == ["20", "25"]
        assert run.rows[SECOND + 3]["event_time"] == str(START + 2500)
        assert (run.lost, run.capture.counts.resyncs) == ({}, 0)

    def test_events_of_one_time_are_all_in_the_row_or_none(self) -> None:
        """Three events at E == T*1000 are in T; three a millisecond later are in T+1."""
        run = Run()
        run.anchor(body(0))
        run.deliver("A", event(1, 900), *(event(number, 1000) for number in (2, 3, 4)))
        run.deliver("A", *(event(number, 1001) for number in (5, 6, 7)), event(8, 2001))
        assert [run.rows[epoch]["update_id"] for epoch in epochs(1, 2)] == ["4", "7"]

    def test_the_receive_time_orders_nothing(self) -> None:
        """A local clock 1.3 s behind, or years: it is written down and used for nothing."""
        run = Run()
        run.anchor(body(0))
        for wire in ticks(1, 25):
            run.capture.delivered("A", parse(json.dumps(wire)), -5.0 * wire["u"], 0.0)
        assert {epoch: row["timestamp"] for epoch, row in run.rows.items()} == dict(
            zip(epochs(1, 2), ["-55.0", "-105.0"], strict=True)
        )

    def test_the_chain_starts_with_the_received_event_of_the_snapshots_id(self) -> None:
        """Its E is in the book: the epoch right after it is proved by the next event."""
        run = Run()
        run.deliver("A", event(1, 900))
        run.anchor(body(1))
        assert run.capture.chained
        run.deliver("A", event(2, 1100))
        assert [*run.rows] == epochs(1)

    def test_the_chain_starts_with_a_straddling_event_else(self) -> None:
        """Between the snapshot and the first event whose E is known there is no row."""
        run = Run()
        run.deliver("A", event(1, 900))
        run.anchor(body(2))
        assert not run.capture.chained
        run.deliver("A", event(2, 1100, last=3))
        assert run.capture.chained
        assert run.rows == {}
        run.deliver("A", event(4, 2100))
        assert [*run.rows] == epochs(2)


class TestFalseTimes:
    """Times that prove to be wrong after they were believed."""

    DAY = 86_400_000

    def leapt(self, by_ms: int) -> Run:
        """Make a run whose exchange tells a false time for a second, then the true one."""
        run = Run(odd_ms=2000)
        run.anchor(body(0))
        for number in range(1, 51):
            run.now = number / 10
            false = by_ms if 21 <= number <= 30 else 0
            run.deliver("A", event(number, 100 * number + false))
        run.anchor(body(33))
        for number in range(51, 71):
            run.now = number / 10
            run.deliver("A", event(number, 100 * number))
        return run

    def test_a_day_ahead_costs_the_second_in_which_it_was_told(self) -> None:
        """Rows go on from the first true event; the second before is lost, the day after is not."""
        run = self.leapt(self.DAY)
        rows = {row.epoch: row.update_id for row in run.capture.rows}
        assert {epoch: rows[epoch] for epoch in epochs(1, 4, 5, 6)} == {
            SECOND + 1: 10,
            SECOND + 4: 40,
            SECOND + 5: 50,
            SECOND + 6: 60,
        }
        lost = [incident for incident in run.incidents if incident.cause != "suspect"]
        assert lost == [Incident(SECOND + 2, SECOND + 4, "silent")]

    def test_rows_of_the_false_time_are_suspect(self) -> None:
        """Those that were cut as quiet, and those that the false events closed; the true ones come again."""
        run = self.leapt(60_000)
        [suspect] = [incident for incident in run.incidents if incident.cause == "suspect"]
        assert (suspect.start, suspect.end) == (SECOND + 2, SECOND + 63)
        assert [row.update_id for row in run.capture.rows if row.epoch == SECOND + 5] == [20, 50]

    def test_a_step_back_rewrites_no_row(self) -> None:
        """A minute back for a second: rows that there are stay, and go on when time is past them."""
        run = self.leapt(-60_000)
        assert [row.epoch for row in run.capture.rows] == epochs(1, 4, 5, 6)
        assert run.incidents == [Incident(SECOND + 2, SECOND + 4, "time jump")]


class TestEnd:
    """The last second of a run."""

    def test_the_last_second_is_left_out_and_said_to_be_stopped(self) -> None:
        """Epochs begun by now that no event has proved."""
        run = chained()
        run.wait(0.9)
        run.capture.finish(run.now)
        assert [*run.rows] == epochs(1)
        assert run.incidents == [Incident(SECOND + 2, SECOND + 3, "stopped")]

    def test_a_run_that_ends_in_a_broken_chain_says_why_it_was_broken(self) -> None:
        """The cause is the break's; it is one incident to the end."""
        run = chained("AB")
        run.deliver("A", event(25, 2500))
        run.wait(2.0)
        run.capture.finish(run.now)
        assert run.incidents == [Incident(SECOND + 2, SECOND + 5, "sequence break")]

    def test_a_run_without_rows_has_nothing_to_account_for(self) -> None:
        """Before the first row nobody expects one."""
        run = Run()
        run.capture.finish(0.0)
        run.deliver("A", *ticks(1, 30))
        run.capture.finish(0.0)
        assert (run.rows, run.incidents, run.capture.last_epoch) == ({}, [], None)

    def test_the_end_follows_the_exchanges_clock(self) -> None:
        """3.2 s after the last event 5 epochs have begun, by E; the local receive times say nothing."""
        run = chained()
        run.wait(3.2)
        run.capture.finish(run.now)
        assert [*run.lost] == epochs(2, 3, 4, 5)
        assert run.capture.last_epoch == SECOND + 5

    def test_the_end_lies_on_the_grid(self) -> None:
        """With an interval of 5 s only its multiples are accounted for."""
        run = Run(grid=Grid(interval=5))
        run.anchor(body(0))
        run.deliver("A", *ticks(1, 171))
        run.capture.finish(run.now + 4.0)
        assert [*run.rows] == epochs(5, 10, 15)
        assert run.lost == {SECOND + 20: "stopped"}
