"""Recordings played again: byte for byte, at their time or now, and honest about what they know."""

import gzip
import json
from pathlib import Path

import pytest

from depth.errors import UsageError
from depth.exchange.simulated import RecordingSource
from depth.exchange.simulated.playing import Play
from depth.exchange.simulated.source import scaled
from tests.exchange.simulated.client import recording

LONG, SHORT = "spot-btcusdt-20240808", "spot-btcusdt-20260630"


def raws(folder: Path) -> list[str]:
    with gzip.open(folder / "diffs.jsonl.gz", "rt") as lines:
        return [json.loads(line)["raw"] for line in lines]


def test_frames_are_the_recorded_text_wrapped_or_bare() -> None:
    folder = recording(SHORT)
    assert [diff.payload for diff in RecordingSource(folder, shift=False).diffs("BTCUSDT")] == raws(folder)
    folder = recording(LONG)
    first = next(RecordingSource(folder, shift=False).diffs("BTCUSDT"))
    assert f'{{"stream":"btcusdt@depth@100ms","data":{first.payload}}}' == raws(folder)[0]


def test_a_shifted_recording_begins_within_a_second_and_only_its_times_differ() -> None:
    own = RecordingSource(recording(SHORT), shift=False)
    now = 1_800_000_000_500
    placed = RecordingSource(recording(SHORT)).placed(now, 1.0)
    assert now <= placed.start_ms <= now + 1_000
    assert placed.begin_ms < placed.start_ms
    for was, moved in zip(own.diffs("BTCUSDT"), placed.diffs("BTCUSDT"), strict=True):
        seconds, rest = divmod(moved.time - was.time, 1_000)
        assert rest == 0
        assert moved.payload == was.payload.replace(f'"E":{was.time}', f'"E":{was.time + 1_000 * seconds}')
        assert (moved.first_id, moved.last_id, moved.bids, moved.asks) == (
            was.first_id,
            was.last_id,
            was.bids,
            was.asks,
        )


def test_a_recording_that_keeps_its_time_stays_where_it_is() -> None:
    own = RecordingSource(recording(SHORT), shift=False)
    assert own.placed(1_800_000_000_000, 1.0) is own


def test_the_market_and_its_steps_are_read_from_the_traffic() -> None:
    (market,) = RecordingSource(recording(LONG)).listings
    assert (market.id, market.symbol, market.tick) == ("BTCUSDT", "BTC/USDT", 10**6)


def test_the_book_equals_a_second_recorded_snapshot() -> None:
    folder = recording(SHORT)
    verify = json.loads((folder / "verify_snapshot.json").read_text())
    source = RecordingSource(folder)
    book = Play(source, source.listings[0]).book_at(verify["lastUpdateId"])
    low, high = book.bid_edge, book.ask_edge
    assert low is not None
    assert high is not None
    bids = {scaled(p): scaled(a) for p, a in verify["bids"] if scaled(p) >= low}
    asks = {scaled(p): scaled(a) for p, a in verify["asks"] if scaled(p) <= high}
    mine = book.known()
    assert (len(bids), len(asks)) == (988, 986)
    assert list(bids.items())[:986] == mine[0][:986]
    assert list(asks.items()) == mine[1][:986]


def test_bodies_never_tell_of_levels_that_nobody_recorded() -> None:
    """The golden case: the price falls through the lowest bid of the snapshot; then there is no body at all."""
    folder = recording(LONG)
    snapshot = json.loads((folder / "snapshot.json").read_text())
    low, high = scaled(snapshot["bids"][-1][0]), scaled(snapshot["asks"][-1][0])
    source = RecordingSource(folder, shift=False)
    play = Play(source, source.listings[0])
    counts = []
    for time in range(source.start_ms, source.start_ms + 420_000, 10_000):
        body = json.loads(play.body(5_000, time) or '{"bids": [], "asks": []}')
        assert len(body["bids"]) == len(body["asks"])
        assert all(scaled(price) >= low for price, _ in body["bids"])
        assert all(scaled(price) <= high for price, _ in body["asks"])
        counts.append(len(body["bids"]))
    assert counts[0] == 1_000
    assert 0 in counts


def test_the_own_body_is_the_recorded_text() -> None:
    folder = recording(SHORT)
    assert RecordingSource(folder).own_body("BTCUSDT") == (folder / "snapshot.json").read_text()


def test_only_the_first_events_can_be_asked_for() -> None:
    source = RecordingSource(recording(SHORT), limit=7)
    assert len(list(source.diffs("BTCUSDT"))) == 7


@pytest.mark.parametrize("content", [None, b"", b'{"raw": "{}"}\n', b"no json\n"])
def test_a_folder_without_a_recording_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "diffs.jsonl.gz").write_bytes(gzip.compress(content))
        (tmp_path / "snapshot.json").write_text('{"lastUpdateId":1,"bids":[["1","1"]],"asks":[["2","1"]]}')
    with pytest.raises(UsageError, match="holds no recording"):
        RecordingSource(tmp_path)
