"""A real browser, the system's, without a window."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

MISSING = (
    "NO CHROMIUM, THE REPORT IS NOT TRIED IN A BROWSER: neither chromium nor google-chrome is on PATH, nor named by "
    "CHROMIUM (`make chromium` installs it by apt-get)"
)


def find() -> str | None:
    """Look for the browser: CHROMIUM, then PATH."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@contextmanager
def running() -> Iterator[Browser]:
    """Run it."""
    with sync_playwright() as playwright:
        # Without its sandbox, which root may not have.
        browser = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
