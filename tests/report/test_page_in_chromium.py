"""The page in a real browser: a made-up day with gaps, drawn by the command."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests import chromium, commands, demo_day
from tests.archive import DAY

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(300),  # the first one makes a day
    pytest.mark.skipif(chromium.find() is None, reason=chromium.MISSING),
]

WIDE, NARROW = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the day, and its page as a person does."""
    folder = tmp_path_factory.mktemp("day")
    demo_day.make(folder / "depth.db")
    ended = commands.run("report", ["--date", "2026-01-10", "--out", "report.html"], folder)
    assert ended.code == 0, ended.err
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(report: Path) -> Iterator[Browser]:
    """One browser for all, after the page is there: while it runs, this thread has a loop of its own."""
    assert report.exists()
    with chromium.running() as running:
        yield running


@contextmanager
def opened(
    browser: Browser, report: Path, size: tuple[int, int] = WIDE, scheme: Any = "light", zone: str = "UTC"
) -> Iterator[Page]:
    """Open the page; nothing may be said on the console, and nothing asked of any other place."""
    viewport: Any = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, timezone_id=zone, offline=True)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_selector("#day .heatmaplayer image")
    page.wait_for_selector("#curve .scatterlayer path")
    yield page
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
    context.close()


def middle(page: Page, minute: float, bps: float) -> tuple[float, float]:
    """Say where on the screen a minute and a distance from the mid are in the heat map."""
    script = """([time, bps]) => {
        const chart = document.getElementById("day"), layout = chart._fullLayout;
        const box = chart.getBoundingClientRect();
        return [box.left + layout.xaxis._offset + layout.xaxis.d2p(time),
                box.top + layout.yaxis._offset + layout.yaxis.d2p(bps)];
    }"""
    time = datetime.fromtimestamp(DAY + minute * 60, UTC)
    place = page.evaluate(script, [f"{time:%Y-%m-%d %H:%M:%S}", bps])
    return place[0], place[1]


def ribbon(page: Page, x: float) -> list[tuple[int, int, int]]:
    """Give the colours of the ribbon's pixels around a place."""
    top = page.evaluate(
        """() => { const chart = document.getElementById("day"), axis = chart._fullLayout.yaxis3;
            return chart.getBoundingClientRect().top + axis._offset + axis._length / 2; }"""
    )
    shot = page.screenshot(clip={"x": round(x) - 2, "y": round(top), "width": 4, "height": 1})
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    return [picture.getpixel((place, 0)) for place in range(picture.width)]  # type: ignore[misc]  # three channels


def near(colour: tuple[int, int, int], pixels: list[tuple[int, int, int]]) -> bool:
    """Whether one of the pixels is of a colour, edges softened or not."""
    return any(max(abs(one - two) for one, two in zip(colour, pixel, strict=True)) < 60 for pixel in pixels)


