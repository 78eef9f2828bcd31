"""Pictures of the report and of the Prefect UI for README.md and docs/OPERATIONS.md: `make pictures`."""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests import chromium, commands, demo_day, prefect_server, prefect_ui

DOCS = Path(__file__).resolve().parents[1] / "docs"
_DRAWN_MS = 3000  # a canvas does not say when it is drawn
SIZES = {"report-1280.png": (1280, 1000, "dark"), "report-390.png": (390, 1000, "light")}


def main() -> int:
    """Take them; give the exit code."""
    with tempfile.TemporaryDirectory() as name:
        return report(Path(name)) or prefect(Path(name))


def report(folder: Path) -> int:
    """Make a day, draw it with the command, and take its picture in two sizes."""
    demo_day.make(folder / "depth.db")
    ended = commands.run("report", ["--date", "2026-01-10", "--out", "report.html"], folder)
    if ended.code:
        sys.stderr.write(ended.err)
        return ended.code
    with chromium.running() as browser:
        for file, (width, height, scheme) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]  # one of its words
            page.goto((folder / "report.html").as_uri())
            page.wait_for_selector("#day .heatmaplayer image")
            page.wait_for_selector("#curve .scatterlayer path")
            keep(page, file)
    return 0


def prefect(folder: Path) -> int:
    """Collect for a while on a server, lose some seconds of it, and take pictures of what the UI shows."""
    folder = folder / "prefect-ui"
    folder.mkdir()
    with prefect_server.running(folder) as api:
        shown = prefect_ui.play(api, folder, 40)
        with chromium.running() as browser:
            with shown.opened(browser, f"/runs/flow-run/{shown.collected['id']}", 760) as page:
                page.get_by_text("Beginning flow run").first.wait_for()
                page.wait_for_timeout(_DRAWN_MS)
                keep(page, "prefect-run.png")
            with shown.opened(browser, f"/artifacts/artifact/{shown.artifacts['coverage']}", 800) as page:
                page.locator(prefect_ui.CHART).wait_for()
                page.wait_for_timeout(_DRAWN_MS)
                keep(page, "prefect-coverage.png")
            with shown.opened(browser, '/events?events=["depth.gap.opened"]', 640) as page:
                prefect_ui.gap_event(page).wait_for()
                page.wait_for_timeout(_DRAWN_MS)
                keep(page, "prefect-events.png")
    return 0


def keep(page: Page, file: str) -> None:
    """Take a picture of a page, with few colours: it must stay small."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(256, Image.Quantize.MAXCOVERAGE).save(DOCS / file, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
