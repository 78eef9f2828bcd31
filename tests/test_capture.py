"""From deliveries to proven seconds: every row is the oracle's, and every second has a row or a cause."""

import json
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from depth.anchoring import Reason, Schedule
from depth.book import Book
from depth.capture import Capture, Incident
from depth.epochs import Grid
from depth.events import parse, to_anchor
from depth.snapshot import encode
from tests import oracle, recordings, strategies

AGAINST_STREAMS = settings(
    deadline=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],  # to explain a failure takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SHAPE = oracle.Shape(Grid().step, Grid().steps)
SECOND = 1_700_000_000
START = SECOND * 1000

Columns = dict[str, str]


class Run:
    """A capture, its sockets and a clock that stands still unless it is moved.

    The frame of an event is received at its own update id, in seconds: so `timestamp` says which event closed a row.
    """

    def __init__(self, sockets: str = "A", grid: Grid | None = None, places: int = 2) -> None:
        chance = Random(0)  # noqa: S311  (jitter)
        self.capture = Capture("BTC/USDT", grid or Grid(), places, "test", Schedule(chance=chance))
        self.now = 0.0
        for socket in sockets:
            self.capture.opened(socket)

    def deliver(self, socket: str, *events: oracle.Event) -> None:
        """Deliver some events over one socket."""
        for wire in events:
            self.capture.delivered(socket, parse(json.dumps(wire)), float(wire["u"]), self.now)

    def anchor(self, body: oracle.Body, reason: Reason = "start") -> None:
        """Hand in a snapshot."""
        self.capture.anchored(to_anchor(body), reason, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.capture.tick(self.now)

    @property
    def wants(self) -> Reason | None:
        """Say why a snapshot is wanted."""
        return self.capture.wants_anchor(self.now)

    @property
    def rows(self) -> dict[int, Columns]:
        """Give the columns of every row, as stored; each epoch once and in order."""
        epochs = [row.epoch for row in self.capture.rows]
        assert epochs == sorted(set(epochs))
        return {row.epoch: dict(encode(row).columns) for row in self.capture.rows}

    @property
    def lost(self) -> dict[int, str]:
        """Give the cause of every epoch without a row; each epoch once."""
        grid = self.capture.grid
        lost = [
            (epoch, incident.cause)
            for incident in self.capture.incidents
            if incident.cause != "suspect"
            for epoch in range(incident.start, incident.end, grid.interval)
        ]
        assert len(dict(lost)) == len(lost)
        return dict(lost)

    @property
    def incidents(self) -> list[Incident]:
        """Give the incidents in order."""
        return self.capture.incidents


def columns(row: oracle.OracleRow) -> Columns:
    """Give the stored columns of the oracle's row, byte for byte."""
    return {
        "price": row.price,
        "orderbook": row.orderbook,
        "timestamp": repr(float(row.closed_by)),
        "event_time": str(row.event_time),
        "update_id": str(row.update_id),
        "covered": "{},{}".format(*row.covered),
        "collector": "test",
    }


def stored(sampled: oracle.Sampled) -> dict[int, Columns]:
    """Give the stored columns of all the oracle's rows."""
    return {epoch: columns(row) for epoch, row in sampled.rows.items()}


def event(
    first: int, ms: int, bids: Sequence[str] = (), asks: Sequence[str] = (), last: int | None = None
) -> dict[str, Any]:
    """Write an event `ms` after the start, with levels as "price amount"."""
    ids = {"E": START + ms, "s": "BTCUSDT", "U": first, "u": last or first}
    return {"e": "depthUpdate", **ids, "b": [level.split() for level in bids], "a": [level.split() for level in asks]}


def body(update_id: int, bids: Sequence[str] = (), asks: Sequence[str] = ()) -> dict[str, Any]:
    """Write a REST body with levels as "price amount"; without any, a plain book of four."""
    bids, asks = bids or ["100 1", "90 1"], asks or ["101 1", "111 1"]
    return {"lastUpdateId": update_id, "bids": [level.split() for level in bids], "asks": [a.split() for a in asks]}


def ticks(first: int, last: int) -> list[oracle.Event]:
    """Write events without changes, one id and 100 ms each; id 1 is 100 ms after the start."""
    return [event(number, 100 * number) for number in range(first, last + 1)]


def epochs(*offsets: int) -> list[int]:
    """Give epochs by their distance from the start."""
    return [SECOND + offset for offset in offsets]


def chained(sockets: str = "A", *, last: int = 20) -> Run:
    """Make a run with a book, with the events 1 to 20 delivered over every socket: two seconds."""
    run = Run(sockets)
    for number, wire in enumerate(ticks(1, last)):
        for socket in sockets:
            run.deliver(socket, wire)
        if number == 0:
            run.anchor(body(1))
    return run


@st.composite
def received(draw: st.DrawFn, max_events: int = 24) -> tuple[strategies.Stream, int]:
    """Draw a stream and the first of its events that a collector receives."""
    stream = draw(strategies.streams(max_events=max_events))
    return stream, draw(st.integers(0, len(stream.events) // 3))


def bodies(stream: strategies.Stream, first: int) -> st.SearchStrategy[oracle.Body]:
    """Draw a body that joins what is received from event `first` on: exactly, straddling, cut inside an event."""
    begin, end = stream.events[first]["U"] - 1, stream.events[-1]["u"]
    update_ids = st.integers(begin, stream.events[first]["u"]) | st.integers(begin, end)
    return st.builds(stream.body_at, update_ids, st.sampled_from([1, 5, 20, 50, 1000, 5000]))


class TestRowsOfAnyStream:
    """Against the oracle, on streams with quiet, silence, µs, equal times, E going back, empty sides, odd deletes."""

    @AGAINST_STREAMS
    @given(st.data(), received(), st.sampled_from([1, 1, 2, 5]), st.sampled_from([2, 8]))
    def test_rows_are_the_oracles_wherever_the_anchor_joins(
        self, data: st.DataObject, what: tuple[strategies.Stream, int], interval: int, places: int
    ) -> None:
        """Every byte of every row and the cause of every other epoch, for a body of any id that arrives at any time."""
        stream, first = what
        events = stream.events[first:]
        anchor = data.draw(bodies(stream, first))
        arrival = data.draw(st.integers(0, len(events)))
        run = Run(grid=Grid(interval=interval), places=places)
        run.deliver("A", *events[:arrival])
        run.anchor(anchor)
        run.deliver("A", *events[arrival:])
        truth = oracle.sample(events, anchor, replace(SHAPE, quote_places=places), interval)
        assert run.rows == stored(truth)
        assert run.lost == truth.absent
        assert run.capture.counts.resyncs == 0
        assert run.capture.counts.rows == len(run.rows)

    @AGAINST_STREAMS
    @given(st.data(), strategies.streams(max_events=24))
    def test_rows_are_the_oracles_however_two_sockets_deliver(
        self, data: st.DataObject, stream: strategies.Stream
    ) -> None:
        """Any split of the events with doubles and delays, and the anchor anywhere in between."""
        delivered = data.draw(strategies.deliveries(stream.events))
        first = stream.events.index(delivered[0][1])
        events = stream.events[first:]
        times = oracle.event_times(stream.events)
        assume(times[first] <= oracle.event_times(events)[0] + 2000)  # else older ones may look like reset ids
        anchor = data.draw(bodies(stream, first))
        arrival = data.draw(st.integers(0, len(delivered)))
        run = Run("AB")
        for number, (socket, wire) in enumerate(delivered):
            if number == arrival:
                run.anchor(anchor)
            run.deliver("AB"[socket], wire)
        if arrival == len(delivered):
            run.anchor(anchor)
        truth = oracle.sample(events, anchor, SHAPE)
        assert run.rows == stored(truth)
        assert run.lost == truth.absent
        assert (run.capture.counts.resyncs, run.capture.sequence.batch_mismatch) == (0, 0)

    @AGAINST_STREAMS
    @given(st.data(), strategies.streams(max_events=24))
    def test_two_starting_times_give_the_same_bytes(self, data: st.DataObject, stream: strategies.Stream) -> None:
        """Of an epoch that both have: equal where as much is known, else no bucket that both know differs."""
        later = data.draw(st.integers(0, len(stream.events) // 2))
        # The later one cannot know an E before its time, if E goes back across its start.
        assume(oracle.event_times(stream.events)[later:] == oracle.event_times(stream.events[later:]))
        runs = []
        for first in (0, later):
            run = Run()
            anchor = data.draw(bodies(stream, first))
            run.deliver("A", *stream.events[first:])
            run.anchor(anchor)
            runs.append(run.capture.rows)
        both = {row.epoch: [row] for row in runs[0]}
        for row in runs[1]:
            both.setdefault(row.epoch, []).append(row)
        for pair in both.values():
            if len(pair) == 2:
                one, two = pair
                if one.covered == two.covered:
                    assert encode(one) == encode(two)
                known = replace(one, bid_buckets=(), ask_buckets=())
                assert known == replace(two, bid_buckets=(), ask_buckets=())
                for mine, theirs in zip(
                    one.bid_buckets + one.ask_buckets, two.bid_buckets + two.ask_buckets, strict=True
                ):
                    assert mine == theirs or None in (mine, theirs)

    @AGAINST_STREAMS
    @given(st.data(), strategies.streams(max_events=24))
    def test_a_live_book_is_swapped_at_one_update_id_and_loses_no_epoch(
        self, data: st.DataObject, stream: strategies.Stream
    ) -> None:
        """A second body of any id, ahead of the stream or behind, cut inside an event or not: the audit agrees.

        Rows before the swap are the old anchor's, those from it on the new one's, all with the times of the live book.
        """
        events = stream.events
        old, new = data.draw(bodies(stream, 0)), data.draw(bodies(stream, 0))
        joined = next(number for number, wire in enumerate(events) if wire["u"] >= old["lastUpdateId"])
        arrival = data.draw(st.integers(joined, len(events) - 1))
        run = Run()
        run.anchor(old)
        run.deliver("A", *events[: arrival + 1])
        run.anchor(new, "hourly")
        run.deliver("A", *events[arrival + 1 :])
        swapped_at = max(events[arrival]["u"], next(wire["u"] for wire in events if wire["u"] >= new["lastUpdateId"]))
        before, after = (oracle.sample(events, each, SHAPE) for each in (old, new))
        truth = oracle.reanchored(events, before, after, swapped_at)
        assert run.rows == stored(truth)
        assert run.lost == truth.absent
        assert set(run.rows) | set(run.lost) == set(before.epochs)
        counts = run.capture.counts
        assert (counts.anchors, counts.audits, counts.audits_agreed) == (2, 1, 1)


class World:
    """An exchange, two unreliable sockets and a slow REST; everything that happens is drawn from one seed."""

    def __init__(self, stream: strategies.Stream, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311  (a test's own)
        self.stream = stream
        self.run = Run("AB")
        self.run.capture.schedule.hourly = 2.0
        self.open = {"A": True, "B": True}
        self.queues: dict[str, deque[oracle.Event]] = {"A": deque(), "B": deque()}
        self.flying: tuple[int, Reason, oracle.Body] | None = None  # steps left
        self.position = stream.opening["lastUpdateId"]

    def play(self) -> None:
        """Let the stream pass, then deliver what is left and end the run."""
        before = self.stream.events[0]["E"]
        for wire in self.stream.events:
            self.run.wait((wire["E"] - before) / (1000 if before < 10**15 else 10**6))
            before = wire["E"]
            self.position = wire["u"]
            for socket, queue in self.queues.items():
                if self.open[socket] and self.chance.random() > 0.15:
                    queue.append(wire)
            self._change_sockets()
            self._deliver(most=2)
        self._deliver(most=1000)
        self.run.capture.finish(self.run.now)

    def _change_sockets(self) -> None:
        for socket, is_open in self.open.items():
            if self.chance.random() < (0.06 if is_open else 0.4):
                self.open[socket] = not is_open
                if is_open:
                    self.queues[socket].clear()
                    self.run.capture.closed(socket, self.run.now)
                else:
                    self.run.capture.opened(socket)

    def _deliver(self, most: int) -> None:
        for _ in range(most):
            for socket, queue in self.queues.items():
                if queue and self.chance.random() < 0.8:
                    self.run.deliver(socket, queue.popleft())
                self._ask()

    def _ask(self) -> None:
        """Ask for a snapshot where one is wanted, and hand it in some steps later."""
        if self.flying is not None:
            left, reason, snapshot = self.flying
            self.flying = (left - 1, reason, snapshot) if left else None
            if not left and self.chance.random() < 0.1:
                self.run.capture.schedule.failed(self.run.now)
            elif not left:
                self.run.anchor(snapshot, reason)
        wanted = self.run.wants
        if self.flying is None and wanted is not None:
            ahead = self.chance.choice([0, 0, 1, 5])
            update_id = min(self.position + ahead, self.stream.events[-1]["u"])
            snapshot = self.stream.body_at(update_id, self.chance.choice([20, 50, 5000]))
            self.flying = (self.chance.choice([0, 1, 4]), wanted, snapshot)


def monotonic(stream: strategies.Stream) -> strategies.Stream:
    """Let E never go back: a collector that starts behind a step back cannot know of it."""
    highest = 0
    events: list[oracle.Event] = []
    for wire in stream.events:
        highest = max(highest, wire["E"])
        events.append({**wire, "E": highest})
    return replace(stream, events=events)


class TestAccounts:
    """Whatever fails: every row is true, and every epoch is accounted for."""

    @settings(AGAINST_STREAMS, max_examples=25)
    @given(strategies.streams(max_events=30).map(monotonic), st.integers(0, 2**32))
    def test_from_the_first_row_to_the_end_each_epoch_has_a_row_or_a_cause(
        self, stream: strategies.Stream, seed: int
    ) -> None:
        """Lost events, closed sockets, late and failed snapshots: no epoch has both, none has neither."""
        world = World(stream, seed)
        world.play()
        rows, lost = world.run.rows, world.run.lost
        accounted = sorted([*rows, *lost])
        assert accounted == [*range(accounted[0], accounted[-1] + 1)] if accounted else True
        assert not rows.keys() & lost.keys()
        assert [(one.start, one.end) for one in world.run.incidents] == sorted(
            (one.start, one.end) for one in world.run.incidents
        )

    @settings(AGAINST_STREAMS, max_examples=25)
    @given(strategies.streams(max_events=30).map(monotonic), st.integers(0, 2**32))
    def test_every_row_is_true_whatever_fails(self, stream: strategies.Stream, seed: int) -> None:
        """Last event, best prices and every known bucket are the whole book's, and no audit is in doubt."""
        world = World(stream, seed)
        world.play()
        truth = oracle.full_rows(stream.events, stream.opening, SHAPE)
        for row in world.run.capture.rows:
            true = truth[row.epoch]
            assert (row.event_time, row.update_id) == (true.event_time, true.update_id)
            assert (row.best_bid, row.best_ask) == (float(true.best_bid), float(true.best_ask))
            for mine, theirs in ((row.bid_buckets, true.bid_buckets), (row.ask_buckets, true.ask_buckets)):
                assert [*mine] == [None if known is None else value for known, value in zip(mine, theirs, strict=True)]
        counts = world.run.capture.counts
        assert counts.audits == counts.audits_agreed

    def test_worlds_lose_and_recover(self) -> None:
        """The property above is worth something: among few seeds there are breaks, fillings, audits and rows after."""
        stream = strategies.Stream(body(0), ticks(1, 200))
        runs = []
        for seed in range(10):
            world = World(stream, seed)
            world.play()
            runs.append(world.run)
        causes = {cause for run in runs for cause in run.lost.values()}
        assert {"sequence break", "disconnect", "stopped"} <= causes
        assert all(run.capture.counts.rows > 3 for run in runs)
        assert any(run.capture.counts.audits for run in runs)


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
        taken, run.capture.incidents = run.capture.incidents, []
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

    def test_after_an_hour_one_is_wanted(self) -> None:
        """Less up to a tenth of jitter; the swap starts the hour anew."""
        run = chained()
        run.now = 3000.0
        assert run.wants is None
        run.now = 3601.0
        assert run.wants == "hourly"
        run.anchor(body(20), "hourly")
        assert run.capture.counts.audits_agreed == 1
        assert run.wants is None

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


class TestRecordings:
    """Real Binance traffic."""

    class Float(NamedTuple):
        """One row's buckets by float sums."""

        bids: list[float]
        asks: list[float]

    @staticmethod
    @cache
    def replayed(name: str) -> Run:
        """Play a recording over one socket, each frame at its own time."""
        recordings.require()
        recording = recordings.load(name)
        run = Run()
        for number, frame in enumerate(recording.frames):
            run.now = number * 0.1
            run.capture.delivered("A", parse(frame), float(number), run.now)
            if number == 0:
                run.anchor(recording.snapshot)
        return run

    def test_golden_283_of_650_epochs_have_nulls_or_no_row(self) -> None:
        """The price fell through the lowest bid that the snapshot knew: 193 rows have a null, 90 epochs no row."""
        run = self.replayed(recordings.GOLDEN)
        nulls = [row for row in run.capture.rows if row.covered != (40, 40)]
        assert (len(nulls), len(run.lost), len(run.rows)) == (193, 90, 560)
        assert set(run.lost.values()) == {"unanchored"}
        assert sorted([*run.rows, *run.lost]) == [*range(1723161256, 1723161906)]
        assert all(row.covered[1] == 40 for row in run.capture.rows)

    @pytest.mark.parametrize(("update_id", "wrong"), [(50093478174, 61564.91), (50093480542, 61556.04)])
    def test_golden_no_row_has_a_best_bid_that_was_not_there(self, update_id: int, wrong: float) -> None:
        """The naive book has it at that update id; here neither the price nor a row of that id exists."""
        run = self.replayed(recordings.GOLDEN)
        assert wrong not in {row.best_bid for row in run.capture.rows}
        assert update_id not in {row.update_id for row in run.capture.rows}

    def test_golden_every_byte_is_the_oracles(self) -> None:
        """All 560 rows and the causes of the 90."""
        recordings.require()
        recording = recordings.load(recordings.GOLDEN)
        run = self.replayed(recordings.GOLDEN)
        truth = oracle.sample(recording.events, recording.snapshot, SHAPE)
        same = [name for name in columns(next(iter(truth.rows.values()))) if name != "timestamp"]
        assert {epoch: [row[name] for name in same] for epoch, row in run.rows.items()} == {
            epoch: [row[name] for name in same] for epoch, row in stored(truth).items()
        }
        assert run.lost == truth.absent

    def test_derived_165_of_514_rows_would_show_float_sums(self) -> None:
        """Summed as floats in the order of the levels and rounded to cents, a third of the rows is another."""
        recordings.require()
        recording = recordings.load(recordings.DERIVED)
        run = self.replayed(recordings.DERIVED)
        rows = {row.update_id: row for row in run.capture.rows}
        sides: dict[str, dict[float, float]] = {
            side: {float(price): float(amount) for price, amount in recording.snapshot[name]}
            for side, name in (("b", "bids"), ("a", "asks"))
        }
        shown: dict[int, bool] = {}
        for wire in recording.events:
            if wire["u"] <= recording.snapshot["lastUpdateId"]:
                continue
            for side, held in sides.items():
                for price, amount in wire[side]:
                    held.pop(float(price), None) if not float(amount) else held.update({float(price): float(amount)})
            if wire["u"] in rows:
                row = rows[wire["u"]]
                bids, asks = (
                    self.float_sums(sides["b"], row.best_bid),
                    self.float_sums(sides["a"], row.best_ask),
                )
                shown[row.update_id] = (tuple(bids), tuple(asks)) != (row.bid_buckets, row.ask_buckets)
        assert len(run.rows) == 514
        assert sum(shown[row.update_id] for row in run.capture.rows) == 165

    @staticmethod
    def float_sums(levels: dict[float, float], best: float) -> list[float]:
        """Sum as the original did."""
        sums = [0.0] * 40
        for price, amount in levels.items():
            if abs(price - best) < best / 1000:  # the window is 0.0008: spares thousands of logarithms
                bucket = int(abs(math.log(best) - math.log(price)) / 0.00002)
                if bucket < 40:
                    sums[bucket] += price * amount
        return [round(total, 2) for total in sums]

    def test_derived_the_quiet_stretch_is_filled(self) -> None:
        """2.1 s without an event: both seconds are rows of one update id, and all rows are full."""
        run = self.replayed(recordings.DERIVED)
        assert {run.rows[epoch]["update_id"] for epoch in (1680652801, 1680652802)} == {"2710249438582"}
        assert [*run.rows] == [*range(1680652701, 1680653215)]
        assert {row.covered for row in run.capture.rows} == {(40, 40)}

    def test_verified_an_audit_by_the_second_snapshot_agrees(self) -> None:
        """After u == 96688021190, whether it comes ahead of the stream or behind; no epoch is lost by the swap."""
        recordings.require()
        recording = recordings.load(recordings.VERIFIED)
        assert recording.verify_snapshot is not None
        plain = self.replayed(recordings.VERIFIED).rows
        assert len(plain) == 6
        for arrival in (30, 60, len(recording.frames)):
            run = Run()
            run.anchor(recording.snapshot)
            for number, frame in enumerate(recording.frames):
                run.capture.delivered("A", parse(frame), float(number), 0.0)
                if number == arrival:
                    run.anchor(recording.verify_snapshot, "hourly")
            if arrival == len(recording.frames):
                run.anchor(recording.verify_snapshot, "hourly")
            counts = run.capture.counts
            assert (counts.anchors, counts.audits, counts.audits_agreed) == (2, 1, 1)
            assert run.rows == plain

    def test_verified_a_wrong_level_in_the_second_snapshot_is_found(self) -> None:
        """One satoshi on one level of 1,974."""
        recordings.require()
        recording = recordings.load(recordings.VERIFIED)
        assert recording.verify_snapshot is not None
        wrong = json.loads(json.dumps(recording.verify_snapshot))
        wrong["bids"][500][1] = f"{Decimal(wrong['bids'][500][1]) + Decimal('0.00000001'):.8f}"
        run = Run()
        run.anchor(recording.snapshot)
        for number, frame in enumerate(recording.frames):
            run.capture.delivered("A", parse(frame), float(number), 0.0)
        run.anchor(wrong, "hourly")
        assert run.capture.counts.audits_agreed == 0
        assert run.wants == "audit"

    def test_small_no_row_is_full(self) -> None:
        """50 levels do not cover the window: six buckets a side are known, and the edge is near at once."""
        run = self.replayed(recordings.SHALLOW)
        assert [row.covered for row in run.capture.rows] == [(6, 6)]
        assert run.lost == {}
        run.now = 61.0
        assert run.wants == "edge"
