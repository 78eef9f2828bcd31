"""Collect the depth of the order book, once a second.

Requires: the exchange (BINANCE_REST_URL, BINANCE_WS_URL), a writable spool (SPOOL_PATH) and a store (DB_BACKEND).
"""

import logging
import signal
import sys

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import BaseModel, ConfigDict, Field

import settings
from depth.epochs import Grid
from depth.errors import TerminalError
from depth.running import Plan, run, stop_on_signals
from flows import _command
from flows._options import Backend, Symbols, alert_options, group, store_options
from tasks.alerts import send_alert
from tasks.artifacts import report_run
from tasks.store import store_snapshots

logger = logging.getLogger("depth.collect")


class CollectOptions(BaseModel):
    """Options of `collect`, of its form in the UI and of its command line alike."""

    model_config = ConfigDict(extra="forbid")

    symbols: Symbols = Field(default=["BTC/USDT"], min_length=1, description="markets to collect, BASE/QUOTE")
    step: float = Field(0.00002, gt=0, le=1, description="width of a bucket in log price (0.00002 is 0.002 %)")
    steps: int = Field(40, ge=1, le=10_000, description="buckets on each side")
    interval: int = Field(1, ge=1, le=86_400, description="seconds between stored epochs")
    duration: int = Field(0, ge=0, description="seconds to run, 0 for ever")
    backend: Backend | None = Field(None, description="where rows are stored; DB_BACKEND where not given")
    table_suffix: str = Field(
        "", pattern="^[-_.a-zA-Z0-9]*$", description="starts other tables, for another step, steps or interval"
    )
    relay: bool = Field(default=False, description="after duration, go on until later collectors have taken over")
    replicas: int = Field(1, ge=1, le=2, description="with relay: how many later collectors must be live")
    dry_run: bool = Field(default=False, description="print one line a second; no store, no spool, no Prefect")


def _plan(options: CollectOptions, *, orchestrated: bool, scheduled: int | None = None) -> Plan:
    env = settings.load()
    store = store_options(env, options.backend)
    return Plan(
        symbols=tuple(options.symbols),
        grid=Grid(options.step, options.steps, options.interval),
        rest_url=env.binance_rest_url,
        ws_url=env.binance_ws_url,
        connections=env.connections,
        store=store,
        spool_path=env.spool_path,
        spool_limit_bytes=env.spool_max_mb * 2**20,
        flush_seconds=env.flush_seconds or (10.0 if orchestrated else 1.0),
        duration=options.duration,
        table_suffix=options.table_suffix,
        dry_run=options.dry_run,
        relay=options.relay,
        replicas=options.replicas,
        group=group(env),
        scheduled=scheduled,
        alerts=alert_options(env, store),
    )


@flow(name="collect", persist_result=False)
async def collect(options: CollectOptions) -> State[int]:
    """Collect until the duration is over, or until SIGTERM."""
    with _command.library_logs(), stop_on_signals() as stop:
        try:
            scheduled = int(flow_run.scheduled_start_time.timestamp())
            plan = _plan(options, orchestrated=True, scheduled=scheduled)
            outcome = await run(plan, stop.event, store_snapshots, send_alert)
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
