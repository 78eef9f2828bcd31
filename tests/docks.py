"""A spool, a store in a bad mood and a shipper between them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from depth import snapshot, tables
from depth.epochs import Grid
from depth.record import Record
from depth.shipping import Destination, Shipment, Shipper
from depth.storage.spool import Spool
from depth.tables import TableMeta
from tests import stored_rows
from tests.moody import MoodyStore

ONE, TWO = "binance_btc_depth", "binance_eth_depth"
START = 1_700_000_000
METAS = {
    ONE: TableMeta("BTC/USDT", "binance spot", Grid()),
    TWO: TableMeta("ETH/USDT", "binance spot", Grid()),
}


@dataclass
class Dock:
    """Where rows wait, and where they are shipped to."""

    path: Path
    spool: Spool
    thread: ThreadPoolExecutor
    store: MoodyStore
    destination: Destination

    def capture(self, table: str, start: int, end: int) -> None:
        """Spool the seconds ``[start, end)`` after START."""
        rows = stored_rows.rows(START + start, START + end)
        records = [(table, snapshot.encode(row)) for row in rows]
        self.thread.submit(self.spool.append, "memory", records, {table: START + end - 1}).result()

    def report(self, table: str, key: str) -> None:
        """Spool a row for the companion of a table."""
        row = (tables.collectors_table(table), Record(key, {"value": "{}"}))
        self.thread.submit(self.spool.append, "memory", [row], {}).result()

    def waiting(self) -> int:
        return self.thread.submit(self.spool.stats).result().count

    def shipment(self, table: str) -> Shipment:
        """Take what waits for one table."""
        rows = self.thread.submit(self.spool.oldest, "memory", 1000).result()[table]
        return Shipment(self.destination, self.spool, self.thread, rows)

    def shipper(self, flush_seconds: float = 0.05) -> Shipper:
        return Shipper(self.destination, self.spool, self.thread, Shipment.send, flush_seconds)


@contextmanager
def opened(folder: Path) -> Iterator[Dock]:
    """Open a spool in a folder; one attempt to ship lasts 0.3 s at most."""
    store, thread = MoodyStore(), ThreadPoolExecutor(1)
    destination = Destination(store, METAS, attempt_seconds=0.3)
    spool = Spool(folder / "spool.db", "mine", 2**30, destination.metas())
    thread.submit(spool.open).result()
    try:
        yield Dock(folder / "spool.db", spool, thread, store, destination)
    finally:
        thread.submit(spool.close).result()
        thread.shutdown()
