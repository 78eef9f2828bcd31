"""The view as a full screen, drawn by rich; it fits whatever size the terminal has.

Texts are `Text`, never markup, and hold nothing that would steer the terminal.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, RenderResult
from rich.layout import Layout
from rich.live import Live
from rich.table import Table
from rich.text import Text

from depth.snapshot import Snapshot
from depth.watch.view import Coverage, View, grouped, money, printable

_HEARD_SECONDS = 60.0
_NARROW = 64
_HEAD_LINES = 3
_FOOT_LINES = 6  # what is wrong may take two of them
_MONEY_WIDTH = 7
_LABEL_WIDTH = 7
_NAME_WIDTH = 11
_BASIS_POINTS = 10_000
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Screen:
    """Draws views on a terminal; it has an alternate screen while `live` lasts."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; nothing is drawn yet.

        Args:
            console: of the terminal.
            clock: monotonic seconds.
        """
        self._clock = clock
        self._heard: tuple[float, str] | None = None
        self._live = Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop")

    def live(self) -> Live:
        """Give the context in which views are shown; when it is left, by whatever way, the terminal is as before."""
        return self._live

    def heard(self, said: str) -> None:
        """Take a log record: it is shown for a minute."""
        self._heard = self._clock(), said

    def show(self, view: View, now: float) -> None:
        """Draw; `now` in UTC seconds."""
        if self._heard is not None and self._clock() - self._heard[0] > _HEARD_SECONDS:
            self._heard = None
        self._live.update(layout(view, now, self._heard and self._heard[1]), refresh=True)


def layout(view: View, now: float, heard: str | None = None) -> Layout:
    """Lay a view out.

    Args:
        view: what is shown.
        now: UTC seconds.
        heard: what was logged last, None without.

    Returns:
        Head, book and foot, as high and wide as they are given room.
    """
    whole = Layout()
    whole.split_column(
        Layout(_Head(view, now), size=_HEAD_LINES),
        Layout(_Book(view.row), ratio=1, minimum_size=1),
        Layout(_Foot(view, now, heard), size=_FOOT_LINES),
    )
    return whole


class _Head:
    """Symbol, prices, age."""

    def __init__(self, view: View, now: float) -> None:
        self._view = view
        self._now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view, row, narrow = self._view, self._view.row, options.max_width < _NARROW
        clock = f"{datetime.fromtimestamp(self._now, UTC):%H:%M:%S} UTC"
        first = Table.grid(expand=True, padding=(0, 1))
        first.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        first.add_column(no_wrap=True, justify="right")
        first.add_row(Text.assemble((view.symbol, "bold"), "  ", (printable(view.source), "dim")), Text(clock, "dim"))
        yield first
        if row is None:
            yield _line([("waiting for the first second", "dim")])
            return
        best = [("bid ", "dim"), (_price(row.best_bid), "bold green"), ("  ask ", "dim")]
        best.append((_price(row.best_ask), "bold red"))
        spread = f"spread {_BASIS_POINTS * (row.best_ask - row.best_bid) / row.mid:.2f} bps"
        age = f"{datetime.fromtimestamp(row.epoch, UTC):%H:%M:%S}, {_ago(self._now - row.epoch)}"
        if narrow:
            age = f"{age}, {spread}"
        else:
            best += [(f"  {spread}", ""), ("  mid ", "dim"), (_price(row.mid), "")]
            age = f"epoch {row.epoch}, {age}, proven after {row.timestamp - row.epoch:.2f} s"
        yield _line(best)
        yield _line([(age, "dim")])


class _Book:
    """Both sides as bars: from the best prices, at the top, outwards."""

    def __init__(self, row: Snapshot | None) -> None:
        self._row = row

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        row, height = self._row, (options.height or 1) - 1
        if row is None or height < 1:
            return
        narrow = options.max_width < _NARROW
        beside = 0 if narrow else 2 * (_MONEY_WIDTH + 1)
        width = max(1, (options.max_width - _LABEL_WIDTH - 2 - beside) // 2)
        bids, asks = grouped(row.bid_buckets, height), grouped(row.ask_buckets, height)
        most = max((amount for amount in (*bids, *asks) if amount is not None), default=0.0) or 1.0
        size = -(-len(row.bid_buckets) // height)
        table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
        columns = [(width, "right"), (_LABEL_WIDTH, "center"), (width, "left")]
        if not narrow:
            columns = [(_MONEY_WIDTH, "right"), *columns, (_MONEY_WIDTH, "right")]
        for wide, side in columns:
            table.add_column(width=wide, justify=side, no_wrap=True, overflow="crop")  # type: ignore[arg-type]  # its words
        heads = [Text(f"bids {_total(row.bid_buckets)}", "green"), Text("bps", "dim")]
        heads.append(Text(f"asks {_total(row.ask_buckets)}", "red"))
        table.add_row(*([Text(), *heads, Text()] if not narrow else heads))
        for line, (bid, ask) in enumerate(zip(bids, asks, strict=True)):
            reach = min((line + 1) * size, len(row.bid_buckets)) * row.step * _BASIS_POINTS
            cells = [
                Text(_bar(bid, most, width, ascii_only=options.ascii_only, left=True), "green"),
                Text(f"{reach:.{2 if reach < 100 else 0}f}", "dim"),  # noqa: PLR2004  # digits that fit
                Text(_bar(ask, most, width, ascii_only=options.ascii_only, left=False), "red"),
            ]
            if not narrow:
                cells = [Text(_amount(bid)), *cells, Text(_amount(ask))]
            table.add_row(*cells)
        yield table


class _Foot:
    """Coverage, sockets, spool, collectors; the last line says what is wrong."""

    def __init__(self, view: View, now: float, heard: str | None) -> None:
        self._view = view
        self._now = now
        self._heard = heard

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view = self._view
        yield _coverage(view.coverage, options.max_width, ascii_only=options.ascii_only)
        yield _line([("sockets    ", "dim"), *self._sockets()])
        yield _line([("spool      ", "dim"), (self._spool(), "")])
        yield _line([("collectors ", "dim"), (self._runs(), "")])
        note = view.note(self._now)
        said = [text for text in (note, self._heard) if text]
        yield Text(printable("; ".join(said)) or "Ctrl-C ends", "yellow" if said else "dim")

    def _sockets(self) -> list[tuple[str, str]]:
        sockets = self._view.sockets
        if sockets is None:
            return [("not known here: the collector's metrics tell", "dim")]
        well = sockets.open >= sockets.wanted and sockets.answering >= sockets.wanted
        said = f"{sockets.open} of {sockets.wanted} open, {sockets.answering} answer, {sockets.reconnects} replaced"
        return [(said, "" if well else "yellow")]

    def _spool(self) -> str:
        view = self._view
        if not view.stored:
            return "none, nothing is stored"
        parts = []
        live = view.live(self._now)
        if live:
            waiting = sum({run.spool or run.collector: run.spool_count for run in live}.values())
            oldest = min((run.oldest_spooled for run in live if run.oldest_spooled is not None), default=None)
            parts.append(f"{waiting:,} rows wait" + ("" if oldest is None else f", oldest {_ago(self._now - oldest)}"))
        if view.spool is not None and view.spool.captured is not None:
            parts.append(f"captured {_ago(self._now - view.spool.captured)}")
        if view.spool is not None and view.spool.acknowledged is not None:
            parts.append(f"stored {_ago(self._now - view.spool.acknowledged)}")
        return "; ".join(parts) or "no live collector, no spool file here"

    def _runs(self) -> str:
        if not self._view.stored:
            return "this one"
        live = self._view.live(self._now)
        return f"{len(live)} live" + "".join(f"; {printable(run.collector)} {run.state}" for run in live)


def _line(parts: list[tuple[str, str]]) -> Text:
    """Make one line that is cut where the room ends."""
    text = Text.assemble(*parts, no_wrap=True, overflow="ellipsis", end="")
    text.append("\n")
    return text


def _coverage(coverage: Coverage, width: int, *, ascii_only: bool) -> Table:
    """Draw the last hour: a mark a minute, or a few minutes where there is less room."""
    share = coverage.share
    said = "no second is due yet" if share is None else coverage.text()
    if width >= _NARROW and share is not None:
        said = f"{said} of {coverage.due:,}"
    room = max(1, width - _NAME_WIDTH - len(said) - 1)
    each = -(-len(coverage.minutes) // room) if coverage.minutes else 1
    ribbon = Text(no_wrap=True, overflow="crop")
    for begin in range(0, len(coverage.minutes), each):
        minutes = coverage.minutes[begin : begin + each]
        present, due = sum(minute[0] for minute in minutes), sum(minute[1] for minute in minutes)
        if not due:
            ribbon.append("." if ascii_only else "·", "dim")
        elif present == due:
            ribbon.append("#" if ascii_only else "█", "green")
        elif present:
            ribbon.append("+" if ascii_only else "▄", "yellow")
        else:
            ribbon.append("!" if ascii_only else "▁", "red")
    table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, overflow="crop")
    table.add_row(Text("coverage  ", "dim"), Text(said, "" if share in {None, 1.0} else "yellow"), ribbon)
    return table


def _bar(amount: float | None, most: float, width: int, *, ascii_only: bool, left: bool) -> str:
    if amount is None:
        return "?"
    if ascii_only:
        return "#" * round(width * amount / most)
    eighths = round(8 * width * amount / most)
    if left:  # a block that is cut on its left side has no character: whole ones
        return "█" * round(eighths / 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _amount(amount: float | None) -> str:
    return "?" if amount is None else money(amount)


def _total(buckets: tuple[float | None, ...]) -> str:
    known = [value for value in buckets if value is not None]
    return money(sum(known)) + "+" * (len(known) < len(buckets))


def _price(price: float) -> str:
    return f"{price:,.2f}" if price >= 1 else f"{price:.8f}"


def _ago(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < 100 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds / 86_400:.0f} d ago"
