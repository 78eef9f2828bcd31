"""What the options of several flows have in common."""

from typing import Annotated

from pydantic import AfterValidator, Field

import settings
from depth import times
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
