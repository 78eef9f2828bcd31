"""The environment, read here and nowhere else."""

import difflib
import functools
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from depth.alerts.options import AlertOptions
from depth.command import describe
from depth.epochs import Grid
from depth.errors import UsageError
from depth.options import CollectOptions
from depth.plan import Plan
from depth.storage.open import StoreOptions

logger = logging.getLogger("depth.settings")

PROJECT_ROOT = Path(__file__).resolve().parent
# How much alike two names are where one is taken for a slip of the other; ALERT_WEBHOOK and ALERT_WEBHOOK_URL: 0.87.
_ALIKE = 0.75


def _host_only(*schemes: str) -> Callable[[str], str]:
    def check(url: str) -> str:
        parts = urlsplit(url)
        beyond = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
        if parts.scheme not in schemes or not parts.hostname or parts.port == 0 or beyond:
            example = {"https": "https://api.binance.com", "wss": "wss://stream.binance.com:9443"}[schemes[0]]
            raise ValueError(f"{url!r} is not {' or '.join(schemes)}, host and port alone, for example {example}")
        return url.rstrip("/")

    return check


def _from_root(path: Path) -> Path:
    return PROJECT_ROOT / path.expanduser()


RestUrl = Annotated[str, AfterValidator(_host_only("https", "http"))]
StreamUrl = Annotated[str, AfterValidator(_host_only("wss", "ws"))]
RootedPath = Annotated[Path, AfterValidator(_from_root)]


class Settings(BaseSettings):
    """Settings by environment variables of the same names, or by a file `.env` in the project root."""

    model_config = SettingsConfigDict(env_file=PROJECT_ROOT / ".env", extra="ignore", env_ignore_empty=True)

    db_backend: Literal["sqlite", "bigtable"] = Field("sqlite", description="where rows are stored")
    sqlite_path: RootedPath = Field(PROJECT_ROOT / "data/depth.db", description="database of the sqlite backend")
    spool_path: RootedPath = Field(PROJECT_ROOT / "data/spool.db", description="rows not yet acknowledged by the store")
    spool_max_mb: int = Field(512, ge=1, description="limit of the spool file, about six days of one symbol")
    bigtable_project_id: str | None = Field(None, description="Google Cloud project")
    bigtable_instance_id: str | None = Field(None, description="Bigtable instance")
    bigtable_app_profile_id: str | None = Field(None, description="Bigtable app profile")
    bigtable_emulator_host: str | None = Field(None, description="host:port of a Bigtable emulator")
    retention_days: int | None = Field(None, ge=1, description="days that rows are kept; for ever where not set")
    binance_rest_url: RestUrl = Field("https://api.binance.com", description="scheme, host and port of the REST API")
    binance_ws_url: StreamUrl = Field(
        "wss://stream.binance.com:9443", description="scheme, host and port of the websocket streams"
    )
    connections: int = Field(2, ge=1, le=10, description="sockets that feed one book")
    flush_seconds: float | None = Field(
        None, gt=0, le=3600, description="seconds between uploads; 10 under Prefect, 1 without it"
    )
    alert_webhook_url: SecretStr | None = Field(None, description="http(s) address that takes alerts as JSON")
    alert_webhook_secret: SecretStr | None = Field(None, description="signs what is sent to the webhook")
    alert_urls: SecretStr | None = Field(None, description="chats, pagers and mail as apprise names them")
    heartbeat_url: SecretStr | None = Field(None, description="http(s) address asked each minute while all is well")
    collector_group: str | None = Field(None, description="collectors that stand in for each other; the host name")
    metrics_host: str = Field("127.0.0.1", description="address that Prometheus metrics are served on")
    metrics_port: int = Field(9640, ge=0, le=65_526, description="the first of ten ports for them; 0 for none")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = Field(
        "INFO", description="what is logged"
    )
    log_format: Literal["text", "json"] = Field("text", description="json: one object a line, as Cloud Logging reads")

    @model_validator(mode="after")
    def _files_of_their_own(self) -> Self:
        if self.spool_path == self.sqlite_path:
            raise ValueError(f"SPOOL_PATH and SQLITE_PATH name the same file {self.spool_path}: give each its own")
        return self

    def store(self, backend: str | None = None) -> StoreOptions:
        """Say where rows are stored: in `backend` where an option names one, else as the environment says."""
        return StoreOptions(
            backend or self.db_backend,
            self.sqlite_path,
            self.bigtable_project_id,
            self.bigtable_instance_id,
            self.bigtable_app_profile_id,
            self.bigtable_emulator_host,
        )

    def alerts(self, backend: str | None = None) -> AlertOptions:
        """Say who is told what goes wrong, and who says it.

        Args:
            backend: where an option names one.
        """
        store = self.store(backend)
        environment = f"{self._group}/{store.backend}"
        # Machines of several groups may share a Bigtable; a file is one machine's.
        shared = f"{store.project}/{store.instance}" if store.backend == "bigtable" else environment
        return AlertOptions(
            environment,
            shared,
            _secret(self.alert_webhook_url),
            _secret(self.alert_webhook_secret),
            _secret(self.alert_urls),
            _secret(self.heartbeat_url),
        )

    def plan(self, options: CollectOptions, *, flush_seconds: float = 1.0, scheduled: int | None = None) -> Plan:
        """Join options and environment into the plan of one run.

        Args:
            options: of the command.
            flush_seconds: between uploads where FLUSH_SECONDS does not say.
            scheduled: UTC second at which the run was to start, None for now.
        """
        return Plan(
            symbols=tuple(options.symbols),
            grid=Grid(options.step, options.steps, options.interval),
            rest_url=self.binance_rest_url,
            ws_url=self.binance_ws_url,
            connections=self.connections,
            store=self.store(options.backend),
            spool_path=self.spool_path,
            spool_limit_bytes=self.spool_max_mb * 2**20,
            flush_seconds=self.flush_seconds or flush_seconds,
            duration=options.duration,
            table_suffix=options.table_suffix,
            dry_run=options.dry_run,
            relay=options.relay,
            replicas=options.replicas,
            group=self._group,
            scheduled=scheduled,
            metrics_host=self.metrics_host,
            metrics_port=self.metrics_port or None,
            alerts=self.alerts(options.backend),
        )

    @property
    def _group(self) -> str:
        return self.collector_group or socket.gethostname()


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


class Supervisor(BaseSettings):
    """What systemd, and nobody else, sets for a service of Type=notify."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    notify_socket: str | None = Field(None, description="where the service says how it is")
    watchdog_usec: int | None = Field(None, ge=1, description="it is killed when it says nothing for so long")


def load() -> Settings:
    """Read the environment.

    Raises:
        UsageError: a variable holds something it cannot hold; names all of them.
    """
    if (file := Settings.model_config.get("env_file")) is not None:
        _tell_slips(Path(str(file)))
    try:
        return Settings()
    except ValidationError as error:
        raise UsageError(describe(error, str.upper)) from None


@functools.cache
def _tell_slips(file: Path) -> None:
    """Warn of names in a file that are nearly those of settings: once, since a run reads it often."""
    known = [name.upper() for name in Settings.model_fields]
    found = [name for name in dotenv_values(file) if name.upper() not in known]
    slips = {name: alike[0] for name in found if (alike := difflib.get_close_matches(name.upper(), known, 1, _ALIKE))}
    if slips:
        said = ", ".join(f"{name} (is {meant} meant?)" for name, meant in slips.items())
        logger.warning("%s: no setting has the name %s", file, said)
