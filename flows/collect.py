"""Collect the depth of the order book, once a second.

Requires: the exchange (BINANCE_REST_URL, BINANCE_WS_URL), a writable spool (SPOOL_PATH) and a store (DB_BACKEND).
"""

import logging
import sys

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

import settings
from depth.errors import CaptureStalled, TerminalError
from depth.options import CollectOptions
from depth.running import run, run_directly, stop_on_signals
from flows import _command, _hooks
from flows._wanted import stays
from tasks.alerts import send_alert
from tasks.artifacts import report_run
from tasks.store import store_snapshots

logger = logging.getLogger("depth.collect")

_FLUSH_SECONDS = 10.0  # under Prefect, where an upload is a task run


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
                return _command.skipped(answer.why)
            scheduled = int(flow_run.scheduled_start_time.timestamp())
            plan = settings.load().plan(options, flush_seconds=_FLUSH_SECONDS, scheduled=scheduled)
            outcome = await run(plan, stop.event, store_snapshots, send_alert)
        except (CaptureStalled, TerminalError) as error:
            logger.error("%s", error)  # noqa: TRY400  # its one line says all
            return Failed(message=str(error), data=error)
        logger.info("%s", outcome.line())
        await report_run(outcome)
    return Completed(message=outcome.line(), data=stop.exit_code)


async def _directly(options: CollectOptions) -> int:
    return await run_directly(settings.load().plan(options))


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; give its exit code."""
    return _command.run(CollectOptions, arguments, lambda options: collect(options, return_state=True), _directly)


if __name__ == "__main__":
    sys.exit(main())
