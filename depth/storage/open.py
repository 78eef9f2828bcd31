"""Choose a store by name; the Bigtable client is imported for that backend only (78 MB, 1.4 s)."""

from dataclasses import dataclass
from pathlib import Path

from depth.errors import UsageError
from depth.storage.base import Store
from depth.storage.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where rows are stored.

    Attributes:
        backend: ``sqlite`` or ``bigtable``.
        sqlite_path: the database file.
        project: Google Cloud project.
        instance: Bigtable instance.
        app_profile: Bigtable app profile, None for the default one.
        emulator_host: host:port of an emulator, None for the real Bigtable.
    """

    backend: str
    sqlite_path: Path
    project: str | None = None
    instance: str | None = None
    app_profile: str | None = None
    emulator_host: str | None = None


def open_store(options: StoreOptions) -> Store:
    """Make the store; nothing is connected yet.

    Raises:
        UsageError: an unknown backend, or Bigtable without project or instance.
    """
    if options.backend == "sqlite":
        return SqliteStore(options.sqlite_path)
    if options.backend == "bigtable":
        if not options.project or not options.instance:
            raise UsageError("backend bigtable needs BIGTABLE_PROJECT_ID and BIGTABLE_INSTANCE_ID: set both")
        from depth.storage.bigtable import BigtableStore  # noqa: PLC0415  # see the module's docstring

        return BigtableStore(options.project, options.instance, options.app_profile, options.emulator_host)
    raise UsageError(f"backend {options.backend} is not known: use sqlite or bigtable")
