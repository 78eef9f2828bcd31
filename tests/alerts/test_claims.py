"""Who sends a message: of many who could, one does. On SQLite, on the Bigtable emulator, and in the spool file."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from depth.alerts.cells import Cells, SpoolCells, StoredCells
from depth.alerts.claims import Claims
from depth.errors import StoreUnavailable
from depth.storage.base import Store
from depth.storage.sqlite import SqliteStore
from tests.alerts.fakes import Clock, MemoryCells

T = "binance_btc_depth_collectors"
KEY = "alert#binance_btc_depth/1768054365/1768054500/opened#webhook"
CellsOpener = Callable[[], Awaitable[Cells]]


@pytest.fixture(params=["sqlite", "bigtable", "spool"])
async def open_cells(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CellsOpener]:
    """Open further cells on the same place, as other processes would."""
    opened = list[Store]()
    place = f"i{uuid4().hex}"

    async def opener() -> Cells:
        if request.param == "bigtable":
            from depth.storage.bigtable import BigtableStore  # noqa: PLC0415 - as callers do, for that backend alone

            opened.append(BigtableStore("project", place, None, request.getfixturevalue("bigtable_host")))
        else:
            opened.append(SqliteStore(tmp_path / "some.db"))
        if request.param == "spool":
            return SpoolCells(opened[-1])
        await opened[-1].ensure_table(T, ("value",))
        return StoredCells(opened[-1], T)

    yield opener
    for store in opened:
        await store.close()


async def test_cells_are_texts_under_keys(open_cells: CellsOpener) -> None:
    """Read alone and by how their keys begin, set by comparison, taken away; another process sees the same."""
    cells, others = await open_cells(), await open_cells()
    assert await cells.get("a#1") is None
    assert await cells.swap("a#1", None, "x")
    assert not await others.swap("a#1", None, "y")
    assert await others.swap("a#1", "x", "z")
    assert await others.swap("a#2", None, "")
    assert await cells.swap("b#1", None, "x")
    assert await cells.under("a#") == {"a#1": "z", "a#2": ""}
    await cells.drop(["a#1"])
    await cells.drop(["a#1", "a#3"])
    assert await others.under("") == {"a#2": "", "b#1": "x"}


async def test_a_message_is_claimed_sent_and_never_claimed_again(open_cells: CellsOpener) -> None:
    one, two = [Claims(await open_cells()) for _ in range(2)]
    assert await one.claim(KEY) == "mine"
    assert await two.claim(KEY) == "another's"
    await one.sent(KEY)
    assert [await one.claim(KEY), await two.claim(KEY)] == ["sent", "sent"]


async def test_of_sixteen_racers_one_sends(open_cells: CellsOpener) -> None:
    racers = [Claims(await open_cells()) for _ in range(4)]
    racers += [Claims(racer._cells) for racer in racers * 3]
    claimed = await asyncio.gather(*(racer.claim(KEY) for racer in racers))
    assert sorted(claimed) == ["another's"] * 15 + ["mine"]


async def test_what_did_not_get_through_is_free_for_the_next(open_cells: CellsOpener) -> None:
    one, two = [Claims(await open_cells()) for _ in range(2)]
    await one.claim(KEY)
    await one.release(KEY)
    assert await two.claim(KEY) == "mine"
    assert await one.claim(KEY) == "another's"


async def test_a_dead_ones_claim_is_taken_over_after_its_lease(open_cells: CellsOpener) -> None:
    """Not before, and by one alone."""
    cells, clock = await open_cells(), Clock()
    await Claims(cells, 60, clock).claim(KEY)
    heirs = [Claims(await open_cells(), 60, clock) for _ in range(4)]
    clock.now += 59
    assert {await heir.claim(KEY) for heir in heirs} == {"another's"}
    clock.now += 2
    assert sorted(await asyncio.gather(*(heir.claim(KEY) for heir in heirs))) == ["another's"] * 3 + ["mine"]


async def test_who_comes_back_after_a_takeover_undoes_nothing(open_cells: CellsOpener) -> None:
    """It was frozen for longer than its lease: neither its release nor its mark counts."""
    cells, clock = await open_cells(), Clock()
    frozen, heir = Claims(cells, 60, clock), Claims(await open_cells(), 60, clock)
    await frozen.claim(KEY)
    clock.now += 61
    assert await heir.claim(KEY) == "mine"
    await frozen.release(KEY)
    assert await frozen.claim(KEY) == "another's"


async def test_one_that_does_not_know_whether_it_has_claimed_goes_on() -> None:
    """The store set the cell, and its answer was lost."""
    cells = MemoryCells()
    claims = Claims(cells)

    async def lose(key: str, old: str | None, new: str) -> bool:
        await MemoryCells.swap(cells, key, old, new)
        raise StoreUnavailable("the answer was lost")

    cells.swap = lose  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await claims.claim(KEY)
    del cells.swap
    assert await Claims(cells).claim(KEY) == "another's"
    assert await claims.claim(KEY) == "mine"


async def test_a_mark_that_did_not_get_through_is_made_up_for_and_nothing_is_sent_again() -> None:
    """By the process that sent, when the store answers again; another one would have to wait for the lease."""
    cells = MemoryCells()
    claims = Claims(cells)
    await claims.claim(KEY)
    cells.fails = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await claims.sent(KEY)
    cells.fails = None
    assert await claims.claim(KEY) == "sent"
    assert await Claims(cells).claim(KEY) == "sent"


@pytest.mark.parametrize("text", ["", "free", "nonsense", "claimed soon me", "claimed 1768054400.000"])
async def test_what_another_program_wrote_is_no_claim(text: str) -> None:
    cells = MemoryCells()
    cells.texts[KEY] = text
    assert await Claims(cells, 60, Clock(0)).claim(KEY) == "mine"


async def test_a_spool_that_cannot_be_written_is_replaced_by_memory(tmp_path: Path) -> None:
    """What is to be told of it is told once by each process."""
    (tmp_path / "spool.db").write_bytes(b"not a database at all" * 1000)
    store = SqliteStore(tmp_path / "spool.db")
    cells = SpoolCells(store)
    one, two = Claims(cells), Claims(cells)
    assert [await one.claim(KEY), await two.claim(KEY)] == ["mine", "another's"]
    await one.sent(KEY)
    assert await two.claim(KEY) == "sent"
    assert set(await cells.under("alert#")) == {KEY}
    await cells.drop([KEY])
    assert await cells.get(KEY) is None
    await store.close()
