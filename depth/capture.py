"""One symbol, from deliveries to proven seconds.

Pure: sockets, snapshots and both clocks come from the caller. `collector.py` is its I/O shell.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from depth.anchoring import Reason, Schedule
from depth.book import Audit, Book
from depth.epochs import QUIET_LIMIT_MS, Grid, closed
from depth.events import Anchor, Event
from depth.losses import Cause, Incident, Losses
from depth.sequence import BreakCause, Broken, Ordered, Sequence
from depth.snapshot import Snapshot

logger = logging.getLogger(__name__)

_REACH_SECONDS = 60.0
_TELL_SECONDS = 10.0
_CLOSING_SECONDS = 3.0


@dataclass(slots=True)
class Counts:
    """What happened in a run, for its summary and its metrics."""

    events: int = 0
    rows: int = 0
    resyncs: int = 0
    anchors: int = 0
    audits: int = 0
    audits_agreed: int = 0


@dataclass(slots=True)
class Capture:
    """Turns one symbol's events and snapshots into rows.

    Attributes:
        symbol: ``BTC/USDT``.
        grid: what is sampled.
        places: decimals of a bucket's value.
        collector: id of the run, written into each row.
        schedule: decides when a snapshot is wanted.
        halted: whether the exchange says that the market does not trade; names the cause of a long silence.
        rows: rows cut and not yet taken by the caller, oldest first.
        losses: epochs without a proven row, and why.
    """

    symbol: str
    grid: Grid
    places: int
    collector: str
    schedule: Schedule = field(default_factory=Schedule)
    halted: bool = False
    sequence: Sequence = field(default_factory=Sequence)
    counts: Counts = field(default_factory=Counts)
    rows: list[Snapshot] = field(default_factory=list)
    losses: Losses = field(default_factory=Losses)
    _book: Book | None = None
    _time: int | None = None  # of the last event in the book; None before the chain has its first known time
    _anchor: Anchor | None = None  # waits for the stream to reach it
    _reason: Reason = "start"  # why it was asked for
    _anchor_since: float = 0.0
    _doubted: bool = False
    _near_edge: bool = False
    _left: bool = False  # the best price is outside the known range
    _next_epoch: int | None = None
    _break: Cause = "sequence break"
    _untimely: int = 0  # events whose time could not be true, as far as that was said
    _false_since: int | None = None  # times from this one on, in ms, were wrong: their epochs may come again
    _cut_off_at: float | None = None  # when the last socket was closed, until an event comes
    _tell_at: float = 0.0

    @property
    def chained(self) -> bool:
        """Whether there is a book inside a chain with a known time: the next event can prove a row."""
        return self._time is not None

    @property
    def last_epoch(self) -> int | None:
        """Last epoch that has a row or a known cause for having none."""
        return None if self._next_epoch is None else self._next_epoch - self.grid.interval

    def opened(self, socket: str) -> None:
        """Note a socket that delivers from now on."""
        self.sequence.opened(socket)

    def closed(self, socket: str, now: float) -> None:
        """Note a socket that delivers no more; `now` in monotonic seconds."""
        steps = self.sequence.closed(socket, now)
        if not self.sequence.sockets and self._cut_off_at is None:
            self._cut_off_at = now
        self._take(steps, now)

    def tick(self, now: float) -> None:
        """Let time pass where no event comes; it gives up holes and cuts no row.

        What is being lost is told while it goes on, so that the ledger knows the cause even if this process dies.
        """
        self._take(self.sequence.tick(now), now)
        if now >= self._tell_at and (self._is_cut_off(now) or not self.chained):
            self._tell_at = now + _TELL_SECONDS
            lost = self._unproved(now)
            if lost is not None and lost.end - lost.start >= _TELL_SECONDS:
                self.losses.expect(lost)

    def delivered(self, socket: str, event: Event, received: float, now: float) -> None:
        """Take one event.

        Args:
            socket: name of the socket.
            event: the event.
            received: local time of its frame, float seconds UTC.
            now: monotonic seconds.
        """
        self._take(self.sequence.deliver(socket, event, received, now), now)

    def wants_anchor(self, now: float) -> Reason | None:
        """Say why a snapshot should be fetched now, None where none is wanted."""
        if self._anchor is not None or self.sequence.position is None:
            return None  # one waits for the stream to reach it; without a stream none could join
        return self.schedule.due(
            now,
            live=self._book is not None and not self._left,
            hole=self.sequence.hole,
            doubted=self._doubted,
            near_edge=self._near_edge,
        )

    def anchored(self, anchor: Anchor, reason: Reason, now: float) -> None:
        """Take a snapshot that was asked for.

        Args:
            anchor: the REST body.
            reason: what `wants_anchor` said when it was asked for.
            now: monotonic seconds.
        """
        self._anchor, self._reason, self._anchor_since = anchor, reason, now
        self._reach_anchor(now)

    def finish(self, now: float) -> None:
        """Close the books of a run: epochs begun by now, monotonic seconds, that no event has proved are lost here."""
        lost = self._unproved(now)
        self.losses.take_back()
        if lost is not None:
            self._lose(lost.start, lost.end, lost.cause)

    def _unproved(self, now: float) -> Incident | None:
        """Name the epochs begun by now that no event has proved, and why."""
        market_time = self.sequence.market_time(now)
        if self._next_epoch is None or market_time is None:
            return None
        end = market_time // 1000 // self.grid.interval * self.grid.interval + self.grid.interval
        if end <= self._next_epoch:
            return None
        cause = self._break
        if self._time is not None:
            silent = market_time - self._time > QUIET_LIMIT_MS
            cause = "disconnect" if self._is_cut_off(now) else "silent" if silent else "stopped"
        return Incident(self._next_epoch, end, cause)

    def _is_cut_off(self, now: float) -> bool:
        """Whether no socket was open for longer than the end of a run takes to close them."""
        return self._cut_off_at is not None and now - self._cut_off_at > _CLOSING_SECONDS

    def _take(self, steps: Iterable[tuple[Event, Ordered] | Broken], now: float) -> None:
        try:
            for step in steps:
                if isinstance(step, Broken):
                    self._broken(step.cause)
                    if step.false_since is not None:
                        self._false_since = step.false_since
                else:
                    self._apply(*step)
            # Only now does the book stand where the sequence stands.
            self._reach_anchor(now)
        except Exception:
            # The book may lack an event that the sequence has passed: nothing more is proved by it.
            self._broken("internal error")
            raise
        if self.sequence.untimely > self._untimely:
            self._untimely = self.sequence.untimely
            said = "%s: an event told a time that those after it prove wrong; it counts as not received, %d so far"
            logger.warning(said, self.symbol, self._untimely)

    def _broken(self, cause: BreakCause | Literal["internal error"]) -> None:
        logger.warning("%s: %s after update id %s, the book is built anew", self.symbol, cause, self._last_id())
        self.counts.resyncs += 1
        self._book = self._time = None
        self._doubted = False
        self._break = cause if self._cut_off_at is None else "disconnect"
        self.losses.good_since = None
        if cause == "ids reset":
            self._anchor = None  # its id is one of the old

    def _apply(self, event: Event, ordered: Ordered) -> None:
        self.counts.events += 1
        self._cut_off_at = None
        if self._book is not None:
            self._advance(self._book, event, ordered)

    def _advance(self, book: Book, event: Event, ordered: Ordered) -> None:
        """Cut the rows that the event proves, then apply it."""
        if self._time is not None:
            epochs = closed(self._time, ordered.time, self.grid.interval)
            if epochs:
                self._cut(book, epochs, ordered, silence=ordered.time - self._time)
        book.apply(event)
        self._time = ordered.time

    def _cut(self, book: Book, epochs: range, ordered: Ordered, silence: int) -> None:
        if self._next_epoch is not None:
            self.losses.take_back()
            if self._false_since is not None:
                self._rewind(epochs[0], self._false_since)
            if epochs[0] > self._next_epoch:
                self._lose(self._next_epoch, epochs[0], self._break)
            elif epochs[0] < self._next_epoch:
                # a new chain may begin before the end of what an old one had proved
                epochs = range(self._next_epoch, epochs.stop, epochs.step)
                if not epochs:
                    return
        end = epochs[-1] + epochs.step
        if self.losses.good_since is None:
            self.losses.good(epochs[0])
        if silence > QUIET_LIMIT_MS:
            self._lose(epochs[0], end, "exchange halted" if self.halted else "silent")
            self.halted = False
            return
        sample = book.sample()
        self._left = sample == "unanchored"
        self._near_edge = book.near_edge()
        if isinstance(sample, str):
            self._lose(epochs[0], end, sample)
            return
        assert self._time is not None  # noqa: S101  # _advance cuts inside a chain only
        for epoch in epochs:
            self.rows.append(
                Snapshot(
                    symbol=self.symbol,
                    epoch=epoch,
                    best_bid=sample.best_bid,
                    best_ask=sample.best_ask,
                    bid_buckets=sample.bid_buckets,
                    ask_buckets=sample.ask_buckets,
                    step=self.grid.step,
                    timestamp=ordered.received,
                    event_time=self._time,
                    update_id=book.last_id,
                    collector=self.collector,
                )
            )
        self.counts.rows += len(epochs)
        self._next_epoch = end

    def _rewind(self, epoch: int, false_since: int) -> None:
        """Go back to the first epoch of the true time: losses from it on are none, rows of the false time suspect."""
        self._false_since = None
        end = self._next_epoch
        if end is not None and epoch < end:
            self._next_epoch = epoch
            self.losses.rewind(epoch, -(-false_since // 1000), end)

    def _reach_anchor(self, now: float) -> None:
        """Use the waiting snapshot once the stream has delivered an event with ``u >= lastUpdateId``."""
        anchor, position = self._anchor, self.sequence.position
        if anchor is None or position is None:
            return
        if self._reason == "hole" and self._book is not None:
            if not self.sequence.hole:
                self._anchor = None  # the hole was filled
            return  # it is for the chain after the hole
        if position < anchor.last_id:
            if now - self._anchor_since > _REACH_SECONDS:
                logger.warning("%s: the stream does not reach snapshot %d, asking again", self.symbol, anchor.last_id)
                self._anchor = None
                self.schedule.failed(now, self._reason)
            return
        self._anchor = None
        kept = list(self.sequence.since(anchor.last_id))
        if kept and kept[0].first_id > anchor.last_id + 1:
            logger.info("%s: snapshot %d is older than the events kept, asking again", self.symbol, anchor.last_id)
            self.schedule.failed(now, self._reason)
            return
        candidate = Book(anchor, self.grid, self.places)
        audited = False
        if self._book is None:
            self._join(candidate, kept)
        else:
            for ordered in kept:
                candidate.apply(ordered.event())
            audit = self._book.audit(candidate)
            if not self._confirmed(audit):
                return
            audited = audit.agrees
        self._book = candidate
        self._left = False
        self._near_edge = candidate.near_edge()
        self.counts.anchors += 1
        self.schedule.anchored(now, near_edge=self._near_edge, audited=audited)

    def _join(self, book: Book, kept: list[Ordered]) -> None:
        """Begin a chain: its time is known from the event that ended at the snapshot, else from the first applied."""
        start = self.sequence.at(book.last_id)
        self._time = start.time if start else None
        for ordered in kept:
            self._advance(book, ordered.event(), ordered)

    def _confirmed(self, audit: Audit) -> bool:
        """Count an audit and say whether the candidate may replace the book."""
        self.counts.audits += 1
        self.counts.audits_agreed += audit.agrees
        share = f"{self.counts.audits_agreed}/{self.counts.audits} audits agree"
        now_epoch = self._next_epoch
        if audit.agrees:
            logger.info("%s: new anchor agrees on all %d levels; %s", self.symbol, audit.compared, share)
            self._doubted = False
            self.losses.good(now_epoch)
            return True
        if not self._doubted:
            logger.warning(
                "%s: %d of %d levels differ from a fresh snapshot, asking for a second one; %s",
                *(self.symbol, audit.mismatches, audit.compared, share),
            )
            self._doubted = True
            return False
        logger.error(
            "%s: two fresh snapshots contradict the book (%d of %d levels): it is replaced, its rows since the last "
            "good audit are marked suspect; compare them with another source before use",
            *(self.symbol, audit.mismatches, audit.compared),
        )
        self._doubted = False
        if now_epoch is not None:
            self.losses.suspect(now_epoch)
        self.losses.good(now_epoch)
        return True

    def _lose(self, start: int, end: int, cause: Cause) -> None:
        self._next_epoch = end
        self.losses.lose(start, end, cause)

    def _last_id(self) -> int | None:
        return None if self._book is None else self._book.last_id
