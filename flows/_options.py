"""Options of `collect`, which its deployment, its hooks and its command share, and what the others have in common."""

import socket
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

import settings
from depth import tables, times
from depth.storage.open import StoreOptions
from depth.wanted import Group


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


def group(env: settings.Settings, options: CollectOptions) -> Group:
    """Say which collectors stand in for each other with these options."""
    names = tuple(tables.depth_table(symbol, options.table_suffix) for symbol in options.symbols)
    return Group(env.collector_group or socket.gethostname(), options.replicas, names)
