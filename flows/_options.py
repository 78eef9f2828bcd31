"""What the options of several flows have in common."""

import socket
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

import settings
from depth import times
from depth.alerts.open import AlertOptions
from depth.storage.open import StoreOptions


def _symbols(names: list[str]) -> list[str]:
    symbols = [name.strip().upper() for given in names for name in given.split(",")]
    for symbol in symbols:
        base, slash, quote = symbol.partition("/")
        if not (base and slash and quote) or "/" in quote:
            raise ValueError(f"{symbol!r} is not BASE/QUOTE, for example BTC/USDT")
    if len(set(symbols)) != len(symbols):
        raise ValueError("a symbol is named twice")
    return symbols


def _time(text: str) -> str:
    times.parse(text)
    return text


Symbols = Annotated[list[str], AfterValidator(_symbols)]
Time = Annotated[str, AfterValidator(_time), Field(coerce_numbers_to_str=True)]
Backend = Annotated[str, Field(pattern="^(sqlite|bigtable)$")]


def group(env: settings.Settings) -> str:
    """Name the collectors that stand in for each other: COLLECTOR_GROUP, else the host."""
    return env.collector_group or socket.gethostname()


def alert_options(env: settings.Settings, store: StoreOptions) -> AlertOptions:
    """Say who is told what goes wrong, and who says it."""
    environment = f"{group(env)}/{store.backend}"
    shared = f"{store.project}/{store.instance}"  # by machines whose groups differ
    return AlertOptions(
        environment,
        shared if store.backend == "bigtable" else environment,
        _secret(env.alert_webhook_url),
        _secret(env.alert_webhook_secret),
        _secret(env.alert_urls),
        _secret(env.heartbeat_url),
    )


def store_options(env: settings.Settings, backend: str | None) -> StoreOptions:
    """Say where rows are stored: `backend` where the options name one, else as the environment says."""
    return StoreOptions(
        backend or env.db_backend,
        env.sqlite_path,
        env.bigtable_project_id,
        env.bigtable_instance_id,
        env.bigtable_app_profile_id,
        env.bigtable_emulator_host,
    )


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()
