"""The project's own update path, driven as `depth.capture` drives it."""

import json
from collections.abc import Sequence as Many
from dataclasses import replace

from benchmarks.recording import BenchmarkBroken, Body, Recording, Stream, ensure
from depth.book import Book
from depth.capture import Capture
from depth.epochs import Grid
from depth.events import parse, parse_anchor
from depth.sequence import Broken, Sequence

GRID = Grid()
PLACES = 2
SYMBOL = "BTC/USDT"
# No epoch of it ends within a recording.
_NEVER = 10**7


class Ours:
    """``parse``, `Sequence.deliver` and `Book.apply`: from text to book, in order and without holes."""

    def __init__(self, name: str = "ours", sockets: Many[str] = ("a",)) -> None:
        """Prepare; each event is delivered once by every one of the sockets."""
        self.name = name
        self._sockets = sockets

    async def start(self, recording: Recording) -> None:
        """Build the book and join the stream."""
        self._sequence = Sequence()
        for socket in self._sockets:
            self._sequence.opened(socket)
        self.book = Book(parse_anchor(json.dumps(recording.snapshot)), GRID, PLACES)
        self.book.sample()  # a live book was sampled a second ago: its levels are parted into near and far
        self._applied = 0
        await self.run([recording.joining])

    async def run(self, stream: Stream) -> None:
        """Take frames."""
        deliver, apply, applied = self._sequence.deliver, self.book.apply, 0
        for frame, at in stream:
            for socket in self._sockets:
                for step in deliver(socket, parse(frame), at, at):
                    if isinstance(step, Broken):
                        raise BenchmarkBroken(f"{self.name}: {step.cause}")
                    apply(step[0])
                    applied += 1
        self._applied += applied

    def check(self, recording: Recording) -> None:
        """Compare count, update id and every level inside the known range."""
        ensure(self._applied == len(recording.stream) + 1, f"{self.name}: {self._applied} events were applied")
        check_book(self.name, self.book, recording)


class OursInCapture:
    """`Capture.delivered`: the same with the collector's whole bookkeeping, with or without the rows of each second."""

    def __init__(self, name: str, interval: int = _NEVER) -> None:
        """Prepare; rows are cut every `interval` seconds."""
        self.name = name
        self._grid = replace(GRID, interval=interval)

    async def start(self, recording: Recording) -> None:
        """Build the book and join the stream."""
        frame, at = recording.joining
        self._capture = Capture(SYMBOL, self._grid, PLACES, "benchmark")
        self._capture.opened("a")
        self._capture.delivered("a", parse(frame), at, at)
        self._capture.anchored(parse_anchor(json.dumps(recording.snapshot)), "start", at)
        self._rows = 0

    async def run(self, stream: Stream) -> None:
        """Take frames, and the rows as the collector takes them."""
        delivered, rows = self._capture.delivered, self._capture.rows
        for frame, at in stream:
            delivered("a", parse(frame), at, at)
            if rows:
                self._rows += len(rows)
                rows.clear()

    def check(self, recording: Recording) -> None:
        """Compare the count of events, and that every second has its row or its cause."""
        counts, name = self._capture.counts, self.name
        ensure(counts.events == len(recording.stream) + 1, f"{name}: {counts.events} events were applied")
        ensure(counts.resyncs == 0 and counts.anchors == 1, f"{name}: the chain broke")
        if self._grid.interval < _NEVER:
            lost = sum(incident.end - incident.start for incident in self._capture.losses.incidents)
            ensure(self._rows == counts.rows > 0, f"{name}: no row was cut")
            seconds = int(recording.stream[-1][1] - recording.stream[0][1])
            ensure(abs(counts.rows + lost - seconds) <= 1, f"{name}: {counts.rows} rows, {lost} lost in {seconds} s")


class Parsing:
    """Our parser alone."""

    name = "ours_parse_only"

    async def start(self, recording: Recording) -> None:
        """Nothing to prepare."""

    async def run(self, stream: Stream) -> None:
        """Read each frame and drop it."""
        for frame, _ in stream:
            parse(frame)

    def check(self, recording: Recording) -> None:
        """See that the last frame is read whole."""
        ensure(parse(recording.frames[-1]).last_id == recording.final.last_id, f"{self.name}: misread")


async def verify(recording: Recording) -> tuple[float, float]:
    """Drive `Ours` over a snapshot whose known range has no near end, so that every level of the book is compared.

    Returns:
        Best bid and best ask of our book at the end.
    """
    whole = replace(recording, snapshot=_without_end(recording.snapshot))
    client = Ours()
    await client.start(whole)
    await client.run(whole.stream)
    client.check(whole)
    compared = client.book.audit(Book(parse_anchor(json.dumps(whole.final.body())), GRID, PLACES)).compared
    ensure(compared == len(whole.final.bids) + len(whole.final.asks), f"ours: only {compared} levels could be compared")
    sample = client.book.sample()
    if isinstance(sample, str):
        raise BenchmarkBroken(f"ours: {sample}")
    return sample.best_bid, sample.best_ask


def check_book(name: str, book: Book, recording: Recording) -> None:
    """Compare update id and every level inside the known range with the expected book."""
    ensure(book.last_id == recording.final.last_id, f"{name}: the book stands at {book.last_id}")
    audit = book.audit(Book(parse_anchor(json.dumps(recording.final.body())), GRID, PLACES))
    ensure(audit.agrees and audit.compared, f"{name}: {audit.mismatches} of {audit.compared} levels are wrong")


def _without_end(body: Body) -> Body:
    ends = {"bids": ["0.01000000", "1.00000000"], "asks": ["1000000.00000000", "1.00000000"]}
    return body | {side: [*body[side], end] for side, end in ends.items()}
