"""Recorded traffic through the simulated exchange and the real ccxt client, held against the oracle."""

import asyncio
import math
from functools import cache

import pytest

from depth import snapshot
from depth.anchoring import Schedule
from depth.exchange.simulated import Options, SimulatedExchange, SocketOptions
from depth.snapshot import Snapshot
from tests import oracle, recordings
from tests.replay import SHAPE, Replayed, collect, first_anchor_only, replay, source

pytestmark = pytest.mark.timeout(90)

# Binance's order book read at 100 market seconds a second: sockets, snapshots and the loop see 1,000 events a second.
SPEED = 100.0


@pytest.fixture(autouse=True)
def _recordings() -> None:
    recordings.require()


@cache
def own_rows(name: str) -> oracle.Sampled:
    """Sample a recording with the oracle, on its own snapshot."""
    recording = recordings.load(name)
    return oracle.sample(recording.events, recording.snapshot, SHAPE)


@cache
def whole_rows(name: str) -> dict[int, oracle.OracleRow]:
    """Sample a recording with the oracle as if its snapshot were the whole book."""
    recording = recordings.load(name)
    return oracle.full_rows(recording.events, recording.snapshot, SHAPE)


def stored(row: Snapshot) -> tuple[str, str, str, str, str]:
    """Give what the store would hold of a row, but for the receive time and the collector."""
    columns = snapshot.encode(row).columns
    return tuple(columns[name] for name in ("price", "orderbook", "event_time", "update_id", "covered"))  # type: ignore[return-value]


def wanted(row: oracle.OracleRow) -> tuple[str, str, str, str, str]:
    """Give the same of an oracle's row."""
    covered = f"{row.covered[0]},{row.covered[1]}"
    return row.price, row.orderbook, str(row.event_time), str(row.update_id), covered


def lies(replayed: Replayed, name: str) -> list[str]:
    """List everything in the rows that the whole recorded book contradicts; null says nothing."""
    truth = whole_rows(name)
    found = []
    for epoch, row in replayed.rows.items():
        true = truth[epoch]
        if (row.best_bid, row.best_ask) != (float(true.best_bid), float(true.best_ask)):
            found.append(f"{epoch}: best {row.best_bid}/{row.best_ask}, really {true.best_bid}/{true.best_ask}")
        if (row.event_time, row.update_id) != (true.event_time, true.update_id):
            found.append(f"{epoch}: after {row.update_id}, really {true.update_id}")
        for side in ("bid_buckets", "ask_buckets"):
            pairs = zip(getattr(row, side), getattr(true, side), strict=True)
            found += [f"{epoch}: {side} {mine}, really {its}" for mine, its in pairs if mine not in {None, its}]
    return found


@pytest.mark.parametrize("name", recordings.NAMES)
async def test_rows_equal_the_oracle_byte_for_byte(name: str) -> None:
    """On a recording's own snapshot, every row is the oracle's and no epoch is missing or too many."""
    options = Options(speed=SPEED, start_after=2, fixed_body=True)
    replayed = await replay(name, options, first_anchor_only)
    own = own_rows(name)
    assert {epoch: stored(row) for epoch, row in replayed.rows.items()} == {
        epoch: wanted(row) for epoch, row in own.rows.items()
    }
    lost = {epoch: incident.cause for incident in replayed.incidents for epoch in range(incident.start, incident.end)}
    assert {epoch: cause for epoch, cause in lost.items() if cause != "stopped"} == own.absent


async def test_window_beyond_the_known_range_is_null_or_no_row() -> None:
    """The golden recording has 283 of 650 seconds with nulls or no row, and none with a ghost of a best bid."""
    options = Options(speed=SPEED, start_after=2, fixed_body=True)
    replayed = await replay(recordings.GOLDEN, options, first_anchor_only)
    whole = [row for row in replayed.rows.values() if row.covered == (40, 40)]
    assert len(own_rows(recordings.GOLDEN).epochs) == 650
    assert 650 - len(whole) == 283
    assert not {row.best_bid for row in replayed.rows.values()} & {61564.91, 61556.04}


@pytest.mark.parametrize(
    ("ahead_ms", "cut", "delay_ms"), [(0, False, 0), (100, True, 250), (200, True, 90), (300, True, 0)]
)
async def test_snapshots_ahead_of_the_stream_and_cut_inside_events(ahead_ms: int, cut: bool, delay_ms: int) -> None:  # noqa: FBT001  # a parameter
    """Whatever the snapshot, the sockets' delays and the starting time, no row says what the book did not hold."""
    options = Options(
        speed=40,
        start_after=2,
        rest_ahead_ms=ahead_ms,
        cut_inside_events=cut,
        sockets={2: SocketOptions(delay_ms=delay_ms), 3: SocketOptions(delay_ms=delay_ms)},
    )
    async with SimulatedExchange(source(recordings.DERIVED, limit=2400), options) as exchange:
        early, late = await asyncio.gather(collect(exchange), collect(exchange, delay=2.0))
    assert lies(early, recordings.DERIVED) == []
    assert lies(late, recordings.DERIVED) == []
    assert len(early.rows) > 200
    assert late.rows
    assert early.outcome.symbols[0].resyncs == late.outcome.symbols[0].resyncs == 0
    assert set(late.rows) <= set(early.rows)
    for epoch, row in late.rows.items():
        other = early.rows[epoch]
        if row.covered == other.covered:
            assert stored(row) == stored(other)


async def test_anchors_swap_without_losing_a_second() -> None:
    """Re-anchored every half second under a falling price: every audit agrees, every epoch has a true row or cause."""
    options = Options(speed=SPEED, start_after=2, rest_ahead_ms=300, cut_inside_events=True)
    replayed = await replay(recordings.GOLDEN, options, lambda: Schedule(hourly=0.5, edge=math.inf))
    outcome = replayed.outcome.symbols[0]
    assert outcome.audits_agreed == outcome.audits >= 3
    assert outcome.resyncs == 0
    assert lies(replayed, recordings.GOLDEN) == []
    lost = {epoch for incident in replayed.incidents for epoch in range(incident.start, incident.end)}
    assert not lost & set(replayed.rows)
    first, last = min(replayed.rows), max(replayed.rows)
    assert lost | set(replayed.rows) >= set(range(first, last + 1))


async def test_a_recording_as_fast_as_it_goes_is_the_same_rows() -> None:
    """Frames that wait in the socket while the loop is busy lose nothing: speed changes no byte."""
    options = Options(speed=0, start_after=2, fixed_body=True)
    replayed = await replay(recordings.DERIVED, options, first_anchor_only)
    assert {epoch: stored(row) for epoch, row in replayed.rows.items()} == {
        epoch: wanted(row) for epoch, row in own_rows(recordings.DERIVED).rows.items()
    }
