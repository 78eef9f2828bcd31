"""What `--format tardis` writes, loaded by nautilus_trader.

It lives in an environment of its own (600 MB, and other versions than ours): `make nautilus` makes it and runs this.
"""

import asyncio
import json
import math
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from depth import reading
from depth.export.exporting import Export, Exported
from depth.export.formats import FORMATS
from depth.export.places import Place
from depth.gaps import Interval
from depth.snapshot import Snapshot
from tests import archive
from tests.archive import DAY
from tests.commands import ROOT
from tests.stored_rows import SYMBOL, rows

PYTHON = Path(os.environ.get("NAUTILUS_PYTHON", ROOT / ".venv-nautilus" / "bin" / "python"))
LOAD = """
import json, sys
from nautilus_trader.adapters.tardis.loaders import TardisCSVDataLoader

loader = TardisCSVDataLoader(price_precision=5, size_precision=8)
for depth in loader.load_depth10(sys.argv[1], levels=25):
    sides = [[[o.side.name, float(o.price), float(o.size)] for o in side] for side in (depth.bids, depth.asks)]
    print(json.dumps([str(depth.instrument_id), depth.ts_event, depth.ts_init, *sides]))
"""


async def written(folder: Path, made: list[Snapshot]) -> Path:
    """Export rows of the first minute."""
    found: list[Exported] = []
    async with archive.opened(folder / "depth.db") as store:
        await archive.fill(store, made)
        [table] = await reading.find(store, [SYMBOL])
        span = Interval(DAY, DAY + 60)
        await Export(table, Place(str(folder)), FORMATS["tardis"], [span], found.append).run()
    return folder / found[0].file


@pytest.mark.skipif(not PYTHON.exists(), reason="NO NAUTILUS_TRADER, ITS LOADER IS NOT TRIED: run `make nautilus`")
def test_nautilus_loads_the_same_book(tmp_path: Path) -> None:
    """Ten levels of each row; not known is no order, no money is an order of size 0, a gap is no snapshot."""
    made = [row for row in rows(DAY, DAY + 50) if row.epoch != DAY + 20]
    made[3] = replace(made[3], bid_buckets=(5.0, 0.0) + (None,) * 38)
    file = asyncio.run(written(tmp_path, made))
    said = subprocess.run([PYTHON, "-c", LOAD, file], check=True, capture_output=True, text=True).stdout
    depths = [json.loads(line) for line in said.splitlines()]
    assert len(depths) == len(made) == 49
    for row, (market, event, received, bids, asks) in zip(made, depths, strict=True):
        assert (market, event, received) == ("BTCUSDT.BINANCE", row.epoch * 10**9, row.epoch * 10**9 + 250_000_000)
        for name, best, sign, buckets, orders in (
            ("BUY", row.best_bid, -1, row.bid_buckets, bids),
            ("SELL", row.best_ask, 1, row.ask_buckets, asks),
        ):
            assert len(orders) == 10
            for level, ((side, price, size), money) in enumerate(zip(orders, buckets[:10], strict=True)):
                if money is None:
                    assert (side, price, size) == ("NO_ORDER_SIDE", 0, 0)
                    continue
                assert side == name
                assert price == pytest.approx(best * math.exp(sign * level * 0.00002), abs=1e-5)
                assert price * size == pytest.approx(money, abs=0.01)
