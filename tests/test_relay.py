"""Runs that hand over: beacons, and waiting for successors. Hours pass in milliseconds."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from depth import presence, relay, tables
from depth.presence import Presence
from depth.record import Record
from depth.relay import Relay, hand_over
from tests import virtual
from tests.moody import MoodyStore
from tests.virtual import VirtualLoop

TABLES = ("binance_btc_depth", "binance_eth_depth")
COMPANIONS = tuple(tables.collectors_table(table) for table in TABLES)
MINE = Presence("old", "here", scheduled=1000, state="chained", seen_at=1.0, first_epoch=1003, last_epoch=2000)
NEXT = Presence("new", "here", scheduled=2000, state="chained", seen_at=1.0, first_epoch=1990)


class Store(MoodyStore):
    """A store, and what a run says of itself: the mood ``me`` is the run's own."""

    async def me(self) -> Presence:
        await self._be_moody("me")
        return MINE


@pytest.fixture
def store() -> Store:
    """A store with a table for each of two symbols, in a good mood."""
    store = Store()
    for companion in COMPANIONS:
        store.rows[companion] = {}
    return store


async def live(store: Store, companion: str, one: Presence = NEXT, seconds: float = 1e9) -> None:
    """Write a presence every 5 s, as a collector does."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        record = presence.encode(msgspec.structs.replace(one, seen_at=loop.time()))
        store.rows[companion][record.key] = dict(record.columns)
        await asyncio.sleep(5)


def relays(store: Store) -> list[Relay]:
    return [Relay(store, table, store.me) for table in TABLES]


def play(scene: Coroutine[Any, Any, float]) -> float:
    """Run a scene in a time of its own; give what it gives."""
    return virtual.run(VirtualLoop(), scene)


async def hands_over(store: Store, *others: Coroutine[Any, Any, None], replicas: int = 1) -> float:
    """Give the seconds until this run has handed over, an hour if it has not."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(other) for other in others]
    began = loop.time()
    try:
        async with asyncio.timeout(3600):
            await hand_over(relays(store), replicas)
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return loop.time() - began


def test_a_run_hands_over_once_a_later_one_lives_in_every_table(store: Store) -> None:
    """Two changes of each presence are seen: 10 s after its first row."""
    assert 10 <= play(hands_over(store, *(live(store, companion) for companion in COMPANIONS))) <= 13


def test_a_successor_in_one_table_of_two_is_none(store: Store) -> None:
    """The other symbol would be without a collector."""
    assert play(hands_over(store, live(store, COMPANIONS[0]))) == 3600


def test_successors_count_only_at_the_same_time(store: Store) -> None:
    """One that died before the other table's came is not remembered."""

    async def later() -> None:
        await asyncio.sleep(60)
        await live(store, COMPANIONS[1])

    assert play(hands_over(store, live(store, COMPANIONS[0], seconds=30), later())) == 3600


def test_two_replicas_are_two_later_runs(store: Store) -> None:
    """One is not enough; two are."""
    newest = msgspec.structs.replace(NEXT, collector="newest", scheduled=3000)
    one = [live(store, companion) for companion in COMPANIONS]
    both = [*(live(store, companion) for companion in COMPANIONS)]
    both += [live(store, companion, newest) for companion in COMPANIONS]
    assert play(hands_over(store, *one, replicas=2)) == 3600
    assert play(hands_over(store, *both, replicas=2)) < 20


@pytest.mark.parametrize("mood", ["away", "hangs", "breaks"])
@pytest.mark.parametrize("what", ["scan", "me"])
def test_a_failure_to_look_is_passed_over(store: Store, what: str, mood: str) -> None:
    """Whatever fails for two minutes: the run goes on, then hands over."""

    async def gets_well() -> None:
        await asyncio.sleep(120)
        store.moods.clear()

    store.moods[what] = mood
    others = [live(store, companion) for companion in COMPANIONS]
    assert 120 < play(hands_over(store, *others, gets_well())) < 140


def test_a_mistake_of_ours_is_told_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """An error with its cause, once for each table and not every 2 s."""
    store.moods["me"] = "breaks"
    assert play(hands_over(store)) == 3600
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in told] == [
        "presence of the others cannot be read, it is tried again"
    ] * len(TABLES)
    assert all("a mistake of ours" in str(record.exc_info) for record in told)


def test_without_a_successor_it_says_so_every_five_minutes(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A warning, not a flood."""
    assert play(hands_over(store)) == 3600
    assert caplog.messages == ["0 of 1 successors: this run goes on until there are enough"] * 11


@pytest.mark.parametrize("mood", ["away", "hangs", "breaks"])
def test_a_beacon_goes_on_after_a_failure(store: Store, mood: str, caplog: pytest.LogCaptureFixture) -> None:
    """Presence is written again as soon as it can be; only what nobody thought of is told, once."""

    async def scene() -> float:
        store.moods[COMPANIONS[0]] = mood
        beacon = asyncio.create_task(relays(store)[0].beacon())
        await asyncio.sleep(60)
        store.moods.clear()
        await asyncio.sleep(11)
        beacon.cancel()
        return float(len(store.rows[COMPANIONS[0]]))

    assert play(scene()) == 1
    told = [message for message in caplog.messages if "cannot be written" in message]
    assert told == ["presence of this run cannot be written, it is tried again"] * (mood == "breaks")


async def test_rows_that_another_program_wrote_are_skipped(store: Store) -> None:
    """What cannot be read is no presence, and no reason to stop reading."""
    record = presence.encode(msgspec.structs.replace(NEXT, seen_at=time.time()))
    await store.write(COMPANIONS[0], [record, Record("presence#0#x", {"value": "{}"})])
    assert [one.collector for one in await relay.read(store, COMPANIONS[0])] == ["new"]
