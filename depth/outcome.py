"""What a run did: its closing line and its report."""

import statistics
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from depth.capture import Capture
from depth.losses import Incident

_LATENCIES_KEPT = 3600


@dataclass(slots=True)
class SymbolOutcome:
    """One symbol's part of a run.

    Attributes:
        symbol: ``BTC/USDT``.
        rows: seconds captured.
        expected: epochs from the first row to the last one that was due.
        lost: epochs without a row, by cause.
        suspect: rows that two audits in a row did not confirm.
        resyncs: chains that broke.
        anchors: snapshots that a book was built on or replaced by.
        audits: anchors held against a live book.
        audits_agreed: of these, those that agreed on every level.
        batch_mismatch: events that two sockets cut differently; above zero, equal bytes are not promised.
    """

    symbol: str
    rows: int
    expected: int
    lost: dict[str, int]
    suspect: int
    resyncs: int
    anchors: int
    audits: int
    audits_agreed: int
    batch_mismatch: int

    @property
    def coverage(self) -> float:
        """Share of the expected epochs that have a row, 0 to 1."""
        return self.rows / self.expected if self.expected else 0.0


@dataclass(slots=True)
class Latency:
    """Seconds from an epoch to its row being durable in the spool.

    Attributes:
        seconds: of the last hour of rows.
        counts: of all rows of the run, by the first of `BOUNDS` that is not below; the last one is above all of them.
        total: sum of all.
    """

    BOUNDS: ClassVar = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0)

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES_KEPT))
    counts: list[int] = field(default_factory=lambda: [0] * (len(Latency.BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Take the latency of one row."""
        self.seconds.append(seconds)
        self.counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.total += seconds

    def quantile(self, percent: int) -> float | None:
        """Give a percentile in seconds, None without two rows."""
        if len(self.seconds) < 2:  # noqa: PLR2004  # statistics.quantiles needs two
            return None
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


@dataclass(slots=True)
class Outcome:
    """A whole run.

    Attributes:
        collector: id of the run.
        symbols: each symbol's part.
        latency: epoch to durable.
        malformed: frames that could not be read.
        waiting: rows that still wait in the spool, None for a run that stores nothing.
    """

    collector: str
    symbols: list[SymbolOutcome]
    latency: Latency
    malformed: int = 0
    waiting: int | None = None

    def line(self) -> str:
        """Say it in one line."""
        parts = [
            f"{part.symbol} {part.rows} rows, coverage {part.coverage:.2%}, {_lost(part.lost)}, "
            f"{part.resyncs} resyncs, {part.anchors} anchors, {part.audits_agreed}/{part.audits} audits agree"
            + (f", {part.batch_mismatch} batch mismatches: equal bytes not promised" if part.batch_mismatch else "")
            for part in self.symbols
        ]
        return "; ".join(
            [
                *(parts or ["nothing was captured"]),
                f"latency {self._latency()}",
                "nothing was stored" if self.waiting is None else f"{self.waiting} rows wait in the spool",
            ]
        )

    def markdown(self) -> str:
        """Say it as a table for the Prefect UI."""
        head = "| symbol | rows | coverage | lost, by cause | suspect | resyncs | anchors | audits agree | mismatches |"
        rows = [
            f"| {part.symbol} | {part.rows:,} | {part.coverage:.3%} | {_lost(part.lost)} | {part.suspect} | "
            f"{part.resyncs} | {part.anchors} | {part.audits_agreed}/{part.audits} | {part.batch_mismatch} |"
            for part in self.symbols
        ]
        foot = (
            f"Latency epoch to durable: {self._latency()}. Malformed frames: {self.malformed}. "
            f"Rows that wait in the spool: {self.waiting or 0}. Collector `{self.collector}`."
        )
        return "\n".join([head, "|---" * 9 + "|", *rows, "", foot])

    def _latency(self) -> str:
        p50, p99 = self.latency.quantile(50), self.latency.quantile(99)
        return "not measured" if p50 is None or p99 is None else f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"


def summarise(capture: Capture, incidents: Iterable[Incident]) -> SymbolOutcome:
    """Sum up one symbol; `incidents` are all of its run, the newest form of each."""
    lost: dict[str, int] = {}
    suspect = 0
    for incident in incidents:
        count = (incident.end - incident.start) // capture.grid.interval
        if incident.cause == "suspect":
            suspect += count
        else:
            lost[incident.cause] = lost.get(incident.cause, 0) + count
    counts = capture.counts
    return SymbolOutcome(
        symbol=capture.symbol,
        rows=counts.rows,
        expected=counts.rows + sum(lost.values()),
        lost=lost,
        suspect=suspect,
        resyncs=counts.resyncs,
        anchors=counts.anchors,
        audits=counts.audits,
        audits_agreed=counts.audits_agreed,
        batch_mismatch=capture.sequence.batch_mismatch,
    )


def _lost(lost: dict[str, int]) -> str:
    return ", ".join(f"{count} lost ({cause})" for cause, count in sorted(lost.items())) or "none lost"
