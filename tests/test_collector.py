"""The capture loop on a simulated exchange: snapshots of every kind, an exchange that refuses, and how a run ends."""

import asyncio
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from depth.anchoring import Schedule
from depth.collector import Collector, Progress
from depth.epochs import Grid
from depth.errors import AccessRefused, UnknownSymbol
from depth.exchange.base import Market
from depth.exchange.binance import Binance
from depth.exchange.simulated import Options, SyntheticSource
from depth.losses import Incident
from depth.snapshot import Snapshot
from tests.live import Exchange, Run, Scenes, collecting, errors_in, until
from tests.replay import Rows

_EDGE_SECONDS = 0.5
_DEPTH = "/api/v3/depth"


def often() -> Schedule:
    """Re-anchor nearly every second; Binance's weight allows eleven snapshots in one minute."""
    return Schedule(hourly=0.9)


def near_the_edge() -> Schedule:
    """Re-anchor because of the edge alone, and soon."""
    return Schedule(hourly=math.inf, edge=_EDGE_SECONDS)


def never() -> Schedule:
    """Keep the first snapshot."""
    return Schedule(hourly=math.inf, edge=math.inf)


async def anchored_five_times(run: Run) -> None:
    await until(lambda: len(run.client.asked) >= 5)
    await run.more_rows(2)


async def level() -> Run:
    async with collecting(schedule=often) as run:
        await anchored_five_times(run)
    return run


async def ahead_100_ms() -> Run:
    async with collecting(Options(rest_ahead_ms=100, cut_inside_events=True), schedule=often) as run:
        await anchored_five_times(run)
    return run


async def ahead_200_ms() -> Run:
    async with collecting(Options(rest_ahead_ms=200, cut_inside_events=True), schedule=often) as run:
        await anchored_five_times(run)
    return run


async def ahead_300_ms() -> Run:
    async with collecting(Options(rest_ahead_ms=300, cut_inside_events=True), schedule=often) as run:
        await anchored_five_times(run)
    return run


async def narrow_then_wide() -> Run:
    """Bodies hold half of the window for some seconds, then all of it."""
    async with collecting(Options(body_levels=150), schedule=near_the_edge) as run:
        await run.more_rows(2)
        run.exchange.options = replace(run.exchange.options, body_levels=1500)
        await until(lambda: not nulls(run.sink.rows[-1]))
        await run.more_rows(2)
    return run


async def narrow_for_ever() -> Run:
    async with collecting(Options(body_levels=150), schedule=never) as run:
        await run.more_rows(3)
    return run


async def refused_midway() -> Run:
    """From the third row on this machine may no longer read snapshots."""
    async with collecting(schedule=often) as run:
        run.exchange.faults.rest_status(451, seconds=60, path=_DEPTH)
        await run.more_rows(5)
    return run


async def stale_at_first() -> Run:
    """The first bodies are older than any event that was kept."""

    def before(exchange: Exchange) -> None:
        exchange.faults.stale_body(3)

    market = SyntheticSource(start=int(time.time() * 1000) - 3000, since=True)
    async with collecting(source=market, before=before) as run:
        await run.more_rows(2)
    return run


async def failing_at_first() -> Run:
    """The first snapshots fail: twice the server, once with a wait of two seconds."""

    def before(exchange: Exchange) -> None:
        exchange.faults.rest_status(500, count=2, path=_DEPTH)
        exchange.faults.rest_status(429, retry_after=2, path=_DEPTH)

    async with collecting(before=before) as run:
        await run.more_rows(2)
    return run


async def ids_reset() -> Run:
    async with collecting() as run:
        run.exchange.faults.reset_ids()
        await run.more_rows(3)
    return run


@pytest.fixture(scope="session")
def scenes() -> Scenes:
    """Every scene, played."""
    played = Scenes(
        *(level, ahead_100_ms, ahead_200_ms, ahead_300_ms, narrow_then_wide, narrow_for_ever),
        *(refused_midway, stale_at_first, failing_at_first, ids_reset),
    )
    played.play()
    return played


def nulls(row: Snapshot) -> int:
    return [*row.bid_buckets, *row.ask_buckets].count(None)


@pytest.mark.parametrize("name", ["level", "ahead_100_ms", "ahead_200_ms", "ahead_300_ms"])
def test_a_book_that_is_re_anchored_all_the_time_loses_nothing(scenes: Scenes, name: str) -> None:
    """Bodies ahead of the stream and cut inside events: no epoch is lost, every row is the exchange's own book."""
    run = scenes[name]
    assert (run.errors, run.missing, run.lost) == ([], set(), [])
    assert run.outcome.resyncs == 0


@pytest.mark.parametrize("name", ["level", "ahead_100_ms", "ahead_200_ms", "ahead_300_ms"])
def test_every_audit_of_a_true_book_agrees(scenes: Scenes, name: str) -> None:
    """A fresh snapshot and the book say the same at the same update id, level by level."""
    outcome = scenes[name].outcome
    assert outcome.audits_agreed == outcome.audits >= 3
    assert outcome.suspect == 0


