"""What a check tells: gaps through their life and a late table, once each, on both stores, to a real receiver."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

import pytest

from depth import continuity, rowkey, tables
from depth.alerts.delivery import Dispatcher
from depth.alerts.open import Boards, open_channels
from depth.alerts.options import AlertOptions
from depth.announce import announce
from depth.catalog import DepthTable
from depth.continuity import Check
from depth.epochs import Grid
from depth.errors import StoreUnavailable
from depth.ledger import Entry
from depth.record import Record
from depth.storage.base import Store
from tests.moody import MoodyStore
from tests.receivers import Receiver, receiving

Opener = Callable[[], Awaitable[Store]]

SYMBOL = "BTC/USDT"
BTC = DepthTable("binance_btc_depth", SYMBOL, Grid())
START = 1_768_053_600
END = START + 300
HOLES = [(START + 10, START + 20), (START + 100, START + 150)]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


async def put(store: Store, *spans: tuple[int, int]) -> None:
    await store.ensure_table(BTC.name, tables.DEPTH_COLUMNS)
    epochs = [epoch for span in spans for epoch in range(*span)]
    await store.write(BTC.name, [Record(rowkey.encode(epoch, SYMBOL), {"price": "1"}) for epoch in epochs])


async def put_all_but_the_holes(store: Store) -> None:
    await put(store, (START, START + 10), (START + 20, START + 100), (START + 150, END))


async def check(store: Store, receiver: Receiver, now: int, end: int = END, *, present: bool = False) -> None:
    """Check, and tell, as a run of `flows/verify.py` does."""
    options = AlertOptions("here/x", "here/x", receiver.url)
    boards = Boards(options, Dispatcher(open_channels(options)), lambda: now)
    found = await continuity.verify(store, BTC, Check(START, end, now))
    await announce(boards.of_table(store, BTC.name, SYMBOL), store, found, now, present=present)


async def ledger(store: Store) -> list[Entry]:
    found = store.scan(tables.gaps_table(BTC.name), *rowkey.bounds(0, 9_999_999_999))
    return [Entry.parse(record) async for record in found][::-1]


def told(receiver: Receiver) -> list[tuple[str, int, int, int]]:
    return sorted((got.json["event"], got.json["start"], got.json["end"], got.json["missing"]) for got in receiver.got)


async def test_a_gap_is_told_once_when_it_is_confirmed_and_once_when_it_is_filled(
    store: Store, receiver: Receiver
) -> None:
    """However often it is checked; the ledger says when."""
    await put_all_but_the_holes(store)
    await check(store, receiver, END + 30)
    assert receiver.got == []
    for wait in (40, 50, 60):
        await check(store, receiver, END + wait)
    opened = [("gap.opened", start, end, end - start) for start, end in HOLES]
    assert told(receiver) == opened
    assert {entry.opened_alert_at for entry in await ledger(store)} == {END + 40}
    await put(store, *HOLES)
    for wait in (70, 80):
        await check(store, receiver, END + wait)
    assert told(receiver) == opened + [("gap.resolved", start, end, end - start) for start, end in HOLES]
    assert {entry.resolved_alert_at for entry in await ledger(store)} == {END + 70}
    first = receiver.got[0].json
    assert first["text"] == (
        "here/x: BTC/USDT: 10 epochs are missing, 2026-01-10T14:00:10Z to 2026-01-10T14:00:20Z: no collector"
    )
    assert first["dedup_key"] == f"here/x/{BTC.name}/{START + 10}/{END + 30}/opened"
    assert (first["cause"], first["environment"], first["symbol"]) == ("no collector", "here/x", SYMBOL)


async def test_a_gap_that_goes_on_is_told_once_more_after_ten_minutes(store: Store, receiver: Receiver) -> None:
    await put(store, (START, START + 100))
    for wait in range(150, 1500, 150):
        await check(store, receiver, START + wait, START + wait)
    assert [got.json["event"] for got in receiver.got] == ["gap.opened", "gap.growing"]
    growing = receiver.got[1].json
    assert growing["missing"] > 600
    assert growing["text"].endswith(
        f"epochs go on missing, {growing['missing']} since 2026-01-10T14:01:40Z: no collector"
    )


async def test_checks_at_the_same_time_tell_it_once(open_store: Opener, receiver: Receiver) -> None:
    """Each with a store of its own, as processes have."""
    stores = [await open_store() for _ in range(4)]
    await put_all_but_the_holes(stores[0])
    await check(stores[0], receiver, END + 30)
    await asyncio.gather(*(check(each, receiver, END + 40) for each in stores))
    await check(stores[0], receiver, END + 50)
    assert told(receiver) == [("gap.opened", start, end, end - start) for start, end in HOLES]


async def test_a_dead_receiver_changes_nothing_but_the_time_of_the_message(store: Store, receiver: Receiver) -> None:
    """The check goes through; one line says why; it is told later, once."""
    await put_all_but_the_holes(store)
    receiver.status = 500
    for wait in (30, 40, 50):
        await check(store, receiver, END + wait)
    assert {entry.opened_alert_at for entry in await ledger(store)} == {None}
    receiver.got.clear()
    receiver.status = 200
    for wait in (60, 70):
        await check(store, receiver, END + wait)
    assert told(receiver) == [("gap.opened", start, end, end - start) for start, end in HOLES]


async def test_a_late_table_is_told_by_a_check_of_the_present_alone(store: Store, receiver: Receiver) -> None:
    """Once when its rows stop, once when they go on; by hand over the past it is no news."""
    await put(store, (START, END))
    await check(store, receiver, END + 100, present=False)
    assert receiver.got == []
    for wait in (59, 60, 100):
        await check(store, receiver, END + wait, present=True)
    assert receiver.events == ["stale.opened"]
    assert (receiver.got[0].json["start"], receiver.got[0].json["end"]) == (END, None)
    await put(store, (END, END + 200))
    await check(store, receiver, END + 210, present=True)
    assert receiver.events == ["stale.opened", "stale.resolved"]
    assert receiver.got[1].json["end"] == END + 199


async def test_rows_of_another_program_do_not_make_a_table_fresh(store: Store, receiver: Receiver) -> None:
    await put(store, (START, END))
    await store.write(BTC.name, [Record("0000000000-nonsense", {"price": "1"})])
    await check(store, receiver, END + 100, present=True)
    assert receiver.events == ["stale.opened"]


async def test_an_empty_table_is_not_late(store: Store, receiver: Receiver) -> None:
    """Nobody has begun to collect it."""
    await put(store)
    await check(store, receiver, END, present=True)
    assert receiver.got == []


async def test_a_store_that_goes_away_in_the_middle_is_one_line(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """The next check goes on where this one stopped."""
    caplog.set_level(logging.WARNING)
    store = MoodyStore()
    await put_all_but_the_holes(store)
    await check(store, receiver, END + 30)

    async def away(*_: object) -> bool:
        raise StoreUnavailable("the store is away")

    store.swap = away  # type: ignore[assignment, method-assign]
    await check(store, receiver, END + 40)
    assert receiver.got == []
    assert "sent again later: the store is away" in caplog.text
    del store.swap
    await check(store, receiver, END + 50)
    assert told(receiver) == [("gap.opened", start, end, end - start) for start, end in HOLES]
