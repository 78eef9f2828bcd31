"""The screen: it fits every size, steers nothing, and gives the terminal back."""

import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from depth.exchange.base import Sockets
from depth.presence import Presence
from depth.watch.screen import Screen, layout
from depth.watch.view import Coverage, Spool, View
from tests.stored_rows import rows, shallow

NOW = 1_768_003_200
[ROW] = rows(NOW - 1, NOW)
RUN = Presence("vm-1-1768", "g", NOW - 500, "chained", NOW - 3.0, oldest_spooled=NOW - 7, spool_count=12, spool="s")
FULL = View(
    "BTC/USDT",
    "sqlite depth.db",
    row=ROW,
    coverage=Coverage(((0, 0),) * 10 + ((60, 60),) * 40 + ((30, 60),) * 5 + ((0, 60),) * 5),
    runs=(RUN,),
    sockets=Sockets(2, 2, 2, 1),
    spool=Spool(NOW - 1, NOW - 8),
)
LONG = "no database /a/very/long/path/" + "x" * 300


def drawn(view: View, width: int = 80, height: int = 24, heard: str | None = None, encoding: str = "utf-8") -> str:
    """Draw as on a terminal of that size; the text without colours."""
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    console = Console(file=out, width=width, height=height, force_terminal=True, record=True)
    console.print(layout(view, NOW, heard), end="")
    return console.export_text()


@pytest.mark.parametrize("height", [1, 5, 9, 10, 24, 60])
@pytest.mark.parametrize("width", [1, 10, 40, 63, 64, 80, 200])
@pytest.mark.parametrize(
    "view",
    [
        FULL,
        View("BTC/USDT", "sqlite depth.db"),
        View("BTC/USDT", "dry run, binance spot", stored=False, row=ROW, sockets=Sockets(2)),
        replace(FULL, trouble=LONG, runs=(RUN,) * 9, source=LONG),
        replace(FULL, row=replace(ROW, bid_buckets=(1e60,) * 2000, ask_buckets=(None,) * 2000, best_ask=1e15)),
        replace(FULL, row=replace(ROW, best_bid=1e-8, best_ask=2e-8, bid_buckets=(0.0,), ask_buckets=(0.0,))),
    ],
)
def test_it_is_exactly_as_large_as_the_terminal(view: View, width: int, height: int) -> None:
    """No line is longer, and there is none too many: a screen does not scroll."""
    lines = drawn(view, width, height, heard="a warning").splitlines()
    assert len(lines) == height
    assert {cell_len(line) for line in lines} <= {width}


def test_80_by_24_says_it_all() -> None:
    said = drawn(FULL)
    for part in (
        "BTC/USDT  sqlite depth.db",
        "00:00:00 UTC",
        f"bid {ROW.best_bid:,.2f}  ask {ROW.best_ask:,.2f}  spread 0.00 bps  mid 90,008.81",
        f"epoch {NOW - 1}, 23:59:59, 1 s ago, proven after 0.25 s",
        "bps",
        "8.00",
        "coverage   85.00% of 3,000 ",
        "sockets    2 of 2 open, 2 answer, 1 replaced",
        "spool      12 rows wait, oldest 7 s ago; captured 1 s ago; stored 8 s ago",
        "collectors 1 live; vm-1-1768 chained",
        "Ctrl-C ends",
    ):
        assert part in said
    assert len(re.findall(r"^ +\d+\.\dk +█+ +\d\.\d\d", said, re.MULTILINE)) == 14


def test_40_columns_keep_what_matters() -> None:
    said = drawn(FULL, 40)
    for part in (f"bid {ROW.best_bid:,.2f}  ask {ROW.best_ask:,.2f}", "spread 0.00 bps", "1 s ago", "85.00%", "2 of 2"):
        assert part in said
    assert len(re.findall(r"█+ +\d\.\d\d ", said)) == 14


def test_bars_are_as_long_as_the_money() -> None:
    """The largest sum of both sides takes all the room."""
    bids, asks = (0.0, 50.0) + (0.0,) * 38, (100.0,) + (0.0,) * 39
    said = drawn(replace(FULL, row=replace(ROW, bid_buckets=bids, ask_buckets=asks)), height=50).splitlines()
    near, next_to_it = said[4], said[5]
    assert near.count("█") == 27
    assert next_to_it.count("█") == 14
    assert "100.0" in near
    assert " 0.20 " in near


def test_what_is_not_known_is_no_zero() -> None:
    said = drawn(replace(FULL, row=shallow(ROW, 30)))
    assert "M+" in said
    assert len(re.findall(r"^ +\? +\? +\d\.\d\d ", said, re.MULTILINE)) == 4


def test_a_terminal_of_ascii_gets_ascii() -> None:
    said = drawn(FULL, encoding="ascii")
    assert said.isascii()
    assert "###" in said


@pytest.mark.parametrize("evil", ["[bold red]x[/]", "\x1b[2J\x1b]0;title\x07", "a\nb\rc\x9b"])
def test_outside_text_is_neither_markup_nor_steering(evil: str) -> None:
    """A collector's name, a message of the store, a log record, a path: as they are spelt."""
    view = replace(FULL, trouble=evil, source=evil, runs=(Presence(evil, "g", 1, "chained", NOW - 1.0),))
    out = io.StringIO()
    Console(file=out, width=300, height=24, force_terminal=True, color_system=None).print(layout(view, NOW, evil))
    shown = "".join(character if character.isprintable() else "·" for character in evil)
    assert out.getvalue().count(shown) == 4
    assert set(re.findall(r"[\x00-\x1f\x7f-\x9f]", out.getvalue())) == {"\n"}


def test_the_terminal_is_given_back_whatever_happens() -> None:
    """The alternate screen ends and the cursor is back after an error, too."""
    out = io.StringIO()
    screen = Screen(Console(file=out, width=80, height=24, force_terminal=True))

    def fail() -> None:
        with screen.live():
            screen.show(FULL, NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert out.getvalue().count("\x1b[?1049h") == 1
    assert out.getvalue().endswith("\x1b[?25h\x1b[?1049l")


def test_a_log_record_is_shown_for_a_minute() -> None:
    clock = [0.0]
    out = io.StringIO()
    screen = Screen(Console(file=out, width=80, height=24, force_terminal=True), lambda: clock[0])
    with screen.live():
        screen.heard("socket 1 is closed")
        for second in (0.0, 59.0, 61.0):
            clock[0] = second
            screen.show(FULL, NOW)
    assert out.getvalue().count("socket 1 is closed") == 2
