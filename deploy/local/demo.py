"""`make demo`: one minute from a simulated exchange through a Prefect server, then every row held against the truth.

Collect, verify, roll-up and report run as flow runs of a server on this machine, which ends with the demo; KEEP=1
leaves it up. Exit 0 only if every flow run ended well, and every epoch of the minute is stored and equals the
exchange's own book at the row's update id.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from deploy.local.processes import ROOT
from deploy.local.stack import DATA, NotUp, Stack, free_port, say
from depth import buckets, rowkey, snapshot, times
from depth.epochs import Grid
from depth.exchange.simulated import Handle, Options, SocketOptions, SyntheticSource, threaded
from depth.snapshot import Snapshot
from depth.storage.sqlite import SqliteStore

SECONDS = 60
SYMBOL = "BTC/USDT"
FLOWS = ("collect", "verify", "rollup", "report")
TABLE = "binance_btc_depth"
_START_SECONDS = 5  # of a run, until its first row


def main(folder: Path = DATA / "demo", seconds: int = SECONDS) -> int:
    """Run the demo; give its exit code.

    Args:
        folder: for its database and the server's; an earlier demo's are deleted.
        seconds: to collect.
    """
    Stack(folder, os.environ).down()  # one that was kept
    shutil.rmtree(folder)
    stack = Stack(folder, os.environ)
    say("starting a Prefect server")
    try:
        stack.start_server(free_port(0))
        return play(stack, seconds)
    except NotUp as error:
        say(str(error))
        return 1
    finally:
        if os.environ.get("KEEP"):
            say(f"Prefect UI: {stack.ui}; stop it with `make down`")
        else:
            stack.down()


def play(stack: Stack, seconds: int) -> int:
    """Collect, check and show; give the exit code."""
    database = stack.processes.folder / "demo.db"
    options = Options(rest_ahead_ms=200, cut_inside_events=True, sockets={2: SocketOptions(delay_ms=80)})
    with threaded(SyntheticSource((SYMBOL,)), options) as exchange:
        environment = stack.environment | {
            "BINANCE_REST_URL": exchange.rest_url,
            "BINANCE_WS_URL": exchange.ws_url,
            "SQLITE_PATH": str(database),
            "SPOOL_PATH": str(database.with_name("demo-spool.db")),
        }
        say(f"simulated exchange on {exchange.rest_url}; collecting {seconds} s with flows/collect.py")
        codes = [flow("collect", ["--duration", str(seconds)], environment)]
        rows = asyncio.run(stored(database))
        wrong = [row.epoch for row in rows if not proven(row, exchange)]
    span = ["--start", str(rows[0].epoch), "--end", str(rows[-1].epoch + 1), "--grace", "0"] if rows else []
    codes += [flow("verify", span, environment), flow("rollup", [], environment)]
    page = database.with_name("report.html")
    if rows:
        day = times.show(rows[0].epoch)[:10]
        codes.append(flow("report", ["--date", day, "--out", str(page)], environment))
    for row in rows[-5:]:
        say(snapshot.line(row))
    expected = rows[-1].epoch - rows[0].epoch + 1 if rows else 0
    say(
        f"{len(rows)} of {expected} epochs stored, coverage {len(rows) / max(expected, 1):.2%}, "
        f"{len(rows) - len(wrong)} equal to the exchange's own book"
    )
    say(f"data: {database}, table {TABLE}; report: {page}")
    states = [run["state"] for run in ended(stack.api)]
    for name, state in zip(FLOWS, states, strict=False):
        say(f"flow run of {name}: {state['name']}, {state['message']}")
    well = [state["type"] for state in states] == ["COMPLETED"] * len(FLOWS)
    return 0 if well and not any(codes) and len(rows) == expected >= seconds - _START_SECONDS and not wrong else 1


def flow(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a flow as a person types it; give its exit code."""
    command = [sys.executable, str(ROOT / "flows" / f"{name}.py"), "--backend", "sqlite", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603  # our own command


async def stored(database: Path) -> list[Snapshot]:
    """Read back what is in the database, oldest first."""
    store = SqliteStore(database)
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


def ended(api: str) -> list[dict[str, Any]]:
    """Read the flow runs of the server, oldest first."""
    answer = httpx.post(f"{api}/flow_runs/filter", json={"sort": "START_TIME_ASC"}).raise_for_status()
    return list(answer.json())


if __name__ == "__main__":
    sys.exit(main())
