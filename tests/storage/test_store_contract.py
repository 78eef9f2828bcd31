"""What both stores promise; every test runs on SQLite and on the Bigtable emulator."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from depth import rowkey
from depth.errors import StoreRefused
from depth.record import Record
from depth.storage.base import Store
from depth.tables import DEPTH_COLUMNS

T = "binance_btc_depth"
FIRST, LAST = rowkey.bounds(1, 2_000_000_000)
Opener = Callable[[], Awaitable[Store]]


@pytest.fixture
async def store(store: Store) -> Store:
    await store.ensure_table(T, DEPTH_COLUMNS)
    return store


def row(epoch: int, **columns: str) -> Record:
    return Record(rowkey.encode(epoch, "BTC/USDT"), columns or {"price": str(epoch)})


def covered(epoch: int, bid: int, ask: int, collector: str) -> Record:
    """A depth row as collectors write it: the more buckets are known, the later its cells."""
    version = epoch * 1_000_000 + 1000 * (999 * (bid + ask) // 80)
    return replace(row(epoch, covered=f"{bid},{ask}", collector=collector), version=version)


async def epochs(store: Store, start: int = 1, end: int = 2_000_000_000, limit: int | None = None) -> list[int]:
    first, last = rowkey.bounds(start, end)
    return [rowkey.decode(record.key)[0] async for record in store.scan(T, first, last, limit=limit)]


async def collector_of(store: Store, epoch: int) -> str:
    found = await store.get(T, rowkey.encode(epoch, "BTC/USDT"))
    assert found is not None
    return found.columns["collector"]


async def test_tables_are_named(store: Store) -> None:
    """Sorted, and from the moment on at which they are made."""
    assert await store.tables() == [T]
    await store.ensure_table("another", ("value",))
    assert await store.tables() == ["another", T]


async def test_what_was_written_is_read_back(store: Store) -> None:
    record = row(1768054365, **{column: f"text of {column}" for column in DEPTH_COLUMNS})
    outcome = await store.write(T, [record])
    assert outcome.acknowledged == (0,)
    assert not outcome.failures
    assert await store.get(T, record.key) == record
    assert [found async for found in store.scan(T, FIRST, LAST)] == [record]


async def test_a_key_that_was_never_written_is_none(store: Store) -> None:
    assert await store.get(T, rowkey.encode(1, "BTC/USDT")) is None


async def test_rows_come_newest_first(store: Store) -> None:
    await store.write(T, [row(epoch) for epoch in (5, 1_768_054_365, 7, 1_768_054_364)])
    assert await epochs(store) == [1_768_054_365, 1_768_054_364, 7, 5]


async def test_bounds_are_half_open(store: Store) -> None:
    await store.write(T, [row(epoch) for epoch in range(10, 20)])
    assert await epochs(store, 12, 15) == [14, 13, 12]
    first, last = rowkey.bounds(12, 15)
    assert [rowkey.decode(key)[0] async for key in store.keys(T, first, last)] == [14, 13, 12]


async def test_a_range_without_epochs_is_empty(store: Store) -> None:
    await store.write(T, [row(10)])
    assert await epochs(store, 10, 10) == []
    assert [key async for key in store.keys(T, LAST, FIRST)] == []


async def test_keys_are_the_keys_of_the_rows(store: Store) -> None:
    await store.write(T, [row(epoch, price="1", orderbook="{}") for epoch in range(1, 51)])
    assert [key async for key in store.keys(T, FIRST, LAST)] == [
        record.key async for record in store.scan(T, FIRST, LAST)
    ]


@pytest.mark.parametrize("limit", [0, 1, 3, 99])
async def test_limit_takes_the_newest(store: Store, limit: int) -> None:
    await store.write(T, [row(epoch) for epoch in range(1, 6)])
    assert await epochs(store, limit=limit) == [5, 4, 3, 2, 1][:limit]


@pytest.mark.parametrize("limit", [0, 1, 3, 99])
async def test_keys_take_a_limit_too(store: Store, limit: int) -> None:
    await store.write(T, [row(epoch) for epoch in range(1, 6)])
    found = [key async for key in store.keys(T, FIRST, LAST, limit)]
    assert found == [row(epoch).key for epoch in (5, 4, 3, 2, 1)][:limit]


async def test_deleted_rows_are_gone_and_the_others_stay(store: Store) -> None:
    await store.write(T, [row(epoch) for epoch in range(1, 6)])
    await store.delete(T, [row(2).key, row(4).key])
    assert await epochs(store) == [5, 3, 1]
    assert await store.get(T, row(2).key) is None


async def test_deleting_what_is_not_there_is_fine(store: Store) -> None:
    await store.write(T, [row(1)])
    await store.delete(T, [row(7).key])
    await store.delete(T, [])
    assert await epochs(store) == [1]


async def test_a_deleted_row_may_be_written_again_and_has_its_new_columns_alone(store: Store) -> None:
    await store.write(T, [row(1, price="1", covered="40,40")])
    await store.delete(T, [row(1).key])
    await store.write(T, [row(1, price="2")])
    assert await store.get(T, row(1).key) == row(1, price="2")


async def test_more_rows_than_one_request_takes_are_deleted(store: Store) -> None:
    await store.write(T, [row(epoch) for epoch in range(1, 1_502)])
    await store.delete(T, [row(epoch).key for epoch in range(1, 1_501)])
    assert await epochs(store) == [1_501]


async def test_only_the_columns_asked_for_are_read(store: Store) -> None:
    await store.write(T, [row(1, price="1", orderbook="{}", covered="40,40")])
    [found] = [found async for found in store.scan(T, FIRST, LAST, columns=("price", "covered", "no_such_column"))]
    assert found.columns == {"price": "1", "covered": "40,40"}


async def test_rows_without_any_column_asked_for_are_left_out(store: Store) -> None:
    await store.write(T, [row(1, price="1"), row(2, orderbook="{}"), row(3, price="3")])
    assert [found.key async for found in store.scan(T, FIRST, LAST, ["price"])] == [row(3).key, row(1).key]
    assert [found async for found in store.scan(T, FIRST, LAST, ["no_such_column"])] == []


async def test_writing_twice_changes_nothing(store: Store) -> None:
    records = [covered(epoch, 40, 40, "a") for epoch in range(1, 11)]
    await store.write(T, records)
    before = [found async for found in store.scan(T, FIRST, LAST)]
    assert (await store.write(T, records)).acknowledged == tuple(range(10))
    assert [found async for found in store.scan(T, FIRST, LAST)] == before


async def test_without_a_version_the_last_write_wins(store: Store) -> None:
    for price in range(20):
        await store.write(T, [row(1, price=str(price))])
    assert await store.get(T, row(1).key) == row(1, price="19")


async def test_of_two_writes_of_a_key_in_one_bulk_the_last_wins(store: Store) -> None:
    await store.write(T, [row(1, price=str(price)) for price in range(20)])
    assert await store.get(T, row(1).key) == row(1, price="19")


async def test_columns_that_are_not_written_stay(store: Store) -> None:
    await store.write(T, [row(1, price="1", covered="40,40")])
    await store.write(T, [row(1, price="2")])
    assert await store.get(T, row(1).key) == row(1, price="2", covered="40,40")


@pytest.mark.parametrize("order", ["better first", "better last"])
async def test_the_better_row_wins_in_either_order(store: Store, order: str) -> None:
    both = [covered(1_768_054_365, 40, 40, "better"), covered(1_768_054_365, 9, 40, "worse")]
    for record in both if order == "better first" else reversed(both):
        assert (await store.write(T, [record])).acknowledged == (0,)
    assert await collector_of(store, 1_768_054_365) == "better"


async def test_coverage_compares_as_a_number(store: Store) -> None:
    await store.write(T, [covered(1, 40, 10, "fifty")])
    await store.write(T, [covered(1, 9, 9, "eighteen")])
    assert await collector_of(store, 1) == "fifty"


async def test_a_row_of_equal_coverage_replaces(store: Store) -> None:
    await store.write(T, [covered(1, 40, 39, "first")])
    await store.write(T, [covered(1, 39, 40, "second")])
    assert await collector_of(store, 1) == "second"


async def test_of_two_rows_of_a_key_in_one_bulk_the_better_wins(store: Store) -> None:
    await store.write(T, [covered(1, 40, 40, "better"), covered(1, 3, 3, "worse")])
    assert await collector_of(store, 1) == "better"


async def test_create_writes_a_new_row_and_leaves_an_old_one(store: Store) -> None:
    assert await store.create(T, row(1, price="1"))
    assert not await store.create(T, row(1, price="2"))
    assert await store.get(T, row(1).key) == row(1, price="1")


async def test_of_many_racing_creators_one_wins(open_store: Opener, store: Store) -> None:
    stores = [store, *[await open_store() for _ in range(3)]]
    racers = [(stores[number % 4], row(1, price=str(number))) for number in range(32)]
    won = await asyncio.gather(*(racer.create(T, record) for racer, record in racers))
    assert sum(won) == 1
    assert await store.get(T, row(1).key) == racers[won.index(True)][1]


async def test_swap_sets_what_is_as_expected_and_nothing_else(store: Store) -> None:
    """From nothing, from a row without the column, from a value; the other columns stay."""
    assert await store.swap(T, row(1).key, "price", None, "1")
    assert not await store.swap(T, row(1).key, "price", None, "2")
    assert not await store.swap(T, row(1).key, "price", "2", "3")
    assert not await store.swap(T, row(2).key, "price", "1", "3")
    assert await store.swap(T, row(1).key, "covered", None, "40,40")
    assert await store.swap(T, row(1).key, "price", "1", "2")
    assert await store.get(T, row(1).key) == row(1, price="2", covered="40,40")
    assert await store.get(T, row(2).key) is None


async def test_swap_knows_the_newest_value_alone(store: Store) -> None:
    """What the column held before does not count."""
    for price in ("1", "2"):
        await store.write(T, [row(1, price=price)])
    assert not await store.swap(T, row(1).key, "price", "1", "3")
    assert await store.swap(T, row(1).key, "price", "2", "3")
    assert not await store.swap(T, row(1).key, "price", "2", "4")
    assert await store.get(T, row(1).key) == row(1, price="3")


@pytest.mark.parametrize("text", ["", "a.*|b", "Ω € 例 🙂", "nul \x00 in the middle", "a\r\nb\t'\"`;--%"])
async def test_swap_compares_text_as_it_is(store: Store, text: str) -> None:
    """No pattern, and nothing is left out."""
    assert await store.swap(T, row(1).key, "price", None, text)
    assert not await store.swap(T, row(1).key, "price", text + "x", "2")
    assert await store.swap(T, row(1).key, "price", text, "2")


@pytest.mark.parametrize("old", [None, "old"])
async def test_of_sixteen_racing_swaps_one_wins(open_store: Opener, store: Store, old: str | None) -> None:
    """From nothing and from a value; what is stored is the winner's."""
    if old is not None:
        await store.write(T, [row(1, price=old)])
    stores = [store, *[await open_store() for _ in range(3)]]
    won = await asyncio.gather(
        *(stores[number % 4].swap(T, row(1).key, "price", old, str(number)) for number in range(16))
    )
    assert sum(won) == 1
    assert await store.get(T, row(1).key) == row(1, price=str(won.index(True)))


