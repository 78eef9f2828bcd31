"""What the Prefect UI is to show: a collect run and a check that found a gap, on a real server."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Locator, Page

from depth import rowkey
from depth.exchange.simulated import SyntheticSource, threaded
from tests import commands
from tests.orchestra import until

HOLE = 3
CHART = "svg[id^=mermaid]"
# What is known of prefect 3.8.8: icons that it does not bring along, a question that an artifact's page asks wrongly,
# and a company that is told of visitors, whatever PREFECT_SERVER_ANALYTICS_ENABLED says; from here it is not.
_KNOWN = re.compile(
    r"/favicon-dark\.ico$|/completed\.svg$|/api/task_runs/filter$|^https://[a-z0-9.-]+\.amplitude\.com/"
)


@dataclass(frozen=True)
class Shown:
    """What was left on the server.

    Attributes:
        ui: address of the UI.
        collected: flow run of collect, as the API tells it.
        verified: flow run of verify, likewise.
        artifacts: ids of what verify left, by key.
    """

    ui: str
    collected: dict[str, Any]
    verified: dict[str, Any]
    artifacts: dict[str, str]

    @contextmanager
    def opened(self, browser: Browser, path: str, height: int = 900) -> Iterator[Page]:
        """Open a page of the UI; it reports no error but those that are known, and asks nothing of any other place."""
        page = browser.new_page(viewport={"width": 1280, "height": height}, color_scheme="dark")
        page.route(lambda url: not url.startswith(self.ui), lambda route: route.abort())
        errors: list[tuple[str, str]] = []
        page.on(
            "console", lambda said: errors.append((said.location["url"], said.text)) if said.type == "error" else None
        )
        page.on("pageerror", lambda error: errors.append(("", str(error))))
        page.on("response", lambda got: errors.append((got.url, str(got.status))) if not got.ok else None)
        page.goto(f"{self.ui}/v2{path}")
        yield page
        page.close()
        assert [(url, text) for url, text in errors if not _KNOWN.search(url)] == []


def play(api: str, folder: Path, seconds: int) -> Shown:
    """Collect, lose some seconds of it and have them found.

    Args:
        api: of the server, as PREFECT_API_URL takes it.
        folder: for the database.
        seconds: to collect.

    Returns:
        What the UI is to show of it.
    """
    server = {"PREFECT_API_URL": api, "FLUSH_SECONDS": "2"}
    with threaded(SyntheticSource()) as exchange:
        urls = {"BINANCE_REST_URL": exchange.rest_url, "BINANCE_WS_URL": exchange.ws_url}
        with commands.running("collect", ["--duration", str(seconds)], folder, server | urls) as process:
            collected = commands.finish(process, seconds=seconds + 90)
    assert collected.code == 0, collected.err
    with closing(sqlite3.connect(folder / "depth.db", isolation_level=None)) as database:
        keys = [key for (key,) in database.execute("SELECT row_key FROM binance_btc_depth ORDER BY row_key")]
        middle = len(keys) // 2
        lost = [(key,) for key in keys[middle : middle + HOLE]]
        database.executemany("DELETE FROM binance_btc_depth WHERE row_key = ?", lost)
    end = str(rowkey.decode(keys[0])[0] + 1)
    verified = commands.run("verify", ["--grace", "0", "--end", end, "--json"], folder, **server)
    assert [len(json.loads(line)["gaps"]) for line in verified.out.splitlines()] == [1], verified.err
    collect, verify = (
        _find(api, "flow_runs", {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC"})[0]
        for flow in ("collect", "verify")
    )
    left = _find(api, "artifacts", {"flow_runs": {"id": {"any_": [verify["id"]]}}})
    artifacts = {each["key"]: each["id"] for each in left}
    until(lambda: _events(api, "depth.gap.opened"), 60)  # written down seconds later, and a page does not look again
    return Shown(api.removesuffix("/api"), collect, verify, artifacts)


def gap_event(page: Page) -> Locator:
    """Give the gap's entry in the feed, which ends with the last whole minute and does not look again by itself."""
    gap = page.get_by_text("depth.gap.opened", exact=True).first
    for _ in range(8):
        page.wait_for_timeout(10_000)
        if gap.is_visible():
            break
        page.reload()
    return gap


def _events(api: str, name: str) -> list[dict[str, Any]]:
    wanted = {"filter": {"event": {"name": [name]}}}
    found: list[dict[str, Any]] = httpx.post(f"{api}/events/filter", json=wanted).raise_for_status().json()["events"]
    return found


def _find(api: str, what: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.post(f"{api}/{what}/filter", json=wanted).raise_for_status().json()
    return found
