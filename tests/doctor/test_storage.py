"""What the doctor says of a store: SQLite files and the Bigtable emulator, well and ill."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from depth.doctor import storage
from depth.epochs import Grid
from depth.plan import Plan
from depth.record import Record
from depth.storage.open import StoreOptions, open_store
from depth.tables import COLLECTOR_COLUMNS, DEPTH_COLUMNS, META_KEY, TableMeta
from tests import emulator
from tests.doctor.conftest import the

TABLE = "binance_btc_depth"
Begin = Callable[[Plan], Awaitable[None]]


@pytest.fixture(params=["sqlite", "bigtable"])
def stored(request: pytest.FixtureRequest, plan: Plan) -> Plan:
    """The plan with each backend."""
    if request.param == "sqlite":
        return plan
    return on_emulator(plan, request.getfixturevalue("bigtable_host"))


def on_emulator(plan: Plan, host: str) -> Plan:
    """The plan with an instance of its own on an emulator."""
    return replace(plan, store=StoreOptions("bigtable", Path("unused"), "project", f"i{uuid4().hex}", None, host))


async def begin(plan: Plan) -> None:
    """Make the tables as the first run does."""
    store = open_store(plan.store)
    await store.ensure_table(TABLE, DEPTH_COLUMNS)
    await store.ensure_table(f"{TABLE}_collectors", COLLECTOR_COLUMNS)
    meta = TableMeta("BTC/USDT", "127.0.0.1 spot", plan.grid).text()
    await store.create(f"{TABLE}_collectors", Record(META_KEY, {"value": meta}))
    await store.close()


async def keys(plan: Plan) -> list[str]:
    store = open_store(plan.store)
    found = [key async for key in store.keys(TABLE, "0", "~")]
    await store.close()
    return found


async def test_tables_that_can_be_written_are_ok_and_stay_as_they_were(stored: Plan) -> None:
    await begin(stored)
    found = await storage.check(stored)
    assert the("backend", found).level == the("tables", found).level == "ok", found
    assert the("tables", found).text == f"{TABLE} is there and can be written"
    assert await keys(stored) == []


async def test_missing_tables_are_a_warning(stored: Plan) -> None:
    """The first run makes them, where it may."""
    if stored.store.backend == "sqlite":
        stored.store.sqlite_path.touch()
    found = await storage.check(stored)
    assert the("backend", found).level == "ok"
    assert the("tables", found).level == "warn"
    assert f"{TABLE} and {TABLE}_collectors not there yet" in the("tables", found).text


async def test_another_grid_in_the_table_fails(stored: Plan) -> None:
    await begin(stored)
    found = await storage.check(replace(stored, grid=Grid(steps=20)))
    assert the("tables", found).level == "fail"
    assert "--table-suffix" in the("tables", found).text


async def test_a_table_without_the_family_fails(plan: Plan, bigtable_host: str) -> None:
    """A table that somebody made without it: a row cannot be written."""
    from google.cloud.bigtable_admin_v2.types import Table  # noqa: PLC0415

    from depth.storage import bigtable_client  # noqa: PLC0415

    cloud = on_emulator(plan, bigtable_host)
    await begin(cloud)
    identity = await bigtable_client.credentials(bigtable_host)
    parent = f"projects/project/instances/{cloud.store.instance}"
    async with bigtable_client._admin(bigtable_host, identity) as admin:
        await admin.delete_table(name=f"{parent}/tables/{TABLE}")
        await admin.create_table(parent=parent, table_id=TABLE, table=Table())
    found = await storage.check(cloud)
    assert the("tables", found).level == "fail"
    assert "createfamily" in the("tables", found).text


async def test_a_backend_that_is_not_there_fails(plan: Plan) -> None:
    """An emulator that has ended."""
    if emulator.find() is None:
        pytest.skip(emulator.MISSING)
    with emulator.running() as host:
        pass
    found = await storage.check(on_emulator(plan, host))
    assert the("backend", found).level == "fail"
    assert the("tables", found).text.startswith("not checked")


async def test_an_emulator_is_a_warning(plan: Plan, bigtable_host: str) -> None:
    """What it holds is gone when it ends."""
    found = await storage.check(on_emulator(plan, bigtable_host))
    assert the("emulator", found).level == "warn"
    assert "unset BIGTABLE_EMULATOR_HOST" in the("emulator", found).text


async def test_the_real_bigtable_is_no_emulator(plan: Plan) -> None:
    """Without an instance nothing is asked; what can be said is said."""
    found = await storage.check(replace(plan, store=StoreOptions("bigtable", Path("unused"))))
    assert the("emulator", found).level == "ok"
    assert the("backend", found).level == "fail"
    assert "set both" in the("backend", found).text


async def test_a_file_that_the_first_run_can_make_is_ok_and_is_not_made(plan: Plan) -> None:
    found = await storage.check(plan)
    assert [(finding.check, finding.level) for finding in found] == [("backend", "ok")]
    assert not plan.store.sqlite_path.exists()


async def test_a_file_that_can_never_be_made_fails(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = await storage.check(replace(plan, store=StoreOptions("sqlite", tmp_path / "file" / "depth.db")))
    assert the("backend", found).level == "fail"
    assert "SQLITE_PATH" in the("backend", found).text


async def test_a_file_that_is_no_database_fails(plan: Plan) -> None:
    plan.store.sqlite_path.write_bytes(b"letters " * 1000)
    found = await storage.check(plan)
    assert the("backend", found).level == "fail"
    assert "move it away" in the("backend", found).text
