"""The page as text: whole, safe, small, and the same numbers as the store's."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from depth import reading
from depth.errors import NothingStored
from depth.gaps import Interval
from depth.report import building, page, thumbnail
from depth.report.building import Report
from depth.report.day import Day
from depth.report.page import Content
from tests import archive
from tests.archive import DAY, DOUBTED, LATE, LOST, some
from tests.stored_rows import SYMBOL, TABLE, rows

END = DAY + 86_400


def data_of(html: str) -> dict[str, Any]:
    """Read the data that the page's script reads."""
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def numbers(packed: str, kind: str) -> np.ndarray[Any, Any]:
    """Unpack an array."""
    return np.frombuffer(base64.b64decode(packed), kind)


async def built(folder: Path, hours: int = 0, settled: int = END, *, checked: bool = True) -> Report:
    """Report three hours with a gap."""
    async with archive.opened(folder / "depth.db") as store:
        await archive.fill(store, some(DAY, DAY + 10_800), [LOST, LATE, DOUBTED] if checked else [])
        if hours:
            await archive.roll_up(store, DAY, DAY + 3600 * hours)
        [reader] = await reading.find(store, [SYMBOL])
        return await building.build(reader, DAY, settled)


async def test_the_page_holds_the_days_numbers(tmp_path: Path) -> None:
    """Counts, gaps with causes, what came late and what is in doubt, summaries, the month."""
    report = await built(tmp_path, hours=3)
    data = data_of(report.html)
    assert (report.rows, report.coverage, report.losses) == (10_200, 10_200 / 86_400, 4)
    assert (data["symbol"], data["date"], data["rows"], data["expected"]) == (SYMBOL, "2026-01-10", 10_200, 86_400)
    spans = [(loss["start"] - DAY, loss["end"] - DAY) for loss in data["losses"]]
    told = [(loss["count"], loss["cause"], loss["state"]) for loss in data["losses"]]
    assert [(*span, *words) for span, words in zip(spans, told, strict=True)] == [
        (50, 90, 40, "suspect", "stored"),
        (100, 130, 30, "store late", "filled"),
        (7_000, 7_600, 600, "disconnect", "open"),
        (10_800, 86_400, 75_600, "unknown", "open"),
    ]
    count = numbers(data["count"], "<u4")
    assert [int(count[slot]) for slot in (0, 115, 116, 117, 126, 127, 180)] == [60, 60, 40, 0, 20, 60, 0]
    assert [hour["coverage"] for hour in data["hours"]] == [1.0, 3400 / 3600, 3200 / 3600]
    assert data["month"] == [[DAY, 10_200 / 86_400]]


async def test_money_comes_through_its_packing(tmp_path: Path) -> None:
    """To a tenth of a per cent; not known and no money stay what they are."""
    [row] = rows(DAY, DAY + 1)
    row = replace(row, bid_buckets=(0.0, 12.34, *row.bid_buckets[2:30], *(None,) * 10))
    async with archive.opened(tmp_path / "depth.db") as store:
        await archive.fill(store, [row])
        [reader] = await reading.find(store, [SYMBOL])
        money = data_of((await building.build(reader, DAY, DAY + 1)).html)["money"]
    codes = numbers(money["codes"], "<u2").reshape(money["rows"], 1440)
    bids, asks = codes[:40, 0][::-1], codes[40:, 0]
    for code, value in zip([*bids, *asks], [*row.bid_buckets, *row.ask_buckets], strict=True):
        if value is None:
            assert code == 0
        elif value == 0:
            assert code == 1
        else:
            assert 10 ** (money["low"] + (code - 2) * money["width"]) == pytest.approx(value, rel=0.001)
    assert (codes[:, 1:] == 0).all()


async def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    """Its policy forbids to fetch; no element names a place to fetch from."""
    html = (await built(tmp_path)).html
    assert "default-src 'none'" in html
    own = html.replace(re.findall(r"<script>(.*?)</script>", html, re.DOTALL)[0], "")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']|url\(|@import|https?://""", own)


