"""Shipping: what reaches the store, in which order, and what a store in a bad mood cannot do to it."""

import asyncio
import itertools
import json
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from depth import rowkey, snapshot, tables
from depth.epochs import Grid
from depth.errors import DepthError, StoreRefused, StoreUnavailable, TableMismatch
from depth.record import Record
from depth.shipping import Destination, Shipment, Shipper
from depth.storage.spool import Spool
from depth.tables import META_KEY
from tests import docks, stored_rows
from tests.docks import METAS, ONE, START, TWO, Dock
from tests.live import until
from tests.moody import MoodyStore


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with docks.opened(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def shipping(shipper: Shipper) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(shipper.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, DepthError):
            await task


def epochs(keys: Sequence[str]) -> list[int]:
    return [rowkey.decode(key)[0] - START for key in keys]


async def test_what_waits_is_shipped_and_leaves_the_spool(dock: Dock) -> None:
    """After a flush the store has every row as it was captured, and the spool none."""
    dock.capture(ONE, 0, 5)
    assert await dock.shipper().flush() == 5
    expected = {row.key: row.columns for row in map(snapshot.encode, stored_rows.rows(START, START + 5))}
    assert dock.store.rows[ONE] == expected
    assert dock.waiting() == 0


async def test_rows_are_shipped_oldest_first(dock: Dock) -> None:
    """What waited for a store that was away goes before what came later, and nothing is sent twice."""
    dock.store.moods["*"] = "away"
    dock.capture(ONE, 0, 3)
    async with shipping(dock.shipper()):
        await asyncio.sleep(0.2)
        dock.capture(ONE, 3, 6)
        dock.store.moods.clear()
        await until(lambda: dock.waiting() == 0)
    assert epochs(dock.store.keys_of(ONE)) == list(range(6))


async def test_more_than_a_bulk_is_shipped_in_one_flush(dock: Dock) -> None:
    """Rows of an hour's outage go in bulks of 2,000, oldest first."""
    dock.capture(ONE, 0, 4500)
    assert await dock.shipper().flush() == 4500
    assert [len(keys) for _, keys in dock.store.calls] == [2000, 2000, 500]
    assert epochs(dock.store.keys_of(ONE)) == list(range(4500))


async def test_a_row_is_in_the_spool_before_the_store_sees_it(dock: Dock) -> None:
    """Whoever pulls the plug during a write finds the row in the spool file."""
    unsafe: list[str] = []

    def look(table: str, records: Sequence[Record]) -> None:
        del table
        with closing(sqlite3.connect(dock.path)) as db:
            spooled = {key for (key,) in db.execute("SELECT row_key FROM spooled")}
        unsafe.extend(record.key for record in records if record.key not in spooled)

    dock.store.before_write = look
    dock.capture(ONE, 0, 3)
    await dock.shipper().flush()
    assert (unsafe, dock.waiting()) == ([], 0)


@pytest.mark.parametrize("mood", ["away", "refuses", "hangs"])
async def test_a_store_that_takes_nothing_keeps_nothing_from_the_spool(dock: Dock, mood: str) -> None:
    """Away, refusing or hanging: all rows wait, and they go when it has come round."""
    dock.store.moods["*"] = mood
    dock.capture(ONE, 0, 4)
    async with shipping(dock.shipper()) as task:
        await asyncio.sleep(0.6)
        assert (dock.waiting(), task.done()) == (4, False)
        dock.store.moods.clear()
        await until(lambda: dock.waiting() == 0)
    assert len(dock.store.rows[ONE]) == 4


async def test_one_attempt_is_bounded(dock: Dock) -> None:
    """A store that hangs is a store that is away: here after 0.3 s, by default after 15 s."""
    dock.store.moods["*"] = "hangs"
    dock.capture(ONE, 0, 1)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.3 s"):
        await dock.shipper().flush()
    assert time.monotonic() - began < 2
    assert Destination(dock.store, METAS)._attempt_seconds == 15.0


@pytest.mark.parametrize("mood", ["away", "refuses", "hangs"])
async def test_one_table_in_trouble_does_not_hold_up_another(dock: Dock, mood: str) -> None:
    """What the store does not take for one table goes its way for the other, even with more than a bulk waiting."""
    dock.store.moods[ONE] = mood
    dock.capture(ONE, 0, 2100)
    dock.capture(TWO, 0, 10)
    async with shipping(dock.shipper()):
        await until(lambda: len(dock.store.rows.get(TWO, {})) == 10)
        dock.capture(TWO, 10, 12)
        await until(lambda: dock.waiting() == 2100)
    assert len(dock.store.rows[TWO]) == 12


async def test_a_table_that_cannot_be_made_does_not_hold_up_another(dock: Dock) -> None:
    """The right to make one table is missing: the rows of the other one are stored."""

    class Picky(MoodyStore):
        async def ensure_table(self, table: str, columns: Sequence[str]) -> None:
            if table == ONE:
                raise StoreRefused(f"no right to create {table}: ask somebody")
            await super().ensure_table(table, columns)

    store = Picky()
    dock.capture(ONE, 0, 2)
    dock.capture(TWO, 0, 2)
    shipper = Shipper(Destination(store, METAS), dock.spool, dock.thread, Shipment.send, 0.05)
    with pytest.raises(StoreRefused, match=ONE):
        await shipper.flush()
    assert len(store.rows[TWO]) == 2


async def test_only_rows_that_were_not_taken_are_sent_again(dock: Dock) -> None:
    """Of a bulk that half succeeded the rest stays in the spool, and a retry of the same shipment sends only that."""
    dock.capture(ONE, 0, 4)
    dock.store.fails = {1, 3}
    shipment = dock.shipment(ONE)
    with pytest.raises(StoreUnavailable, match=r"2 of 4 rows were not taken \(too busy\)"):
        await shipment.send()
    assert dock.waiting() == 2
    assert str(shipment) == f"2 rows of {ONE}"
    assert await shipment.send() == 2
    assert [epochs(keys) for _, keys in dock.store.calls] == [[0, 1, 2, 3], [1, 3]]
    assert dock.waiting() == 0


async def test_a_table_of_another_grid_ends_shipping(dock: Dock) -> None:
    """Found only when the store came back: the error names both, and no row has gone into the table."""
    dock.store.moods["*"] = "away"
    dock.capture(ONE, 0, 2)
    async with shipping(dock.shipper()) as task:
        await asyncio.sleep(0.1)
        other = replace(METAS[ONE], grid=Grid(steps=20)).text()
        dock.store.rows[tables.collectors_table(ONE)] = {META_KEY: {"value": other}}
        dock.store.moods.clear()
        with pytest.raises(TableMismatch, match=r'"steps":20.*"steps":40.*--table-suffix'):
            await asyncio.wait_for(asyncio.shield(task), 10)
    assert dock.store.keys_of(ONE) == []
    assert dock.waiting() == 2


async def test_a_table_of_another_grid_is_not_hidden_by_another_trouble(dock: Dock) -> None:
    """With a second table away at the same time, the mismatch still ends the run."""
    other = replace(METAS[ONE], grid=Grid(steps=20)).text()
    dock.store.rows[tables.collectors_table(ONE)] = {META_KEY: {"value": other}}
    dock.store.moods[TWO] = "away"
    dock.capture(ONE, 0, 1)
    dock.capture(TWO, 0, 1)
    with pytest.raises(TableMismatch):
        await dock.shipper().flush()


async def test_the_first_run_says_what_a_table_was_begun_with(dock: Dock) -> None:
    """`_meta` holds symbol, source, step, steps and interval; a second run of the same grid is welcome."""
    await dock.destination.prepare()
    await Destination(dock.store, METAS).prepare()
    meta = json.loads(dock.store.rows[tables.collectors_table(ONE)][META_KEY]["value"])
    assert meta == {"symbol": "BTC/USDT", "source": "binance spot", "step": 2e-05, "steps": 40, "interval": 1}


async def test_a_store_that_came_back_empty_gets_its_tables_and_meta_again(dock: Dock) -> None:
    """Somebody removed the database: after the first refusal everything is made anew, `_meta` too."""
    dock.capture(ONE, 0, 1)
    await dock.shipper().flush()
    dock.store.rows.clear()
    dock.capture(ONE, 1, 2)
    dock.report(ONE, "incident#1")
    with pytest.raises(StoreRefused):
        await dock.shipper().flush()
    await dock.shipper().flush()
    companion = dock.store.rows[tables.collectors_table(ONE)]
    assert epochs(list(dock.store.rows[ONE])) == [1]
    assert set(companion) == {META_KEY, "incident#1"}


async def test_a_failure_that_nobody_thought_of_ends_nothing(dock: Dock, caplog: pytest.LogCaptureFixture) -> None:
    """An error that is none of ours is logged with its traceback; shipping goes on."""
    dock.store.moods[ONE] = "breaks"
    dock.capture(ONE, 0, 1)
    async with shipping(dock.shipper()) as task:
        await until(lambda: caplog.records)
        dock.store.moods.clear()
        await until(lambda: dock.waiting() == 0)
        assert not task.done()
    assert caplog.records[0].exc_info


async def test_trouble_is_said_once_in_a_while(dock: Dock, caplog: pytest.LogCaptureFixture) -> None:
    """A store that is away for some flushes is one line, a warning; one that refuses is an error."""
    dock.store.moods["*"] = "away"
    dock.capture(ONE, 0, 1)
    async with shipping(dock.shipper()):
        await asyncio.sleep(1.5)
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.WARNING, "rows wait in the spool: the store is away")
    ]