@pytest.mark.parametrize("name", ["narrow_then_wide", "narrow_for_ever", "stale_at_first", "failing_at_first"])
def test_no_value_is_ever_wrong(scenes: Scenes, name: str) -> None:
    """However little the bodies tell and however late they come, what a row says is true."""
    run = scenes[name]
    assert (run.errors, run.missing) == ([], set())


def test_what_a_short_body_does_not_tell_is_null(scenes: Scenes) -> None:
    """Of 150 levels a side, which reach half of the window, no row claims to know all."""
    assert all(nulls(row) > 0 for row in scenes["narrow_for_ever"].sink.rows)


def test_no_null_once_the_bodies_cover_the_window(scenes: Scenes) -> None:
    """Rows have nulls until a body that covers the window is there, and none from then on."""
    counts = [nulls(row) for row in scenes["narrow_then_wide"].sink.rows]
    assert counts[0] > 0
    assert counts[-2:] == [0, 0]
    assert counts == [*itertools.takewhile(bool, counts), *itertools.repeat(0, counts.count(0))]


def test_never_more_anchors_than_the_schedule_allows(scenes: Scenes) -> None:
    """While new anchors do not help they are asked for after 0.5, 1, 2, 4 s and not sooner."""
    asked = scenes["narrow_then_wide"].client.asked
    waits = [after - before for before, after in itertools.pairwise(asked)]
    assert len(waits) >= 2
    assert all(wait >= _EDGE_SECONDS * 2**place for place, wait in enumerate(waits))


def test_a_schedule_without_anchors_asks_once(scenes: Scenes) -> None:
    """Without an hour and without an edge the first snapshot is the only one."""
    assert len(scenes["narrow_for_ever"].client.asked) == 1


def test_a_refusal_midway_ends_no_capture(scenes: Scenes) -> None:
    """HTTP 451 for snapshots alone: the stream goes on, and so do the rows."""
    run = scenes["refused_midway"]
    assert (run.errors, run.missing, run.lost) == ([], set(), [])
    assert len(run.client.asked) >= 3


def test_a_refusal_midway_is_asked_about_ever_less_often(scenes: Scenes) -> None:
    """Five seconds of refusals, after the beginning, its audit and two more, are some requests, not one a beat."""
    assert len(scenes["refused_midway"].client.asked) <= 10


def test_bodies_older_than_the_events_kept_are_asked_for_again(scenes: Scenes) -> None:
    """Three that do not join, and the fourth begins the chain."""
    run = scenes["stale_at_first"]
    assert len(run.client.asked) == 4
    assert run.outcome.anchors == 1


def test_a_snapshot_that_fails_is_asked_for_again_as_the_exchange_wishes(scenes: Scenes) -> None:
    """After HTTP 500 soon, after 429 when its Retry-After is over."""
    asked = scenes["failing_at_first"].client.asked
    waits = [after - before for before, after in itertools.pairwise(asked)]
    assert len(waits) == 3
    assert waits[2] >= 2.0
    assert waits[0] < waits[2]


def test_ids_that_begin_anew_break_the_chain(scenes: Scenes) -> None:
    """The cause is named, some seconds are lost, and the rows after it are the exchange's book again."""
    run = scenes["ids_reset"]
    assert run.errors == []
    assert 1 <= len(run.missing) <= 5 + int(run.lag)
    assert {incident.cause for incident in run.lost} == {"ids reset"}


async def collect(exchange: Exchange, symbols: Sequence[str], sink: "Rows | Slow", stop: asyncio.Event) -> Collector:
    """Run one collector to its end."""
    client = Binance(exchange.rest_url, exchange.ws_url)
    collector = Collector(client, Grid(), "test", sink)
    try:
        await collector.run(symbols, stop)
    finally:
        await client.close()
    return collector


async def after_rows(sink: "Rows | Slow", count: int, stop: asyncio.Event) -> None:
    async with asyncio.timeout(40):
        while len(sink.rows) < count:  # noqa: ASYNC110  # a sink announces nothing
            await asyncio.sleep(0.02)
    stop.set()


@dataclass
class Slow(Rows):
    """A sink that takes its time."""

    calls: int = 0
    closed: bool = field(default=False, init=False)

    async def put(self, rows: Sequence[Snapshot], incidents: Sequence[tuple[str, Incident]]) -> None:
        self.calls += 1
        if self.calls == 1:
            await asyncio.sleep(2.5)
        await super().put(rows, incidents)

    async def close(self) -> None:
        self.closed = True


