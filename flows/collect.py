"""Collect the depth of the order book, once a second.

Requires: the exchange (BINANCE_REST_URL, BINANCE_WS_URL), a writable spool (SPOOL_PATH) and a store (DB_BACKEND).
"""

import logging
import signal
import sys

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

import settings
from depth.epochs import Grid
from depth.errors import TerminalError
from depth.running import Plan, run, stop_on_signals
from flows import _command, _hooks
from flows._options import CollectOptions, group, store_options
from flows._wanted import stays
from tasks.artifacts import report_run
from tasks.store import store_snapshots

logger = logging.getLogger("depth.collect")


def _plan(options: CollectOptions, *, orchestrated: bool, scheduled: int | None = None) -> Plan:
    env = settings.load()
    return Plan(
        symbols=tuple(options.symbols),
        grid=Grid(options.step, options.steps, options.interval),
        rest_url=env.binance_rest_url,
        ws_url=env.binance_ws_url,
        connections=env.connections,
        store=store_options(env, options.backend),
        spool_path=env.spool_path,
        spool_limit_bytes=env.spool_max_mb * 2**20,
        flush_seconds=env.flush_seconds or (10.0 if orchestrated else 1.0),
        duration=options.duration,
        table_suffix=options.table_suffix,
        dry_run=options.dry_run,
        relay=options.relay,
        replicas=options.replicas,
        group=group(env, options).name,
        scheduled=scheduled,
    )


@flow(
    name="collect",
    persist_result=False,
    on_crashed=[_hooks.ask_again, _hooks.tell],
    on_failure=[_hooks.ask_again, _hooks.tell],
)
async def collect(options: CollectOptions) -> State[int]:
    """Collect until the duration is over, or until SIGTERM."""
    with _command.library_logs(), stop_on_signals() as stop:
        try:
            if options.relay and not (answer := await stays(options)).wanted:
                return Completed(name="Skipped", message=f"late, skipped: {answer.why}", data=0)
            scheduled = int(flow_run.scheduled_start_time.timestamp())
            outcome = await run(_plan(options, orchestrated=True, scheduled=scheduled), stop.event, store_snapshots)
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
