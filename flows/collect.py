"""Collect the depth of the order book, once a second.

Requires: the exchange (BINANCE_REST_URL, BINANCE_WS_URL), a writable spool (SPOOL_PATH) and a store (DB_BACKEND).
"""

import logging
import signal
import sys
from typing import Annotated

from prefect import State, flow
from prefect.states import Completed, Failed
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

import settings
from depth.epochs import Grid
from depth.errors import TerminalError
from depth.running import Plan, run, stop_on_signals
from depth.storage.open import StoreOptions
from flows import _command
from tasks.artifacts import report_run
from tasks.store import store_snapshots

logger = logging.getLogger("depth.collect")


def _symbols(names: list[str]) -> list[str]:
    symbols = [name.strip().upper() for given in names for name in given.split(",")]
    for symbol in symbols:
        base, slash, quote = symbol.partition("/")
        if not (base and slash and quote) or "/" in quote:
            raise ValueError(f"{symbol!r} is not BASE/QUOTE, for example BTC/USDT")
    if len(set(symbols)) != len(symbols):
        raise ValueError("a symbol is named twice")
    return symbols


class CollectOptions(BaseModel):
    """Options of `collect`, of its form in the UI and of its command line alike."""

    model_config = ConfigDict(extra="forbid")

    symbols: Annotated[list[str], AfterValidator(_symbols)] = Field(
        default=["BTC/USDT"], min_length=1, description="markets to collect, BASE/QUOTE"
    )
    step: float = Field(0.00002, gt=0, le=1, description="width of a bucket in log price (0.00002 is 0.002 %)")
    steps: int = Field(40, ge=1, le=10_000, description="buckets on each side")
    interval: int = Field(1, ge=1, le=86_400, description="seconds between stored epochs")
    duration: int = Field(0, ge=0, description="seconds to run, 0 for ever")
    backend: str | None = Field(
        None, pattern="^(sqlite|bigtable)$", description="where rows are stored; DB_BACKEND where not given"
    )
    table_suffix: str = Field(
        "", pattern="^[-_.a-zA-Z0-9]*$", description="starts other tables, for another step, steps or interval"
    )
    dry_run: bool = Field(default=False, description="print one line a second; no store, no spool, no Prefect")


def _plan(options: CollectOptions, *, orchestrated: bool) -> Plan:
    env = settings.load()
    return Plan(
        symbols=tuple(options.symbols),
        grid=Grid(options.step, options.steps, options.interval),
        rest_url=env.binance_rest_url,
        ws_url=env.binance_ws_url,
        connections=env.connections,
        store=StoreOptions(
            options.backend or env.db_backend,
            env.sqlite_path,
            env.bigtable_project_id,
            env.bigtable_instance_id,
            env.bigtable_app_profile_id,
            env.bigtable_emulator_host,
        ),
        spool_path=env.spool_path,
        spool_limit_bytes=env.spool_max_mb * 2**20,
        flush_seconds=env.flush_seconds or (10.0 if orchestrated else 1.0),
        duration=options.duration,
        table_suffix=options.table_suffix,
        dry_run=options.dry_run,
    )


@flow(name="collect", persist_result=False)
async def collect(options: CollectOptions) -> State[int]:
    """Collect until the duration is over, or until SIGTERM."""
    with _command.library_logs(), stop_on_signals() as stop:
        try:
            outcome = await run(_plan(options, orchestrated=True), stop.event, store_snapshots)
        except TerminalError as error:
            logger.error("%s", error)  # noqa: TRY400  # its one line says all
            return Failed(message=str(error), data=error)
        logger.info("%s", outcome.line())
        await report_run(outcome)
    return Completed(message=outcome.line(), data=_exit_code(stop.ended_by))


async def _directly(options: CollectOptions) -> int:
    with stop_on_signals() as stop:
        outcome = await run(_plan(options, orchestrated=False), stop.event)
    sys.stderr.write(f"{outcome.line()}\n")
    return _exit_code(stop.ended_by)


def _exit_code(ended_by: signal.Signals | None) -> int:
    return _command.INTERRUPTED if ended_by is signal.SIGINT else 0


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; give its exit code."""
    return _command.run(CollectOptions, arguments, lambda options: collect(options, return_state=True), _directly)


if __name__ == "__main__":
    sys.exit(main())
