"""The ledger that checks leave, held against a model epoch by epoch, whatever they looked at."""

import asyncio
from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from depth import continuity, gaps, tables
from depth.continuity import Check
from depth.gaps import Interval
from depth.incidents import Report
from depth.ledger import Entry
from tests.checks import BTC, begin, entries, keys, put, told
from tests.memory import MemoryStore

HORIZON = 60


@dataclass
class World:
    """A model of table and ledger, epoch by epoch; what `verify` must agree with."""

    stored: set[int] = field(default_factory=set)
    open: dict[int, int] = field(default_factory=dict)  # epoch to detected_at
    resolved: dict[int, tuple[int, int]] = field(default_factory=dict)  # epoch to detected_at, resolved_at
    lost: dict[int, int] = field(default_factory=dict)  # of those that are open: epoch to lost_at

    def check(self, start: int, end: int, now: int) -> None:
        """Look at a window and at what is open, and from there back."""
        began = min([*self.stored, *self.open, *self.resolved], default=HORIZON)
        touched = set(range(max(start, began), end)) | set(self.open)
        absent = gaps.subtract([Interval(began, HORIZON)], gaps.merge((epoch, epoch + 1) for epoch in self.stored))
        for epoch in self.stored & set(self.open):
            self.resolved[epoch] = (self.open.pop(epoch), now)
            self.lost.pop(epoch, None)
        for run in absent:
            if seen := touched & set(range(*run)):
                epochs = range(run.start, max(seen) + 1)
                known = [epoch for epoch in epochs if epoch in self.open]
                detected = min((self.open[epoch] for epoch in known), default=now)
                stays = bool(known) and known[-1] == epochs[-1] and set(known) <= set(self.lost)
                is_over = epochs.stop in self.stored and detected <= now - 600
                lost_at = min([now, *(self.lost[epoch] for epoch in known if epoch in self.lost)])
                for epoch in epochs:
                    self.open[epoch] = detected
                    self.resolved.pop(epoch, None)
                    self.lost.pop(epoch, None)
                    if is_over or stays:
                        self.lost[epoch] = lost_at


actions = st.lists(
    st.one_of(
        st.tuples(st.just("check"), st.integers(0, HORIZON), st.integers(0, HORIZON)),
        st.tuples(st.just("store"), st.integers(0, HORIZON), st.integers(0, 25)),
        st.tuples(st.just("lose"), st.integers(0, HORIZON), st.integers(0, 25)),
    ),
    max_size=12,
)


async def play(script: list[tuple[str, int, int]]) -> None:
    store, world = MemoryStore(), World()
    await begin(store, (5, HORIZON))
    world.stored = set(range(5, HORIZON))
    for now, (action, one, other) in zip(count(1000, 400), script, strict=False):
        span = set(range(one, min(one + other, HORIZON)))
        if action == "store":
            await put(store, *((epoch, epoch + 1) for epoch in span))
            world.stored |= span
        elif action == "lose":
            await store.delete(BTC.name, keys(*((epoch, epoch + 1) for epoch in span)))
            world.stored -= span
        else:
            start, end = sorted((one, other))
            await continuity.verify(store, BTC, Check(start, end, now, grace=now - HORIZON))
            world.check(start, end, now)
            before = store.writes
            await continuity.verify(store, BTC, Check(start, end, now + 1, grace=now + 1 - HORIZON))
            assert store.writes == before
        await agrees(store, world)


async def agrees(store: MemoryStore, world: World) -> None:
    """The ledger is what the model says, in entries that share no epoch; open ones are as long as can be."""
    await store.ensure_table(tables.gaps_table(BTC.name), ())
    found = await entries(store)
    for one, other in pairwise(found):
        assert one.end <= other.start
        assert not (one.open and other.open and one.end == other.start)
    assert {epoch: entry.detected_at for entry in found if entry.open for epoch in range(*entry.span)} == world.open
    assert {
        epoch: entry.lost_at
        for entry in found
        if entry.open and entry.lost_at is not None
        for epoch in range(*entry.span)
    } == world.lost
    assert {
        epoch: (entry.detected_at, entry.resolved_at)
        for entry in found
        if not entry.open
        for epoch in range(*entry.span)
    } == world.resolved


@settings(max_examples=300, deadline=None)
@given(actions)
def test_the_ledger_says_of_every_epoch_what_happened_to_it(script: list[tuple[str, int, int]]) -> None:
    """Rows come, go and come again between checks of any windows; each check made twice changes nothing more."""
    asyncio.run(play(script))


windows = st.lists(st.tuples(st.integers(0, HORIZON), st.integers(0, HORIZON)).map(sorted), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.sets(st.integers(0, HORIZON - 1)), windows, st.randoms(use_true_random=False))
def test_any_overlap_and_order_of_windows_gives_the_same_ledger(
    stored: set[int], parts: list[list[int]], random: Random
) -> None:
    """One check of everything, or checks of parts that cover it, in any order."""
    reports = [Report(3, 20, "disconnect", "a"), Report(10, 40, "silent", "b")]

    async def ledger(*checks: list[int]) -> list[Entry]:
        store = MemoryStore()
        await begin(store, *((epoch, epoch + 1) for epoch in stored))
        await told(store, *reports)
        await store.ensure_table(tables.gaps_table(BTC.name), ())
        for now in (1000, 1600):  # the second time what is over is lost
            for start, end in checks:
                await continuity.verify(store, BTC, Check(start, end, now, grace=now - HORIZON))
        return await entries(store)

    halves = [*parts, [0, HORIZON // 2], [HORIZON // 2, HORIZON]]
    random.shuffle(halves)
    assert asyncio.run(ledger(*halves)) == asyncio.run(ledger([0, HORIZON]))
