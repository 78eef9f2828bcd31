"""`python -m depth …`: the commands without Prefect. In this library only this file reads the settings."""

import asyncio
import json
import sys
import time
from typing import assert_never

from pydantic import BaseModel
from pydantic_settings import CliSubCommand, SettingsConfigDict

import settings
from depth import command
from depth.errors import UsageError
from depth.options import CollectOptions, DoctorOptions, HealthOptions, WatchOptions


class Commands(BaseModel):
    """The collector without Prefect."""

    model_config = SettingsConfigDict(cli_prog_name="python -m depth")

    collect: CliSubCommand[CollectOptions]
    doctor: CliSubCommand[DoctorOptions]
    health: CliSubCommand[HealthOptions]
    watch: CliSubCommand[WatchOptions]

    def named(self) -> CollectOptions | DoctorOptions | HealthOptions | WatchOptions:
        """Give the options of the command that was named.

        Raises:
            UsageError: none was.
        """
        named = self.collect or self.doctor or self.health or self.watch
        if named is None:
            raise UsageError(f"no command: name one of {', '.join(type(self).model_fields)}")
        return named


def main(arguments: list[str] | None = None) -> int:
    """Run a command; give its exit code."""
    return command.answer(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    env = settings.load()
    command.log_to_stderr(env.log_level, env.log_format)
    match options:
        case CollectOptions():
            return _collect(options, env)
        case DoctorOptions():
            return _doctor(options, env)
        case HealthOptions():
            return _health(options, env)
        case WatchOptions():
            return _watch(options, env)
        case _:
            assert_never(options)


def _parse(arguments: list[str]) -> CollectOptions | DoctorOptions | HealthOptions | WatchOptions:
    """Read a command line that names a command first: a wrong name is told before what follows it."""
    known = Commands.model_fields
    if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
        raise UsageError(f"there is no command {arguments[0]}: name one of {', '.join(known)}")
    return command.parse(Commands, arguments).named()


def _collect(options: CollectOptions, env: settings.Settings) -> int:
    from depth.running import run_directly  # noqa: PLC0415  # other commands are light
    from depth.supervision import Notifier  # noqa: PLC0415

    supervisor = settings.Supervisor()
    notifier = Notifier(supervisor.notify_socket, supervisor.watchdog_usec)
    return asyncio.run(run_directly(env.plan(options), notifier))


def _doctor(options: DoctorOptions, env: settings.Settings) -> int:
    from depth.doctor import diagnose  # noqa: PLC0415

    plan = env.plan(CollectOptions(**options.model_dump(exclude={"json_lines"})))
    findings = asyncio.run(diagnose(plan))
    for finding in findings:
        sys.stdout.write((json.dumps(finding.fields()) if options.json_lines else finding.line()) + "\n")
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def _health(options: HealthOptions, env: settings.Settings) -> int:
    from depth import health  # noqa: PLC0415
    from depth.storage.spool_state import read_state  # noqa: PLC0415

    states = [state for state in read_state(env.spool_path) if state.collector.startswith(options.collector)]
    found = health.judge(states, time.time(), options.max_age, options.max_lag, options.collectors)
    sys.stdout.write(f"{'ok' if found.ok else 'fail'}: {found.line}\n")
    return 0 if found.ok else 1


def _watch(options: WatchOptions, env: settings.Settings) -> int:
    from depth.watch import feeds, watching  # noqa: PLC0415  # other commands are light

    if options.dry_run:
        return asyncio.run(
            watching.run(feeds.dry_run(env.plan(CollectOptions(symbols=[options.symbol], dry_run=True))))
        )
    store = env.store(options.backend)
    place = feeds.Place(store, env.spool_path, env.metrics_host, env.metrics_port or None)
    return asyncio.run(watching.run(feeds.stored(place, options.symbol, options.table_suffix)))


if __name__ == "__main__":
    sys.exit(main())