async def test_sixteen_may_ensure_one_table(open_store: Opener) -> None:
    stores = [await open_store() for _ in range(4)]
    await asyncio.gather(*(each.ensure_table(T, DEPTH_COLUMNS) for each in stores * 4))
    await stores[0].write(T, [row(1)])
    assert await epochs(stores[3]) == [1]


async def test_ensuring_a_table_again_keeps_its_rows(store: Store) -> None:
    await store.write(T, [row(1)])
    await store.ensure_table(T, DEPTH_COLUMNS)
    assert await epochs(store) == [1]


async def test_another_store_sees_the_rows(open_store: Opener, store: Store) -> None:
    await store.write(T, [row(1)])
    assert await epochs(await open_store()) == [1]


async def test_tables_are_apart(store: Store) -> None:
    await store.ensure_table("binance_eth_depth", DEPTH_COLUMNS)
    await store.write(T, [row(1)])
    assert await store.get("binance_eth_depth", row(1).key) is None


CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "write": lambda store: store.write("nowhere", [row(1)]),
    "get": lambda store: store.get("nowhere", row(1).key),
    "scan": lambda store: anext(store.scan("nowhere", FIRST, LAST)),
    "keys": lambda store: anext(store.keys("nowhere", FIRST, LAST)),
    "create": lambda store: store.create("nowhere", row(1)),
    "delete": lambda store: store.delete("nowhere", [row(1).key]),
    "swap": lambda store: store.swap("nowhere", row(1).key, "price", None, "1"),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_missing_table_is_refused_with_the_remedy(store: Store, call: str) -> None:
    with pytest.raises(StoreRefused) as refusal:
        await CALLS[call](store)
    text = str(refusal.value)
    assert "\n" not in text
    assert "nowhere" in text
    assert ("createtable nowhere" if store.backend == "bigtable" else "start the collector once") in text