async def test_a_cause_cannot_end_the_script(tmp_path: Path) -> None:
    """Whatever stands in the ledger is data."""
    evil = "</script><script>alert(1)</script><!--"
    async with archive.opened(tmp_path / "depth.db") as store:
        await archive.fill(store, rows(DAY, DAY + 10), [replace(LOST, start=DAY + 10, end=DAY + 20, cause=evil)])
        [reader] = await reading.find(store, [SYMBOL])
        html = (await building.build(reader, DAY, DAY + 20)).html
    assert data_of(html)["losses"][0]["cause"] == evil
    assert "alert(1)</script>" not in html


async def test_without_check_and_roll_up_there_is_a_page_all_the_same(tmp_path: Path) -> None:
    """Causes are unknown, hours are none."""
    data = data_of((await built(tmp_path, checked=False, settled=DAY + 10_800)).html)
    assert [(loss["start"] - DAY, loss["cause"]) for loss in data["losses"]] == [(7_000, "unknown")]
    assert data["hours"] == []


async def test_a_day_without_rows_is_said(tmp_path: Path) -> None:
    """There is nothing to draw."""
    async with archive.opened(tmp_path / "depth.db") as store:
        await archive.fill(store, rows(DAY, DAY + 10))
        [reader] = await reading.find(store, [SYMBOL])
        with pytest.raises(NothingStored, match="no row of BTC/USDT is stored of 2026-01-11: there is nothing to draw"):
            await building.build(reader, DAY + 86_400, END + 86_400)


async def test_the_day_on_which_a_table_began_is_due_from_its_first_row(tmp_path: Path) -> None:
    """And no further than what is settled, or stored."""
    async with archive.opened(tmp_path / "depth.db") as store:
        await archive.fill(store, rows(DAY + 100, DAY + 160))
        [reader] = await reading.find(store, [SYMBOL])
        for settled, end in ((DAY + 100, 160), (DAY + 160, 160), (DAY + 170, 170)):
            report = await building.build(reader, DAY, settled)
            assert report.coverage == 60 / (end - 100)
            data = data_of(report.html)
            assert (data["dueStart"] - DAY, data["dueEnd"] - DAY) == (100, end)


def test_a_whole_day_stays_below_six_megabytes() -> None:
    """With noise in every bucket, which packs worst, a wide spread, and as many gaps as are shown."""
    noise = np.random.default_rng(1)
    minutes = Day(DAY, TABLE.grid).minutes(Interval(DAY, END))
    money = noise.lognormal(10, 3, (80, 1440))
    minutes = replace(minutes, bids=money, asks=money, mid=noise.random(1440), spread_bps=noise.random(1440), imbalance=noise.random(1440))  # fmt: skip  # noqa: E501
    losses = [page.Loss(DAY + second, DAY + second + 1, 1, "sequence break", "open") for second in range(0, 86_400, 2)]
    html = page.render(Content(TABLE, minutes, 43_200, 86_400, Interval(DAY, END), losses, [], {DAY: 0.5}))
    assert len(html.encode()) < 6_000_000
    data = data_of(html)
    assert (len(data["losses"]), data["lossCount"]) == (500, 43_200)


async def test_the_thumbnail_is_a_small_picture(tmp_path: Path) -> None:
    """Wide, some tens of kilobytes, grey where nothing is known."""
    png = (await built(tmp_path)).png
    picture = Image.open(io.BytesIO(png))
    assert (picture.format, picture.size) == ("PNG", (720, 240))
    assert len(png) < 100_000
    seen = picture.convert("RGB")
    red, green, blue = seen.getpixel((700, 200))  # type: ignore[misc]  # three channels
    assert max(red, green, blue) - min(red, green, blue) < 16
    assert len({seen.getpixel((x, 130)) for x in range(0, 90, 5)}) > 1


def test_a_day_without_money_has_a_thumbnail() -> None:
    """All grey."""
    png = thumbnail.png(Day(DAY, TABLE.grid).minutes(Interval(DAY, END)))
    assert Image.open(io.BytesIO(png)).size == (720, 240)
