"""`make demo`: collect one minute from a simulated exchange with the real flow, then hold every row against the truth.

Exit 0 only if every epoch of the minute is stored and equals the exchange's own book at the row's update id.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from depth import buckets, rowkey, snapshot
from depth.epochs import Grid
from depth.exchange.simulated import Handle, Options, SocketOptions, SyntheticSource, threaded
from depth.snapshot import Snapshot
from depth.storage.sqlite import SqliteStore

ROOT = Path(__file__).resolve().parents[2]
DATABASE = ROOT / "data" / "demo.db"
SECONDS = 60
SYMBOL = "BTC/USDT"
TABLE = "binance_btc_depth"


def main() -> int:
    """Run the demo; give its exit code."""
    for old in DATABASE.parent.glob("demo*.db*"):
        old.unlink()
    options = Options(rest_ahead_ms=200, cut_inside_events=True, sockets={2: SocketOptions(delay_ms=80)})
    with threaded(SyntheticSource((SYMBOL,)), options) as exchange:
        say(f"simulated exchange on {exchange.rest_url}; collecting {SECONDS} s with flows/collect.py")
        code = collect(exchange)
        rows = asyncio.run(stored())
        wrong = [row.epoch for row in rows if not proven(row, exchange)]
    for row in rows[-5:]:
        say(snapshot.line(row))
    expected = rows[-1].epoch - rows[0].epoch + 1 if rows else 0
    say(
        f"{len(rows)} of {expected} epochs stored, coverage {len(rows) / max(expected, 1):.2%}, "
        f"{len(rows) - len(wrong)} equal to the exchange's own book"
    )
    say(f"data: {DATABASE.relative_to(ROOT)}, table {TABLE}")
    return 0 if code == 0 and len(rows) == expected >= SECONDS - 5 and not wrong else 1


def collect(exchange: Handle) -> int:
    """Run the command as a person types it, then stop it as a supervisor does."""
    environment = os.environ | {
        "BINANCE_REST_URL": exchange.rest_url,
        "BINANCE_WS_URL": exchange.ws_url,
        "SQLITE_PATH": str(DATABASE),
        "SPOOL_PATH": str(DATABASE.with_name("demo-spool.db")),
    }
    command = [sys.executable, str(ROOT / "flows" / "collect.py"), "--backend", "sqlite"]
    running = subprocess.Popen(command, env=environment)  # noqa: S603  # our own command
    try:
        running.wait(timeout=SECONDS + 8)  # it starts in some seconds; it ends early only by an error
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGTERM)
    return running.wait(timeout=10)


async def stored() -> list[Snapshot]:
    """Read back what is in the database, oldest first."""
    store = SqliteStore(DATABASE)
    try:
        rows = [
            snapshot.decode(record.key, record.columns, SYMBOL)
            async for record in store.scan(TABLE, *rowkey.bounds(0, 9_999_999_999))
        ]
    finally:
        await store.close()
    return rows[::-1]


def proven(row: Snapshot, exchange: Handle) -> bool:
    """Whether a row is the exchange's own book at that update id, bucket by bucket and cent by cent."""
    book = exchange.do(lambda simulated: simulated.book_at("BTCUSDT", row.update_id))
    grid = Grid()
    for best, levels, seen in (
        (row.best_bid, book.bids, row.bid_buckets),
        (row.best_ask, book.asks, row.ask_buckets),
    ):
        true = [(price / 1e8, amount / 1e8) for price, amount in levels.items()]
        if seen != buckets.values(true, best, grid, grid.steps, places=2):
            return False
    best_bid, best_ask = max(book.bids) / 1e8, min(book.asks) / 1e8
    return (row.best_bid, row.best_ask) == (best_bid, best_ask) and row.event_time <= row.epoch * 1000


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