@pytest.mark.parametrize("size", [WIDE, NARROW, (360, 640), (1920, 1080)], ids=str)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_renders_and_nothing_overflows(size: tuple[int, int], scheme: str, browser: Browser, report: Path) -> None:
    """On a telephone as on a screen, by day and by night, without a word on the console."""
    with opened(browser, report, size, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        # Below 390 px the table of hours may be moved sideways in its frame.
        frames = ".chart, .scroll *" if size[0] < NARROW[0] else ".chart"
        cut = page.evaluate(
            """frames => [...document.querySelectorAll("body *")].filter(each => !each.closest(frames)
                && each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML)""",
            frames,
        )
        assert cut == []
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(14, 17, 22)")
        assert page.evaluate("document.getElementById('day')._fullLayout.paper_bgcolor") in ("#ffffff", "#0e1116")
        assert page.inner_text("#title") == "BTC/USDT · 2026-01-10"


def test_the_theme_can_be_switched(browser: Browser, report: Path) -> None:
    """Page and charts alike, there and back."""
    with opened(browser, report, scheme="dark") as page:
        colours = []
        for _ in range(3):
            colours.append(page.evaluate("document.getElementById('day')._fullLayout.paper_bgcolor"))
            page.click("#theme")
        assert colours == ["#0e1116", "#ffffff", "#0e1116"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_hovering_tells_time_distance_and_money(zone: str, browser: Browser, report: Path) -> None:
    """In UTC wherever the reader is; a bucket that is not known has none."""
    with opened(browser, report, zone=zone) as page:
        page.mouse.move(*middle(page, 200.5, 1.1))
        label = page.locator("#day .hoverlayer .hovertext")
        expect(label).to_have_text(re.compile(r"03:20 · 1\.10 bps[\d.]+k? USDT"))
        page.mouse.move(*middle(page, 680.5, 7.5))
        expect(label).to_have_count(0)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=str)
def test_a_minute_is_chosen_by_slider_buttons_and_click(size: tuple[int, int], browser: Browser, report: Path) -> None:
    """Its book is drawn, and its mark moves along."""
    with opened(browser, report, size) as page:
        before = page.get_attribute("#curve .scatterlayer path.js-line", "d")
        page.locator("#minute").fill("300")
        expect(page.locator("#chosen")).to_have_text(re.compile("^05:00 UTC · mid "))
        assert page.get_attribute("#curve .scatterlayer path.js-line", "d") != before
        page.click("#later")
        expect(page.locator("#chosen")).to_have_text(re.compile("^05:01"))
        page.locator("#minute").press("ArrowLeft")
        expect(page.locator("#chosen")).to_have_text(re.compile("^05:00"))
        page.evaluate("document.getElementById('day').scrollIntoView()")
        page.mouse.click(*middle(page, 1000.5, 2.1))
        # A pixel is more than a minute wide.
        expect(page.locator("#chosen")).to_have_text(re.compile("^16:(3[7-9]|4[0-3])"))
        marked = page.evaluate("document.getElementById('day').layout.shapes[0].x0")
        assert marked == f"2026-01-10 {page.inner_text('#chosen')[:5]}:30"
        page.locator("#losses tr[data-at]").nth(1).click()
        expect(page.locator("#chosen")).to_have_text(re.compile("^09:30"))


def test_what_is_not_known_and_what_is_missing_are_said(browser: Browser, report: Path) -> None:
    """Below the curve of the minute."""
    with opened(browser, report) as page:
        page.locator("#minute").fill("680")
        expect(page.locator("#unknown")).to_have_text("The asks are not known beyond 5.60 bps.")
        page.locator("#minute").fill("580")
        expect(page.locator("#chosen")).to_have_text("09:40 UTC · no row is stored (disconnect)")
        assert page.evaluate("document.getElementById('curve').data.every(({ y }) => y.every(value => value === 0))")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=str)
def test_a_gap_is_visible_where_one_is(size: tuple[int, int], browser: Browser, report: Path) -> None:
    """In the pixels of the ribbon: a long one, and three seconds of a day on a telephone; and in the table."""
    with opened(browser, report, size) as page:
        assert page.inner_text("#losses tbody tr:nth-child(2)").split("\t")[0] == "09:30:20"
        assert "disconnect" in page.inner_text("#losses tbody tr:nth-child(2)")
        full, part, none, doubt = (46, 158, 107), (217, 138, 0), (209, 52, 75), (138, 79, 208)
        for minute, colour in ((10, full), (183, part), (580, none), (1020, doubt), (1200, part)):
            x, _ = middle(page, minute + 0.5, 0)
            assert near(colour, ribbon(page, x)), minute
        for minute in (30, 700, 1100, 1300):
            x, _ = middle(page, minute + 0.5, 0)
            assert not near(none, ribbon(page, x)), minute
            assert not near(part, ribbon(page, x)), minute


def test_the_month_and_the_hours_are_there(browser: Browser, report: Path) -> None:
    """Thirty-one days, nine of them with a share; twenty-four hours."""
    with opened(browser, report) as page:
        days = page.locator("#month [role=cell]").all_inner_texts()
        assert len(days) == 31
        assert sum("%" in day for day in days) == 9
        assert page.locator("#month .here").inner_text().split() == ["10", "97.93", "%"]
        assert page.locator("#hours tbody tr").count() == 24
