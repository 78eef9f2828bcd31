"""Can the store take rows: backend, emulator, tables."""

import asyncio
from collections.abc import Sequence

from depth import tables
from depth.doctor.finding import Finding, fail, ok, skipped, warn
from depth.doctor.folder import unwritable
from depth.errors import DepthError, TableMismatch
from depth.exchange.binance import source
from depth.plan import Plan
from depth.record import Record
from depth.storage.base import Store
from depth.storage.open import StoreOptions, open_store
from depth.tables import META_KEY, TableMeta

_ANSWER_SECONDS = 20.0
_PROBE = Record("_doctor", {"collector": "doctor"})


async def check(plan: Plan) -> Sequence[Finding]:
    """Ask the store of a plan; a row is written to each table, and taken away again."""
    options = plan.store
    if options.backend == "sqlite" and not options.sqlite_path.exists():
        return [_first_file(options), *_emulator(options)]
    try:
        store = open_store(options)
    except DepthError as error:
        return [fail("backend", str(error)), *_emulator(options), *skipped("tables", why="no backend")]
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            there = await store.tables()
            found = [await _table(store, plan, symbol, there) for symbol in plan.symbols]
    except (DepthError, TimeoutError) as error:
        said = str(error) or f"no answer within {_ANSWER_SECONDS:g} s: check the network"
        return [fail("backend", said), *_emulator(options), *skipped("tables", why="the backend does not answer")]
    finally:
        await store.close()
    return [ok("backend", f"{_name(options)} answers"), *_emulator(options), *found]


def _first_file(options: StoreOptions) -> Finding:
    if (why := unwritable(options.sqlite_path)) is not None:
        return fail("backend", f"{why}, or name another file in SQLITE_PATH")
    return ok("backend", f"the first run makes {options.sqlite_path}")


def _name(options: StoreOptions) -> str:
    if options.backend == "sqlite":
        return str(options.sqlite_path)
    return f"Bigtable {options.project}/{options.instance}"


def _emulator(options: StoreOptions) -> list[Finding]:
    if options.backend != "bigtable":
        return []
    if options.emulator_host:
        said = f"rows go to the emulator at {options.emulator_host}, which forgets them when it ends"
        return [warn("emulator", f"{said}: unset BIGTABLE_EMULATOR_HOST for the real Bigtable")]
    return [ok("emulator", "none is set: rows go to the real Bigtable")]


async def _table(store: Store, plan: Plan, symbol: str, there: Sequence[str]) -> Finding:
    """See that a table is this plan's, and that a row can be written to it."""
    table = tables.depth_table(symbol, plan.table_suffix)
    companion = tables.collectors_table(table)
    missing = [name for name in (table, companion) if name not in there]
    if missing:
        said = f"{' and '.join(missing)} not there yet: the first run makes what is missing"
        return warn("tables", f"{said}, if its identity may; otherwise make it by the commands in README.md")
    mine = TableMeta(symbol, source(plan.rest_url), plan.grid).text()
    try:
        begun = await store.get(companion, META_KEY)
        if begun is not None and begun.columns.get("value") != mine:
            return fail("tables", str(TableMismatch(table, begun.columns.get("value", "nothing"), mine)))
        await store.create(table, _PROBE)
        await store.delete(table, [_PROBE.key])
    except DepthError as error:
        return fail("tables", str(error))
    return ok("tables", f"{table} is there and can be written")
