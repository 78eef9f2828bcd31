"""The Prefect UI shows what our runs leave on the server: a real server, a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests import chromium, prefect_ui
from tests.prefect_ui import Shown

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(240),
    pytest.mark.skipif(chromium.find() is None, reason=chromium.MISSING),
]


@pytest.fixture(scope="module")
def shown(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return prefect_ui.play(prefect_api, tmp_path_factory.mktemp("shown"), 12)


@pytest.fixture(scope="module")
def browser(shown: Shown) -> Iterator[Browser]:
    """One browser for all, after the runs are there: while it runs, this thread has a loop of its own."""
    assert shown.ui
    expect.set_options(timeout=30_000)
    with chromium.running() as running:
        yield running


def test_a_run_is_a_page_with_its_uploads_and_logs(browser: Browser, shown: Shown) -> None:
    """Name, state, what it said and what it did."""
    with shown.opened(browser, f"/runs/flow-run/{shown.collected['id']}") as page:
        expect(page.get_by_text(shown.collected["name"]).first).to_be_visible()
        expect(page.get_by_text("Completed").first).to_be_visible()
        expect(page.get_by_text("Beginning flow run").first).to_be_visible()
        page.get_by_role("tab", name="Task Runs").click()
        expect(page.get_by_text("rows of binance_btc_depth").first).to_be_visible()


def test_a_check_s_artifacts_are_listed(browser: Browser, shown: Shown) -> None:
    """Beside what a collector left."""
    with shown.opened(browser, "/artifacts") as page:
        for key in ("coverage", "open-gaps", "collector-run"):
            expect(page.get_by_text(key, exact=True).first).to_be_visible()


def test_coverage_is_a_table_and_a_chart(browser: Browser, shown: Shown) -> None:
    """The chart is drawn."""
    with shown.opened(browser, f"/artifacts/artifact/{shown.artifacts['coverage']}") as page:
        expect(page.get_by_role("cell", name="BTC/USDT")).to_be_visible()
        expect(page.locator(prefect_ui.CHART)).to_contain_text("BTC/USDT: seconds stored, %")


def test_open_gaps_are_a_table(browser: Browser, shown: Shown) -> None:
    """Its cause and how much is missing."""
    with shown.opened(browser, f"/artifacts/artifact/{shown.artifacts['open-gaps']}") as page:
        for cell in ("BTC/USDT", str(prefect_ui.HOLE), "unknown"):
            expect(page.get_by_role("cell", name=cell, exact=True).first).to_be_visible()


def test_a_gap_is_an_event(browser: Browser, shown: Shown) -> None:
    """In the feed."""
    with shown.opened(browser, "/events") as page:
        expect(prefect_ui.gap_event(page)).to_be_visible()
