"""Whether one more collector is wanted: by what the others write while one looks, and by order."""

import asyncio
import time
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth import presence, tables
from depth.presence import Presence
from depth.wanted import LATE_SECONDS, Answer, Group, Order, wanted
from tests import virtual
from tests.memory import MemoryStore
from tests.moody import MoodyStore
from tests.virtual import VirtualLoop

ONE, TWO = "binance_btc_depth", "binance_eth_depth"
GROUP = Group("here", 1, (ONE,))
PAIR = Group("here", 2, (ONE,))
NOW = int(time.time())


def someone(name: str, scheduled: int = NOW - 600, group: str = "here") -> Presence:
    return Presence(name, group, scheduled=scheduled, state="chained", seen_at=time.time())


def write(store: MemoryStore, table: str, one: Presence) -> None:
    record = presence.encode(one)
    store.rows.setdefault(tables.collectors_table(table), {})[record.key] = dict(record.columns)


async def live(store: MemoryStore, table: str, one: Presence) -> None:
    """Write a presence every 5 s."""
    while True:
        one = msgspec.structs.replace(one, seen_at=one.seen_at + 0.001)
        write(store, table, one)
        await asyncio.sleep(5)


def decide(  # noqa: PLR0913, PLR0917  # the arguments of `wanted`, and who is live
    group: Group = GROUP,
    others: Sequence[tuple[str, Presence]] = (),
    coming: Sequence[Order] = (),
    mine: Order | None = None,
    gone: int | None = None,
    store: MemoryStore | None = None,
) -> tuple[Answer, float]:
    """Ask while others live; give the answer and the seconds that it took."""
    place = store or MemoryStore()
    for table in group.tables:
        place.rows.setdefault(tables.collectors_table(table), {})

    async def scene() -> tuple[Answer, float]:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(live(place, table, one)) for table, one in others]
        await asyncio.sleep(17)
        began = loop.time()
        answer = await wanted(place, group, coming, mine, gone)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return answer, loop.time() - began

    return virtual.run(VirtualLoop(), scene())


def test_where_nobody_ever_collected_one_is_wanted_at_once() -> None:
    """No row, no waiting."""
    assert decide() == (Answer(wanted=True, why="0 of 1 collectors are live"), 0)


def test_who_writes_while_one_looks_is_live() -> None:
    """The next beacon decides: 3 s later here, 5 s at most."""
    answer, took = decide(others=[(ONE, someone("a"))])
    assert answer == (False, "1 of 1 collectors are live")
    assert took <= 5


def test_a_row_that_was_left_behind_is_nobody() -> None:
    """It does not change within the time that a beacon may take."""
    store = MemoryStore()
    write(store, ONE, someone("dead"))
    answer, took = decide(store=store)
    assert answer.wanted
    assert 8 <= took <= 9


def test_a_row_older_than_a_minute_is_not_waited_for() -> None:
    """Runs of yesterday leave their rows behind."""
    store = MemoryStore()
    write(store, ONE, msgspec.structs.replace(someone("old"), seen_at=time.time() - 61))
    assert decide(store=store) == (Answer(wanted=True, why="0 of 1 collectors are live"), 0)


def test_the_run_that_has_just_crashed_is_not_waited_for() -> None:
    """Whoever asks in its place knows better than its last row."""
    store = MemoryStore()
    write(store, ONE, someone("crashed", scheduled=NOW - 30))
    assert decide(store=store, gone=NOW - 30) == (Answer(wanted=True, why="0 of 1 collectors are live"), 0)


def test_another_group_does_not_count() -> None:
    """Another zone stands in for nobody here."""
    assert decide(others=[(ONE, someone("a", group="there"))])[0].wanted


def test_two_replicas_are_two_live_collectors() -> None:
    """One is not enough, two are."""
    a, b = (ONE, someone("a", NOW - 600)), (ONE, someone("b", NOW - 60))
    assert decide(PAIR, [a])[0] == (True, "1 of 2 collectors are live")
    assert decide(PAIR, [a, b])[0] == (False, "2 of 2 collectors are live")


def test_a_collector_is_live_where_it_writes_to_every_table() -> None:
    """One that collects BTC alone does not do for BTC and ETH."""
    both = Group("here", 1, (ONE, TWO))
    assert decide(both, [(ONE, someone("a"))])[0].wanted
    assert not decide(both, [(ONE, someone("a")), (TWO, someone("a"))])[0].wanted


def test_a_run_that_is_about_to_start_counts_without_a_look() -> None:
    """As many as are wanted are on their way."""
    assert decide(coming=[(NOW, "x")]) == (Answer(wanted=False, why="1 other runs are about to start"), 0)


def test_a_run_that_has_just_become_live_is_not_counted_twice() -> None:
    """Prefect says that it starts, the store that it lives: one collector of two."""
    assert decide(PAIR, [(ONE, someone("a", NOW))], coming=[(NOW, "x")])[0] == (True, "1 of 2 collectors are live")


def test_on_time_a_run_is_wanted_whoever_is_live() -> None:
    """It is the successor; nobody is looked at."""
    answer, took = decide(others=[(ONE, someone("a"))], mine=(int(time.time()) - 100, "me"))
    assert (answer.wanted, took) == (True, 0)


def test_late_a_run_is_wanted_only_where_somebody_is_missing() -> None:
    """The worker was away, somebody else collects."""
    mine = (NOW - int(LATE_SECONDS) - 1, "me")
    assert not decide(others=[(ONE, someone("a"))], mine=mine)[0].wanted
    assert decide(mine=mine)[0].wanted


def test_a_run_makes_way_for_a_later_one_even_on_time() -> None:
    """Six schedules of a fast deployment are due at once: the newest stays."""
    assert decide(coming=[(NOW, "y")], mine=(NOW - 20, "x"))[0] == (False, "1 later runs are about to start")
    assert decide(coming=[(NOW - 20, "x")], mine=(NOW, "y"))[0].wanted


@given(
    starts=st.lists(st.integers(0, 6).map(lambda hour: NOW - 3600 * hour), min_size=1, max_size=8, unique=True),
    replicas=st.integers(1, 2),
)
def test_of_late_runs_as_many_stay_as_are_wanted(starts: list[int], replicas: int) -> None:
    """They start at the same time and see nobody live: each knows by the order alone whether it stays."""
    orders = [(start, f"id-{start}") for start in starts]
    group = Group("here", replicas, (ONE,))
    stay = [
        mine for mine in orders if decide(group, coming=[one for one in orders if one != mine], mine=mine)[0].wanted
    ]
    assert sorted(stay) == sorted(orders)[-replicas:]


@pytest.mark.parametrize("mood", ["away", "hangs"])
def test_where_the_store_does_not_answer_one_more_is_wanted(mood: str) -> None:
    """A collector too many does no harm."""
    store = MoodyStore()
    store.moods["scan"] = mood
    answer, took = decide(store=store)
    assert answer.wanted
    assert answer.why.startswith("who is live is not known: ")
    assert took <= 10


async def test_without_a_table_nobody_is_live() -> None:
    """Before the very first run."""
    answer = await wanted(MemoryStore(), GROUP)
    assert answer.wanted
    assert "no table" in answer.why