async def test_trouble_is_known_since_when_it_began_until_it_is_over(dock: Dock) -> None:
    """For whoever tells people: the last error since the first, and when rows were last taken."""
    dock.store.moods["*"] = "away"
    dock.capture(ONE, 0, 1)
    shipper = dock.shipper()
    began = int(time.time())
    assert (shipper.trouble, shipper.shipped_at) == (None, None)
    async with shipping(shipper):
        await until(lambda: shipper.trouble is not None)
        first = shipper.trouble
        dock.store.moods["*"] = "refuses"
        await until(lambda: isinstance(shipper.trouble and shipper.trouble.error, StoreRefused))
        assert first is not None
        assert shipper.trouble is not None
        assert shipper.trouble.since == first.since >= began
        dock.store.moods.clear()
        await until(lambda: shipper.trouble is None)
    assert shipper.shipped_at is not None
    assert shipper.shipped_at >= first.since


async def test_a_store_that_is_away_is_asked_ever_less_often(dock: Dock) -> None:
    """Whatever the flush interval, the second try comes after a second and the third after two more."""
    tried: list[float] = []
    dock.store.before_write = lambda _table, _records: tried.append(time.monotonic())
    dock.store.moods[ONE] = "away"
    dock.capture(ONE, 0, 1)
    async with shipping(dock.shipper()):
        await until(lambda: len(tried) == 3)
    assert [int(after - before) for before, after in itertools.pairwise(tried)] == [1, 2]


