"""One market being played, and the pace at which market time runs. Pure: the clock is an argument."""

from collections import deque
from dataclasses import dataclass

from depth.exchange.simulated.book import Book
from depth.exchange.simulated.source import SLOT_MS, Diff, Listing, Source, levels_text


@dataclass(frozen=True, slots=True)
class Pace:
    """Maps a monotonic clock to market time.

    Attributes:
        begin_ms: market time at `origin`.
        origin: reading of the clock, in seconds, when playing began.
        speed: market seconds per second, above 0.
    """

    begin_ms: int
    origin: float
    speed: float

    def market_ms(self, now: float) -> int:
        """Return the market time in ms at the clock's `now` (s)."""
        return self.begin_ms + int((now - self.origin) * 1000 * self.speed)

    def seconds_until(self, market_ms: int, now: float) -> float:
        """Return how many seconds of the clock are left until a market time; negative if it is over."""
        return (market_ms - self.begin_ms) / 1000 / self.speed - (now - self.origin)


class Play:
    """One market: what has been sent, what only the exchange's own book knows, and what comes next."""

    def __init__(self, source: Source, listing: Listing) -> None:
        """Start before the first event."""
        self.listing = listing
        self.halted = False
        self.delivered_id = 0
        self._source = source
        self._events = source.diffs(listing.id)
        self._lag_ms = 0
        self._id_offset = 0
        self._book = source.opening(listing.id)
        self._stale = self._book.copy()
        self._ahead: deque[Diff] = deque()
        self._next: Diff | None = None
        self._load()

    @property
    def next_time(self) -> int | None:
        """Event time in ms of the next event to send; None when halted or at the end."""
        if self.halted:
            return None
        if self._ahead:
            return self._ahead[0].time
        return self._next.time if self._next else None

    @property
    def ended(self) -> bool:
        """True when the source has no more events."""
        return not self._ahead and self._next is None

    def due(self, market_ms: int, at_most: int = 64) -> list[Diff]:
        """Take the events whose time has come, oldest first, at most so many."""
        due: list[Diff] = []
        while len(due) < at_most and (time := self.next_time) is not None and time <= market_ms:
            if not self._ahead:
                self._read()
            due.append(self._ahead.popleft())
        if due:
            self.delivered_id = due[-1].last_id
        return due

    def body(self, limit: int, market_ms: int, *, cut: bool = False) -> str | None:
        """Return the depth body of the exchange's own book at a market time.

        Args:
            limit: levels a side.
            market_ms: may lie ahead of what has been sent.
            cut: let the body end inside the event after that.

        Returns:
            JSON, or None when no level of the book is known on one side.
        """
        while not self.halted and self._next and self._next.time <= market_ms:
            self._read()
        return body_text(self._book.cut(self._next) if cut and self._next else self._book, limit)

    def stale_body(self, limit: int) -> str | None:
        """Return the depth body from before the first event."""
        return body_text(self._stale, limit)

    def own_body(self) -> str:
        """Return the body that came with the source, whatever has happened since."""
        return self._source.own_body(self.listing.id)

    def delay(self, milliseconds: int) -> None:
        """Move everything that has not been sent to a later event time."""
        self._lag_ms += milliseconds
        self._ahead = deque(diff.at(diff.time + milliseconds) for diff in self._ahead)
        if self._next:
            self._next = self._next.at(self._next.time + milliseconds)

    def resume(self, halted_ms: int) -> None:
        """Trade again after `halted_ms` of market time; event times go on from there, on the same grid."""
        self.halted = False
        self.delay(-(-halted_ms // SLOT_MS) * SLOT_MS)

    def reset_ids(self) -> None:
        """Number all events that have not been sent from 1 again, and the book with them."""
        first_id = self._ahead[0].first_id if self._ahead else self._next.first_id if self._next else 1
        offset = first_id - 1
        self._id_offset += offset
        self._book.last_id -= offset
        self._ahead = deque(diff.renumbered(offset) for diff in self._ahead)
        if self._next:
            self._next = self._next.renumbered(offset)

    def book_at(self, last_id: int) -> Book:
        """Return the true book right after the event with this u, found by telling the story again.

        Raises:
            LookupError: no event so far ends with that id.
        """
        book = self._source.opening(self.listing.id)
        last_id += self._id_offset
        for diff in self._source.diffs(self.listing.id):
            if book.last_id == last_id or diff.first_id > last_id:
                break
            book.apply(diff)
        if book.last_id != last_id:
            raise LookupError(f"no event of {self.listing.id} ends with update id {last_id}")
        return book

    def _read(self) -> None:
        if self._next:
            self._book.apply(self._next)
            self._ahead.append(self._next)
            self._load()

    def _load(self) -> None:
        diff = next(self._events, None)
        if diff and self._lag_ms:
            diff = diff.at(diff.time + self._lag_ms)
        if diff and self._id_offset:
            diff = diff.renumbered(self._id_offset)
        self._next = diff


def body_text(book: Book, limit: int) -> str | None:
    """Write the REST depth body of a book; None when one side has no level to tell."""
    bids, asks = book.known(limit)
    if not bids or not asks:
        return None
    return f'{{"lastUpdateId":{book.last_id},"bids":[{levels_text(bids)}],"asks":[{levels_text(asks)}]}}'
