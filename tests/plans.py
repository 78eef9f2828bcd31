"""The plan of a run for tests: BTC/USDT from an exchange into a folder."""

from pathlib import Path

from depth.epochs import Grid
from depth.plan import Plan
from depth.storage.open import StoreOptions


def plan(rest_url: str, ws_url: str, folder: Path) -> Plan:
    """Collect what an exchange offers into SQLite files of a folder, shipped five times a second."""
    return Plan(
        symbols=("BTC/USDT",),
        grid=Grid(),
        rest_url=rest_url,
        ws_url=ws_url,
        connections=2,
        store=StoreOptions("sqlite", folder / "depth.db"),
        spool_path=folder / "spool.db",
        spool_limit_bytes=512 * 2**20,
        flush_seconds=0.2,
        group="here",
    )
