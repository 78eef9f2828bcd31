"""Hands for the tests of the spool: rows for one table, shipped without a store."""

import subprocess

from depth import rowkey
from depth.errors import SpoolFull
from depth.record import Record
from depth.storage.spool import Spool

T = "binance_btc_depth"
B = "sqlite"

# A collector in a process of its own: argv is path, id, rows, and what it does then.
COLLECTOR = """
import os, signal, sys, time
from pathlib import Path
from depth import rowkey
from depth.record import Record
from depth.storage.spool import Spool
path, collector, rows, then = sys.argv[1:]
spool = Spool(Path(path), collector, 2**30)
spool.open()
for epoch in range(1, int(rows) + 1):
    row = Record(rowkey.encode(epoch, "BTC/USDT"), {"collector": collector}, epoch * 1000)
    spool.append("sqlite", [("binance_btc_depth", row)], {"binance_btc_depth": epoch})
if then == "die":
    os.kill(os.getpid(), signal.SIGKILL)
print("ready", flush=True)
sys.stdin.readline()
if then == "adopt":
    print(spool.adopt(), flush=True)
    sys.stdin.readline()
spool.close()
"""


def says(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def row(epoch: int, text: str = "") -> tuple[str, Record]:
    return T, Record(rowkey.encode(epoch, "BTC/USDT"), {"orderbook": text or str(epoch)}, epoch * 1000)


def append(spool: Spool, *epochs: int, text: str = "") -> None:
    spool.append(B, [row(epoch, text) for epoch in epochs], {T: epochs[-1]})


def epochs(spool: Spool, limit: int = 1000) -> list[int]:
    return [rowkey.decode(spooled.record.key)[0] for spooled in spool.oldest(B, limit).get(T, [])]


def ship(spool: Spool, limit: int = 1000) -> int:
    rows = spool.oldest(B, limit).get(T, [])
    spool.acknowledge(B, [each.rowid for each in rows], {T: rowkey.decode(rows[-1].record.key)[0]} if rows else {})
    return len(rows)


def ship_all(spool: Spool, limit: int = 1000) -> None:
    while ship(spool, limit):
        pass


def append_until_full(spool: Spool, size: int) -> tuple[int, str]:
    """Append rows of `size` characters; give how many were taken and what was said then."""
    for epoch in range(1, 5_000):
        try:
            append(spool, epoch, text="x" * size)
        except SpoolFull as full:
            return epoch - 1, str(full)
    raise AssertionError("never full")
