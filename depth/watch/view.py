"""What is shown at one moment, and how far the last hour is covered. Pure; `now` is UTC seconds."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from depth import epochs, times
from depth.epochs import GRACE_SECONDS
from depth.exchange.base import Sockets
from depth.gaps import Interval
from depth.presence import LIVE_SECONDS, Presence
from depth.snapshot import Snapshot

HOUR: Final = 3600
_MINUTES = 60
_OLD_SECONDS = 60
_HIDDEN = "\N{MIDDLE DOT}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of the epochs that were due have a row.

    Attributes:
        minutes: those with a row and those due, in each minute; oldest first.
    """

    minutes: tuple[tuple[int, int], ...] = ()

    @property
    def present(self) -> int:
        """Epochs with a row."""
        return sum(present for present, _ in self.minutes)

    @property
    def due(self) -> int:
        """Epochs that were due."""
        return sum(due for _, due in self.minutes)

    @property
    def share(self) -> float | None:
        """Share of the epochs that were due, 0 to 1; None where none was."""
        return self.present / self.due if self.due else None

    def text(self) -> str:
        """Write the share, never rounded up to the whole."""
        return f"{math.floor(10_000 * self.present / self.due) / 100:.2f}%" if self.due else "-"


class Hour:
    """Which epochs of the last hour have a row."""

    def __init__(self, interval: int) -> None:
        """Begin without one.

        Args:
            interval: seconds between epochs.
        """
        self._interval = interval
        self._present: set[int] = set()

    def saw(self, span: Interval, present: Iterable[int]) -> None:
        """Take what is now known of a span: the epochs in it that have a row, and no other."""
        self._present = {epoch for epoch in self._present if not span.start <= epoch < span.end} | set(present)

    def coverage(self, now: float, *, whole: bool) -> Coverage:
        """Sum up the hour until now.

        Args:
            now: UTC seconds; what is older by an hour is forgotten.
            whole: rows were due before this hour; otherwise they are due from the first one on.
        """
        newest = max(self._present, default=0)
        end = max(newest + 1, int(now) - GRACE_SECONDS)
        begin = end - HOUR
        self._present = {epoch for epoch in self._present if epoch >= begin}
        if not self._present and not whole:
            return Coverage()
        first = begin if whole else min(self._present)
        counts = [[0, 0] for _ in range(_MINUTES)]
        for epoch in epochs.expected(first, end, self._interval):
            minute = counts[(epoch - begin) * _MINUTES // HOUR]
            minute[0] += epoch in self._present
            minute[1] += 1
        return Coverage(tuple((present, due) for present, due in counts))


@dataclass(frozen=True, slots=True)
class Spool:
    """What waits between the collectors of this machine and the store.

    Attributes:
        captured: last second in the spool file, None where it says nothing.
        acknowledged: last second of it that the store has.
    """

    captured: int | None = None
    acknowledged: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What is shown.

    Attributes:
        symbol: ``BTC/USDT``.
        source: where it is read.
        stored: it is read from a store; otherwise nothing is stored.
        row: the newest.
        rows: those that have come since the view before, oldest first.
        coverage: of the last hour.
        runs: what collectors said of themselves.
        sockets: how they are, None where nobody says.
        spool: what the spool file of this machine says, None without one.
        trouble: what is wrong, in one line.
    """

    symbol: str
    source: str
    stored: bool = True
    row: Snapshot | None = None
    rows: tuple[Snapshot, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)
    runs: tuple[Presence, ...] = ()
    sockets: Sockets | None = None
    spool: Spool | None = None
    trouble: str | None = None

    def again(self) -> "View":
        """Give the same view where nothing has come since."""
        return replace(self, rows=())

    def live(self, now: float) -> list[Presence]:
        """Give the collectors that spoke within the last 15 s and have not said that they stopped."""
        return [run for run in self.runs if run.state != "stopped" and abs(now - run.seen_at) <= LIVE_SECONDS]

    def note(self, now: float) -> str | None:
        """Say what a person should know, None where all is well; the text stays while its reason does."""
        if self.trouble is not None:
            return self.trouble
        if self.row is None:
            return "no row is stored yet: is a collector running?" if self.stored else None
        if now - self.row.epoch > _OLD_SECONDS:
            asks = "is a collector running?" if self.stored else "the market is quiet, or the exchange is away"
            return f"no new row since {times.show(self.row.epoch)}: {asks}"
        return None


def printable(text: str) -> str:
    """Replace what would steer a terminal; what others have written is shown as it is spelt."""
    return "".join(character if character.isprintable() else _HIDDEN for character in text)


def grouped(buckets: tuple[float | None, ...], lines: int) -> list[float | None]:
    """Sum neighbouring buckets so that no more than `lines` are left; one that is not known makes its sum so."""
    size = -(-len(buckets) // max(1, lines))
    parts = (buckets[begin : begin + size] for begin in range(0, len(buckets), size))
    return [None if None in part else sum(value for value in part if value is not None) for part in parts]


def money(amount: float) -> str:
    """Write money in six characters at most, for example ``12.3k``."""
    for unit, size in (("", 1.0), ("k", 1e3), ("M", 1e6), ("B", 1e9), ("T", 1e12)):
        if amount < 999.95 * size:
            return f"{amount / size:.1f}{unit}"
    return f"{amount:.0e}"