async def test_text_is_any_unicode(store: Store) -> None:
    texts = {
        "price": "",
        "orderbook": "Ω € 例 🙂",
        "timestamp": "nul \x00 in the middle",
        "collector": "a\r\nb\t'\"`;--%",
    }
    await store.write(T, [row(1, **texts)])
    assert await store.get(T, row(1).key) == row(1, **texts)


async def test_writing_nothing_is_fine(store: Store) -> None:
    outcome = await store.write(T, [])
    assert outcome.acknowledged == ()
    assert not outcome.failures


async def test_a_row_without_columns_is_a_mistake_of_the_caller(store: Store) -> None:
    with pytest.raises(ValueError, match=r"columns|mutations"):
        await store.write(T, [Record("1", {})])


async def test_a_large_bulk_is_written_and_read_whole(store: Store) -> None:
    """5,500 rows: more than one request of writing, and than one page of reading keys, on Bigtable."""
    records = [covered(epoch, 40, 40, "bulk") for epoch in range(1, 5_501)]
    assert (await store.write(T, records)).acknowledged == tuple(range(5_500))
    wanted = [record.key for record in reversed(records)]
    assert [key async for key in store.keys(T, FIRST, LAST)] == wanted
    assert [record.key async for record in store.scan(T, FIRST, LAST, ["covered"], limit=2_345)] == wanted[:2_345]


async def test_a_scan_misses_no_row_while_others_are_written(store: Store) -> None:
    """Newer rows, which sort first, arrive while a reader is between its pages; the loop is free for the writer."""
    await store.write(T, [row(epoch) for epoch in range(1, 2_501)])
    seen: list[int] = []
    async for record in store.scan(T, FIRST, LAST):
        seen.append(rowkey.decode(record.key)[0])
        if len(seen) % 500 == 0:
            await store.write(T, [row(10_000 + len(seen)), row(len(seen) // 500, price="again")])
    assert [epoch for epoch in seen if epoch < 10_000] == list(range(2_500, 0, -1))


async def test_a_scan_may_be_left_in_the_middle(store: Store) -> None:
    await store.write(T, [row(epoch) for epoch in range(1, 1_501)])
    async for record in store.scan(T, FIRST, LAST):
        assert record.columns
        break
    await store.write(T, [row(9_999)])
    assert await epochs(store, limit=1) == [9_999]
