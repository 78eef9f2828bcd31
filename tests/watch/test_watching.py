"""The loop: a view a second, whatever the feed does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from depth.errors import StoreRefused
from depth.watch import watching
from depth.watch.view import View
from tests import live
from tests.stored_rows import rows

VIEW = View("BTC/USDT", "x", rows=tuple(rows(5, 7)))


class Shown:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.views: list[View] = []

    def show(self, view: View, now: float) -> None:
        assert now > 0
        self.views.append(view)


class Once:
    """Answers once; then it does something else."""

    def __init__(self, then: Callable[[], Awaitable[object]]) -> None:
        self._then = then
        self._asked = False

    async def look(self) -> View:
        if self._asked:
            await self._then()
        self._asked = True
        return VIEW


async def hang() -> None:
    await asyncio.Event().wait()


async def refuse() -> None:
    raise StoreRefused("no")


async def test_a_feed_that_hangs_holds_up_neither_the_clock_nor_the_end() -> None:
    """The last view is shown on, without its rows; they have been shown."""
    shown, stop = Shown(), asyncio.Event()
    running = asyncio.create_task(watching.watch(Once(hang), shown, stop))
    await live.until(lambda: len(shown.views) >= 3)
    stop.set()
    await asyncio.wait_for(running, 5)
    assert shown.views[0] == VIEW
    assert set(shown.views[1:]) == {replace(VIEW, rows=())}


async def test_an_error_that_a_person_must_mend_ends_it() -> None:
    shown = Shown()
    with pytest.raises(StoreRefused):
        await asyncio.wait_for(watching.watch(Once(refuse), shown, asyncio.Event()), 20)
    assert VIEW in shown.views


async def test_it_ends_at_once_where_it_is_stopped_before_it_began() -> None:
    shown, stop = Shown(), asyncio.Event()
    stop.set()
    await asyncio.wait_for(watching.watch(Once(hang), shown, stop), 5)
    assert shown.views == []


def test_records_are_heard_and_handlers_are_as_before() -> None:
    """Warnings and above."""
    heard: list[str] = []
    before = logging.getLogger().handlers[:]
    with watching._records_to(heard.append):
        logging.getLogger("depth.here").warning("socket %s", 1)
        logging.getLogger("depth.here").info("well")
    assert heard == ["socket 1"]
    assert logging.getLogger().handlers == before


def test_a_log_file_that_is_not_opened_yet_is_no_terminal(tmp_path: Path) -> None:
    """It has no stream, and stays."""
    root, file = logging.getLogger(), logging.FileHandler(tmp_path / "depth.log", delay=True)
    root.addHandler(file)
    try:
        with watching._records_to(lambda _: None):
            assert file in root.handlers
    finally:
        root.removeHandler(file)
