"""Whatever two sockets deliver of any stream, the sequence gives it once and whole."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from depth.book import Book
from depth.epochs import Grid
from depth.events import parse_anchor
from depth.sequence import Broken
from tests import oracle, strategies
from tests.sequencing import Sockets, at, event, read

AGAINST_STREAMS = settings(
    deadline=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],  # to explain a failure takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@AGAINST_STREAMS
@given(st.data(), strategies.streams(max_events=24))
def test_two_sockets_give_every_event_once_and_in_order(data: st.DataObject, stream: strategies.Stream) -> None:
    """Any split, doubling and delay: from the first event delivered on, each once, with the running maximum of E."""
    delivered = data.draw(strategies.deliveries(stream.events))
    start = stream.events.index(delivered[0][1])
    expected = stream.events[start:]
    times = oracle.event_times(expected)
    # An older event that arrives later, with an E over 2 s ahead, may belong to reset ids: not here.
    assume(oracle.event_times(stream.events[: start + 1])[-1] <= times[0] + 2000)
    sockets = Sockets()
    steps = [
        step for socket, wire in delivered for step in sockets.sequence.deliver("AB"[socket], read(wire), 0.5, 0.0)
    ]
    given_out = [step for step in steps if not isinstance(step, Broken)]
    assert len(given_out) == len(steps)
    assert [event for event, _ in given_out] == [read(wire) for wire in expected]
    assert [ordered.time for _, ordered in given_out] == times
    assert [ordered.event() for _, ordered in given_out] == [event for event, _ in given_out]
    assert sockets.sequence.position == expected[-1]["u"]
    assert not sockets.sequence.hole
    assert sockets.sequence.batch_mismatch == 0


@AGAINST_STREAMS
@given(st.data(), strategies.streams(max_events=24))
def test_the_book_behind_two_sockets_is_the_naive_one(data: st.DataObject, stream: strategies.Stream) -> None:
    """The same levels as a dict that simply takes every event in order."""
    delivered = data.draw(strategies.deliveries(stream.events))
    sequence = Sockets().sequence
    steps = [step for socket, wire in delivered for step in sequence.deliver("AB"[socket], read(wire), 0.5, 0.0)]
    first = delivered[0][1]["U"] - 1
    book = Book(parse_anchor(json.dumps(stream.body_at(first, 5000))), Grid(), 2)
    for step in steps:
        assert not isinstance(step, Broken)
        book.apply(step[0])
    bids, asks = oracle.NaiveBook(stream.opening).apply_all(stream.events)
    naive = {
        "lastUpdateId": stream.events[-1]["u"],
        "bids": [[str(price), str(bids[price])] for price in sorted(bids, reverse=True)],
        "asks": [[str(price), str(asks[price])] for price in sorted(asks)],
    }
    assert book.audit(Book(parse_anchor(json.dumps(naive)), Grid(), 2)).agrees


def merged(events: Sequence[oracle.Event]) -> dict[str, Any]:
    """Batch neighbouring events into one, as a server with other slots would: the last amount of each price counts."""
    sides = {side: {float(p): [p, a] for wire in events for p, a in wire[side]} for side in "ba"}
    levels = {side: [*changes.values()] for side, changes in sides.items()}
    return {**events[-1], "U": events[0]["U"], **levels}


@AGAINST_STREAMS
@given(st.data(), strategies.streams(max_events=20))
def test_sockets_that_batch_differently_give_one_book(data: st.DataObject, stream: strategies.Stream) -> None:
    """Straddling and covering batches join without a break and without a change missed."""
    cuts = data.draw(st.lists(st.booleans(), min_size=len(stream.events), max_size=len(stream.events)))
    batches: list[list[oracle.Event]] = [[]]
    for wire, cut in zip(stream.events, cuts, strict=True):
        batches[-1].append(wire)
        if cut:
            batches.append([])
    waiting: dict[str, list[oracle.Event]] = {"A": [*stream.events], "B": [merged(batch) for batch in batches if batch]}
    sequence = Sockets().sequence
    book = Book(parse_anchor(json.dumps(stream.opening)), Grid(), 2)
    start = data.draw(st.sampled_from("AB"))
    while any(waiting.values()):
        socket = start if waiting[start] and book.last_id == stream.opening["lastUpdateId"] else None
        socket = socket or data.draw(st.sampled_from([name for name, left in waiting.items() if left]))
        for step in sequence.deliver(socket, read(waiting[socket].pop(0)), 0.5, 0.0):
            assert not isinstance(step, Broken)
            assert step[0].first_id <= book.last_id + 1 <= step[0].last_id
            book.apply(step[0])
    whole = Book(parse_anchor(json.dumps(stream.body_at(stream.events[-1]["u"], 5000))), Grid(), 2)
    assert book.last_id == stream.events[-1]["u"]
    assert book.audit(whole).agrees


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from([0.0, 0.1, 0.1, 1.0, 2.5])), max_size=40))
def test_a_chain_never_skips_an_id(routes: list[tuple[bool, bool, float]]) -> None:
    """Events lost on either socket or both: ids run on without a gap between two breaks, and never go back."""
    sockets, steps = Sockets(), []
    for number, (over_a, over_b, pause) in enumerate(routes, start=1):
        steps += sockets.wait(pause)
        for name, delivers in (("A", over_a), ("B", over_b)):
            if delivers:
                steps += sockets.deliver(name, event(10 * number - 9, 10 * number, at(number)))
    steps += sockets.wait(10.0)
    heard = [10 * number for number, route in enumerate(routes, start=1) if route[0] or route[1]]
    assert [step for step in steps if step != "sequence break"] == heard
    broken, last = True, 0
    for step in steps:
        if isinstance(step, str):
            broken = True
        else:
            assert broken or step == last + 10
            broken, last = False, step
    assert not sockets.sequence.hole
