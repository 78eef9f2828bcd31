"""What one run of the collector is to do."""

from dataclasses import dataclass, field
from pathlib import Path

from depth.alerts.options import AlertOptions
from depth.epochs import Grid
from depth.storage.open import StoreOptions

# A collector serves its metrics on the first free one of so many ports: several share a machine.
METRICS_PORTS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run needs to know.

    Attributes:
        symbols: ``BASE/QUOTE``.
        grid: what is sampled.
        rest_url: scheme, host and port of the exchange's REST API.
        ws_url: scheme, host and port of its streams.
        connections: sockets that feed one book.
        store: where rows are stored.
        spool_path: the spool file.
        spool_limit_bytes: of the spool file.
        flush_seconds: between uploads.
        duration: seconds to run, 0 for ever.
        table_suffix: starts other tables for other parameters.
        dry_run: print instead of store.
        relay: after `duration`, go on until later collectors have taken over.
        replicas: how many of them.
        group: collectors that stand in for each other.
        scheduled: UTC second at which the run was to start, None for now.
        metrics_host: address that metrics are served on.
        metrics_port: the first of ten ports for them, None for no metrics.
        stall_seconds: a run that captures nothing for so long ends itself.
        alerts: who is told what goes wrong.
    """

    symbols: tuple[str, ...]
    grid: Grid
    rest_url: str
    ws_url: str
    connections: int
    store: StoreOptions
    spool_path: Path
    spool_limit_bytes: int
    flush_seconds: float
    duration: float = 0
    table_suffix: str = ""
    dry_run: bool = False
    relay: bool = False
    replicas: int = 1
    group: str = ""
    scheduled: int | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    stall_seconds: float = 120.0
    alerts: AlertOptions = field(default_factory=AlertOptions)
