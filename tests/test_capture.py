"""From deliveries to proven seconds: every row is the oracle's, and every second has a row or a cause."""

from collections import deque
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from depth.epochs import Grid
from depth.snapshot import encode
from tests import oracle, strategies
from tests.capturing import AGAINST_STREAMS, SHAPE, Run, body, stored, ticks

if TYPE_CHECKING:
    from depth.anchoring import Reason


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
                self.run.capture.schedule.failed(self.run.now, reason)
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
