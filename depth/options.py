"""The options of commands: what their command lines, and their forms in the Prefect UI, may say."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from depth import times


def _symbol(name: str) -> str:
    symbol = name.strip().upper()
    base, slash, quote = symbol.partition("/")
    if not (base and slash and quote) or "/" in quote:
        raise ValueError(f"{symbol!r} is not BASE/QUOTE, for example BTC/USDT")
    return symbol


def _symbols(names: list[str]) -> list[str]:
    symbols = [_symbol(name) for given in names for name in given.split(",")]
    if len(set(symbols)) != len(symbols):
        raise ValueError("a symbol is named twice")
    return symbols


def _time(text: str) -> str:
    times.parse(text)
    return text


Symbol = Annotated[str, AfterValidator(_symbol)]
Symbols = Annotated[list[str], AfterValidator(_symbols)]
Time = Annotated[str, AfterValidator(_time), Field(coerce_numbers_to_str=True)]
Backend = Literal["sqlite", "bigtable"]
TableSuffix = Annotated[str, Field(pattern="^[-_.a-zA-Z0-9]*$")]


class HealthOptions(BaseModel):
    """Say in one line whether rows are captured and stored; exit 0 or 1. Reads the spool file and nothing else."""

    model_config = ConfigDict(extra="forbid")

    max_age: float = Field(60, gt=0, allow_inf_nan=False, description="seconds since the last captured epoch")
    collector: str = Field("", description="look only at collectors whose id begins so, for example with a host name")
    collectors: int = Field(1, ge=1, description="how many of them must capture")
    max_lag: float = Field(900, gt=0, allow_inf_nan=False, description="seconds that the store may be behind")


class SampleOptions(BaseModel):
    """What is sampled, and where it is stored."""

    model_config = ConfigDict(extra="forbid")

    symbols: Symbols = Field(default=["BTC/USDT"], min_length=1, description="markets to collect, BASE/QUOTE")
    step: float = Field(0.00002, ge=1e-9, le=1, description="width of a bucket in log price (0.00002 is 0.002 %)")
    steps: int = Field(40, ge=1, le=10_000, description="buckets on each side")
    interval: int = Field(1, ge=1, le=86_400, description="seconds between stored epochs")
    backend: Backend | None = Field(None, description="where rows are stored; DB_BACKEND where not given")
    table_suffix: TableSuffix = Field("", description="starts other tables, for another step, steps or interval")


class DoctorOptions(SampleOptions):
    """Check whether this machine, as it is set up, can collect; exit 1 where it cannot."""

    json_lines: bool = Field(default=False, alias="json", description="print one JSON object a check")


class WatchOptions(BaseModel):
    """Show one market as it is collected; plain lines where standard output is no terminal."""

    model_config = ConfigDict(extra="forbid")

    symbol: Symbol = Field("BTC/USDT", description="market, BASE/QUOTE")
    backend: Backend | None = Field(None, description="store that is read; DB_BACKEND where not given")
    table_suffix: TableSuffix = Field("", description="as it was given to the collector")
    dry_run: bool = Field(default=False, description="collect in this process and store nothing, instead of reading")

    @model_validator(mode="after")
    def _reads_one_thing(self) -> Self:
        if self.dry_run and (self.backend or self.table_suffix):
            raise ValueError("--dry-run reads no store: leave out --backend and --table-suffix, or --dry-run")
        return self


class CollectOptions(SampleOptions):
    """Collect the depth of the order book, once a second."""

    duration: int = Field(0, ge=0, description="seconds to run, 0 for ever")
    relay: bool = Field(default=False, description="after duration, go on until later collectors have taken over")
    replicas: int = Field(1, ge=1, le=2, description="with relay: how many later collectors must be live")
    dry_run: bool = Field(default=False, description="print one line a second; no store, no spool, no Prefect")

    @model_validator(mode="after")
    def _stores_what_it_hands_over(self) -> Self:
        if self.relay and self.dry_run:
            raise ValueError("--relay does not go with --dry-run: a dry run has no successors, since it stores nothing")
        return self