async def test_rows_of_a_dead_collector_are_adopted_and_shipped_first(dock: Dock) -> None:
    """What another collector left in the same file is shipped by this one, with its own rows behind."""
    leave(dock, "dead", ONE, METAS[ONE].text())
    dock.capture(ONE, 3, 5)
    await dock.shipper().flush()
    assert epochs(dock.store.keys_of(ONE)) == list(range(5))
    assert dock.waiting() == 0


async def test_rows_of_another_grid_never_reach_this_run_s_table(dock: Dock, caplog: pytest.LogCaptureFixture) -> None:
    """They were spooled while the store was away and nobody could compare: they stay, said once; ours go their way."""
    other = replace(METAS[ONE], grid=Grid(steps=20)).text()
    leave(dock, "dead", ONE, other)
    dock.capture(ONE, 3, 5)
    shipper = dock.shipper()
    for _ in range(2):
        shipper._adopt_at = 0.0
        await shipper.flush()
    assert epochs(dock.store.keys_of(ONE)) == [3, 4]
    assert sum("stay in the spool" in message and other in message for message in caplog.messages) == 1
    like_theirs = Spool(dock.path, "like theirs", 2**30, {ONE: other})
    like_theirs.open()
    assert like_theirs.adopt() == 3
    like_theirs.close()


async def test_adopted_rows_begin_their_table_as_they_are(dock: Dock) -> None:
    """A table that this run does not write gets the `_meta` of its rows, so that no other grid can follow."""
    theirs = METAS[ONE].text().replace("BTC/USDT", "SOL/USDT")
    leave(dock, "dead", "binance_sol_depth", theirs)
    await dock.shipper().flush()
    meta = await dock.store.get("binance_sol_depth_collectors", "_meta")
    assert meta is not None
    assert meta.columns == {"value": theirs}
    assert epochs(dock.store.keys_of("binance_sol_depth")) == [0, 1, 2]


async def test_adopted_rows_that_their_table_refuses_do_not_end_the_run(dock: Dock) -> None:
    """A table that was begun otherwise keeps what it is; the rows stay, and the error names both."""
    theirs = METAS[ONE].text().replace("BTC/USDT", "SOL/USDT")
    await dock.destination.ensure("binance_sol_depth", theirs.replace(":40,", ":20,"))
    dock.destination.forget()
    leave(dock, "dead", "binance_sol_depth", theirs)
    dock.capture(ONE, 3, 5)
    with pytest.raises(StoreRefused, match="binance_sol_depth holds"):
        await dock.shipper().flush()
    assert dock.store.keys_of("binance_sol_depth") == []
    assert epochs(dock.store.keys_of(ONE)) == [3, 4]
    assert dock.waiting() == 3


def leave(dock: Dock, collector: str, table: str, meta: str) -> None:
    """Leave three rows of a collector that is gone."""
    dead = Spool(dock.path, collector, 2**30, {table: meta})
    dead.open()
    rows = [(table, snapshot.encode(row)) for row in stored_rows.rows(START, START + 3, collector)]
    dead.append("memory", rows, {table: START + 2})
    dead.close()


async def test_rows_for_another_backend_stay(dock: Dock) -> None:
    """What was captured for Bigtable waits until Bigtable is set again."""
    row = (ONE, snapshot.encode(next(stored_rows.rows(START, START + 1))))
    dock.thread.submit(dock.spool.append, "bigtable", [row], {ONE: START}).result()
    assert await dock.shipper().flush() == 0
    assert dock.waiting() == 1


async def test_the_last_epoch_that_the_store_took_is_known(dock: Dock) -> None:
    """Presence tells it; adopted rows that are older do not set it back."""
    dock.capture(ONE, 5, 8)
    await dock.shipper().flush()
    dock.capture(ONE, 0, 2)
    await dock.shipper().flush()
    assert dock.destination.acknowledged == {ONE: START + 7}
