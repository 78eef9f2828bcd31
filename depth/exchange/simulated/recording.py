r"""Recorded traffic, played again byte for byte.

A folder holds ``snapshot.json``, a REST depth body, and ``diffs.jsonl.gz``, one line per frame:
``{"recv_ms": 1723161253937.086, "raw": "{\"stream\":\"btcusdt@depth@100ms\",\"data\":{…}}"}``.
"""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import msgspec

from depth.errors import UsageError
from depth.exchange.simulated.book import Book
from depth.exchange.simulated.listings import listing, split
from depth.exchange.simulated.source import SCALE, Diff, Level, Listing, Source

# Read as a float and rounded to the scaled integer: exact below 2**51, and far faster than by text.
_Number = Annotated[float, msgspec.Meta(ge=0, lt=2**51 / SCALE)]
_RecordedLevel = tuple[_Number, _Number]


class _Line(msgspec.Struct):
    raw: str


class _Wrapped(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()


class _Payload(msgspec.Struct):
    e: str
    E: int
    s: str
    U: int
    u: int
    b: list[_RecordedLevel]
    a: list[_RecordedLevel]


class _Snapshot(msgspec.Struct, rename="camel"):
    last_update_id: int
    bids: list[_RecordedLevel]
    asks: list[_RecordedLevel]


_line = msgspec.json.Decoder(_Line)
_wrapped = msgspec.json.Decoder(_Wrapped)
_payload = msgspec.json.Decoder(_Payload, strict=False)
_snapshot = msgspec.json.Decoder(_Snapshot, strict=False)


@dataclass(frozen=True, slots=True)
class RecordingSource:
    """One recorded market.

    What lies beyond the snapshot's levels is known only from changes, so a body never tells of it, and it tells as
    many bids as asks: levels that nobody recorded are never passed off as absent.

    Attributes:
        folder: where the recording lies.
        shift: play it now: event times and schedule moved by the same whole seconds. Otherwise at its own time, and
            the frames are the recorded text, byte for byte.
        limit: play the first so many events only.
    """

    folder: Path
    shift: bool = True
    limit: int | None = None
    start_ms: int = field(default=0, init=False)
    begin_ms: int = field(default=0, init=False)
    _frames: tuple[str, ...] = field(default=(), init=False, repr=False)
    _body: str = field(default="", init=False, repr=False)
    _listing: tuple[Listing, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        """Read the folder.

        Raises:
            UsageError: it holds no recording.
        """
        if self._frames:
            return
        try:
            with gzip.open(self.folder / "diffs.jsonl.gz") as lines:
                frames = tuple(_bare(_line.decode(line).raw) for line in lines)[: self.limit]
            body = (self.folder / "snapshot.json").read_text()
            best = _snapshot.decode(body).bids[0][0]
            first = _payload.decode(frames[0])
        except (OSError, EOFError, IndexError, msgspec.DecodeError) as error:
            raise UsageError(f"{self.folder} holds no recording ({error}): name a folder with both files") from error
        self._hold(frames, body, (listing(f"{split(first.s)}={best:.8f}")[0],), first.E)

    @property
    def listings(self) -> Sequence[Listing]:
        """The one market."""
        return self._listing

    def placed(self, now_ms: int, speed: float) -> Source:
        """Move the recording to now, if it is to be shifted; see `Source.placed`."""
        del speed
        if not self.shift:
            return self
        own_ms = _payload.decode(self._frames[0]).E
        seconds = -((own_ms - now_ms) // 1000)
        placed = replace(self)
        placed._hold(self._frames, self._body, self._listing, own_ms + 1000 * seconds)  # noqa: SLF001 - own class
        return placed

    def opening(self, market: str) -> Book:
        """Return the recorded snapshot as a book that knows its edges."""
        del market
        snapshot = _snapshot.decode(self._body)
        book = Book(snapshot.last_update_id, _levels(snapshot.bids), _levels(snapshot.asks))
        book.bid_edge, book.ask_edge = min(book.bids), max(book.asks)
        return book

    def diffs(self, market: str) -> Iterator[Diff]:
        """Tell the recorded events; their payloads are the recorded text, but for a shifted E."""
        own_ms = _payload.decode(self._frames[0]).E
        moved = self.start_ms - own_ms
        for frame in self._frames:
            event = _payload.decode(frame)
            diff = Diff(market, event.U, event.u, event.E, _levels(event.b), _levels(event.a), frame)
            yield diff.at(event.E + moved) if moved else diff

    def own_body(self, market: str) -> str:
        """Return the text of ``snapshot.json``."""
        del market
        return self._body

    def _hold(self, frames: tuple[str, ...], body: str, listings: tuple[Listing, ...], start_ms: int) -> None:
        for name, value in (("_frames", frames), ("_body", body), ("_listing", listings)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "start_ms", start_ms)
        object.__setattr__(self, "begin_ms", start_ms - 1)


def _bare(raw: str) -> str:
    inner = bytes(_wrapped.decode(raw).data)
    return inner.decode() or raw


def _levels(levels: list[_RecordedLevel]) -> list[Level]:
    return [(round(price * SCALE), round(amount * SCALE)) for price, amount in levels]
