"""Pictures of the report for README.md: `make pictures`."""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests import chromium, commands, demo_day

DOCS = Path(__file__).resolve().parents[1] / "docs"
SIZES = {"report-1280.png": (1280, 1000, "dark"), "report-390.png": (390, 1000, "light")}


def main() -> int:
    """Make a day, draw it with the command, and take its picture in two sizes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
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
                shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
                shot.quantize(256, Image.Quantize.MAXCOVERAGE).save(DOCS / file, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