async def test_two_symbols_are_two_books() -> None:
    """Each market has rows of its own, at every second, and none of the other's."""
    sink, stop = Rows(), asyncio.Event()
    async with Exchange(SyntheticSource(("BTC/USDT", "ETH/USDT")), None) as exchange:
        await asyncio.gather(collect(exchange, ["BTC/USDT", "ETH/USDT"], sink, stop), after_rows(sink, 8, stop))
        for symbol, market in (("BTC/USDT", "BTCUSDT"), ("ETH/USDT", "ETHUSDT")):
            rows = [row for row in sink.rows if row.symbol == symbol]
            assert errors_in(rows, exchange, market) == []
            epochs = [row.epoch for row in rows]
            assert epochs == list(range(epochs[0], epochs[0] + len(epochs)))
            assert len(epochs) >= 3


async def test_a_slow_sink_delays_rows_and_loses_none() -> None:
    """While the sink takes 2.5 s the book goes on; what was captured is handed over next, then the sink is closed."""
    sink, stop = Slow(), asyncio.Event()
    async with Exchange(SyntheticSource(), None) as exchange:
        await asyncio.gather(collect(exchange, ["BTC/USDT"], sink, stop), after_rows(sink, 5, stop))
        epochs = [row.epoch for row in sink.rows]
        assert epochs == list(range(epochs[0], epochs[0] + len(epochs)))
        assert errors_in(sink.rows, exchange) == []
    assert sink.closed


async def test_the_end_of_a_run_says_what_it_could_not_prove() -> None:
    """Seconds that had begun and that no event has closed are an incident `stopped`, right behind the last row."""
    sink, stop = Rows(), asyncio.Event()
    async with Exchange(SyntheticSource(), None) as exchange:

        async def fall_silent() -> None:
            await after_rows(sink, 3, asyncio.Event())
            exchange.faults.halt()
            await asyncio.sleep(2.5)
            stop.set()

        await asyncio.gather(collect(exchange, ["BTC/USDT"], sink, stop), fall_silent())
    [stopped] = sink.incidents.values()
    assert stopped.cause == "stopped"
    assert stopped.start == sink.rows[-1].epoch + 1
    assert stopped.end - stopped.start in {2, 3}


@pytest.mark.parametrize("status", [451, 403])
async def test_a_refusal_at_the_start_ends_the_run(status: int) -> None:
    """There is nothing to collect: the caller gets the one line that says what to do."""
    async with Exchange(SyntheticSource(), None) as exchange:
        exchange.faults.rest_status(status, seconds=60)
        with pytest.raises(AccessRefused, match=f"HTTP {status}"):
            await collect(exchange, ["BTC/USDT"], Rows(), asyncio.Event())


async def test_an_unknown_symbol_ends_the_run() -> None:
    """One wrong name among right ones is said at once."""
    async with Exchange(SyntheticSource(), None) as exchange:
        with pytest.raises(UnknownSymbol, match="FOO/USDT"):
            await collect(exchange, ["BTC/USDT", "FOO/USDT"], Rows(), asyncio.Event())


async def test_a_run_can_be_stopped_before_the_exchange_has_answered() -> None:
    """Unreachable for ever: the stop is obeyed at once, and the outcome says that nothing was captured."""
    client, stop = Binance("http://127.0.0.1:9", "ws://127.0.0.1:9"), asyncio.Event()
    collector = Collector(client, Grid(), "test", Rows())
    running = asyncio.create_task(collector.run(["BTC/USDT"], stop))
    await asyncio.sleep(0.3)
    stop.set()
    outcome = await asyncio.wait_for(running, 1)
    await client.close()
    assert outcome.line().startswith("nothing was captured")


async def test_a_symbol_s_progress_tells_of_its_audits() -> None:
    """How many agreed, and the newest rows that one did not confirm; of a symbol that is not loaded nothing."""
    client = Binance("http://127.0.0.1:9", "ws://127.0.0.1:9")
    collector = Collector(client, Grid(), "test", Rows())
    assert collector.progress("BTC/USDT") == Progress()
    collector._prepare([Market("BTC/USDT", "BTCUSDT", "USDT")])
    capture = collector._captures["BTCUSDT"]
    capture.counts.audits_agreed = 3
    newest = Incident(30, 40, "suspect")
    capture.losses.incidents += [Incident(10, 20, "suspect"), newest, Incident(50, 60, "silent")]
    await collector._drain()
    assert collector.progress("BTC/USDT") == Progress(audits_agreed=3, suspect=newest)
    await client.close()


async def test_a_cancelled_run_leaves_no_task_behind() -> None:
    """Cancelled while the exchange does not answer, it stops asking."""
    client = Binance("http://127.0.0.1:9", "ws://127.0.0.1:9")
    running = asyncio.create_task(Collector(client, Grid(), "test", Rows()).run(["BTC/USDT"], asyncio.Event()))
    await asyncio.sleep(0.3)
    running.cancel()
    await asyncio.wait([running])
    await client.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
