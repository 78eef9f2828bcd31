"""What an exchange and the way to it can do wrong."""

import asyncio
from dataclasses import replace
from functools import partial
from random import Random

from depth.anchoring import Schedule
from depth.exchange.simulated import Options, SocketOptions, SyntheticSource
from tests import markets
from tests.faults.exchange_stage import Scene, Trouble
from tests.live import Exchange

_DEPTH = "/api/v3/depth"
_DAY_MS = 86_400_000
_SAME_TIME = 0.5
_NAMES_REMEMBERED_SECONDS = 11  # aiohttp's cache keeps them for ten
_MARKET = SyntheticSource()

often = partial(Schedule, hourly=5.0)


async def _jump_back_and_forth(scene: Scene) -> None:
    """Now the one socket is ahead, now the other."""
    for turn in range(12):
        scene.faults.freeze(0.7, 1 + turn % 2)
        await asyncio.sleep(0.75)


async def _cut_off(scene: Scene, seconds: float, *, rest: bool) -> None:
    scene.faults.refuse(seconds, rest=rest)
    scene.faults.reset()
    await asyncio.sleep(seconds)


async def _lose_names(scene: Scene, seconds: float) -> None:
    """Cut off both sockets for as long as the client remembers the names that it has looked up, and let names fail."""
    scene.loop.names_fail = True
    scene.faults.refuse(_NAMES_REMEMBERED_SECONDS)
    scene.faults.reset()
    await asyncio.sleep(seconds)
    scene.loop.names_fail = False


async def _silence(scene: Scene, seconds: float) -> None:
    """Both sockets live and answer, and the events of so many seconds never come."""
    scene.faults.drop(10**9)
    await asyncio.sleep(seconds)
    scene.faults.drop(0)


async def _halt(scene: Scene, seconds: float) -> None:
    scene.faults.halt()
    await asyncio.sleep(seconds)
    scene.faults.resume()


def _shut_down(scene: Scene) -> None:
    scene.faults.server_shutdown(wrapped=False, socket=1)
    scene.faults.server_shutdown(wrapped=True, socket=2)


async def _shut_down_in_turn(scene: Scene) -> None:
    scene.faults.server_shutdown(wrapped=False, socket=1)
    await asyncio.sleep(8)
    scene.faults.server_shutdown(wrapped=True, socket=2)


def _lose_an_event_while(trouble: str, scene: Scene, **how: object) -> None:
    getattr(scene.faults, trouble)(**how)
    scene.faults.drop(1)


async def _lose_an_event_after_refusals(scene: Scene) -> None:
    scene.faults.rest_status(451, seconds=100, path=_DEPTH)
    await asyncio.sleep(101)
    scene.faults.drop(1)


def _slowly(exchange: Exchange) -> None:
    exchange.faults.rest_delay(0.4, count=10**6, path=_DEPTH)


def _found_names(scene: Scene) -> list[str]:
    """See that the fault was one: that a name was looked up meanwhile."""
    return [] if scene.loop.names_unfound else ["no name was looked up"]


def _other_timestamps(scene: Scene, seconds: float) -> list[str]:
    """See that rows tell the machine's time, right or wrong, and nothing else of it."""
    rows = scene.run.sink.rows
    before, after = (row.timestamp - row.epoch for row in (rows[0], rows[-1]))
    moved = after - before
    return [] if abs(moved - seconds) < _SAME_TIME else [f"timestamps moved by {moved:.2f} s"]


def _set_clock(scene: Scene, seconds: float) -> None:
    scene.loop.wall_offset = seconds


async def _stand_still_in_a_hole(scene: Scene) -> None:
    """What fills the hole is on its way while the process stands still."""
    scene.faults.drop(1, socket=1)
    await asyncio.sleep(0.3)
    scene.loop.stand_still(20)


async def _storm(scene: Scene) -> None:
    """Two minutes of everything that can befall one socket, each time another one."""
    chance = Random(scene.moment)  # noqa: S311  # repeatable, not secret
    for _ in range(10):
        faults: list[dict[str, object]] = [
            {"fault": "reset"},
            {"fault": "close"},
            {"fault": "half_open"},
            {"fault": "server_shutdown"},
            {"fault": "freeze", "seconds": chance.uniform(0.5, 15)},
            {"fault": "drop", "count": chance.randrange(1, 60)},
            {"fault": "truncate", "count": chance.randrange(1, 20)},
            {"fault": "duplicate", "count": chance.randrange(1, 60)},
            {"fault": "move_time", "milliseconds": chance.choice([-_DAY_MS, -3000, 3000, _DAY_MS]), "count": 30},
        ]
        scene.faults.call({"socket": chance.choice(scene.run.exchange.state.open), **chance.choice(faults)})
        await asyncio.sleep(chance.uniform(11, 13))


SOCKETS = (
    Trouble(name="one socket is reset", do=lambda scene: scene.faults.reset(1)),
    Trouble(name="one socket is closed", do=lambda scene: scene.faults.close(2)),
    Trouble(name="one socket is half-open", do=lambda scene: scene.faults.half_open(1), seconds=20),
    Trouble(name="one socket is frozen for 4 s, then catches up", do=lambda scene: scene.faults.freeze(4, 1)),
    Trouble(
        name="one socket is frozen for 20 s, then catches up",
        quick=False,
        do=lambda scene: scene.faults.freeze(20, 1),
        seconds=30,
    ),
    Trouble(name="both sockets are frozen for 4 s, then catch up", do=lambda scene: scene.faults.freeze(4)),
    Trouble(
        name="both sockets are frozen for 20 s and answer nothing",
        do=lambda scene: scene.faults.freeze(20),
        seconds=40,
        lost=22,
        causes=("sequence break", "disconnect"),
    ),
    Trouble(name="one socket loses a frame", do=lambda scene: scene.faults.drop(1, socket=2)),
    Trouble(
        name="both sockets lose the same frame",
        do=lambda scene: scene.faults.drop(1),
        lost=1,
        causes=("sequence break",),
    ),
    Trouble(name="50 frames come twice", do=lambda scene: scene.faults.duplicate(50)),
    Trouble(name="sockets overtake each other", do=_jump_back_and_forth),
    Trouble(
        name="one socket is 600 ms later than the other", options=Options(sockets={2: SocketOptions(delay_ms=600)})
    ),
    Trouble(name="sockets cut the stream into different events", options=Options(sockets={2: SocketOptions(batch=2)})),
    Trouble(name="one socket gets half a frame", do=lambda scene: scene.faults.truncate(1, socket=1)),
    Trouble(
        name="both sockets get half a frame",
        do=lambda scene: scene.faults.truncate(1),
        lost=1,
        causes=("sequence break",),
    ),
    Trouble(name="both sockets get HTML", do=lambda scene: scene.faults.garbage()),
    Trouble(name="both sockets get a frame of 10 MB", do=lambda scene: scene.faults.huge(10)),
    Trouble(name="one socket gets a frame of 11 MB, more than is read", do=lambda scene: scene.faults.huge(11, 1)),
    Trouble(name="both sockets get an unknown event", do=lambda scene: scene.faults.unknown()),
    Trouble(name="every event has unknown keys", source=markets.Altered(_MARKET, markets.with_unknown_keys)),
    Trouble(name="one socket tells times in µs", do=lambda scene: scene.faults.microseconds(socket=1)),
    Trouble(name="both sockets tell times in µs", do=lambda scene: scene.faults.microseconds()),
    Trouble(name="serverShutdown on both sockets, bare and wrapped, one by one", do=_shut_down_in_turn),
    Trouble(name="serverShutdown on both sockets, bare and wrapped, at once", do=_shut_down),
    Trouble(
        name="both sockets down for 30 s",
        do=lambda scene: _cut_off(scene, 30, rest=False),
        lost=32,
        causes=("disconnect",),
    ),
    Trouble(
        name="sockets and REST down for 30 s",
        quick=False,
        do=lambda scene: _cut_off(scene, 30, rest=True),
        lost=32,
        causes=("disconnect",),
    ),
    Trouble(
        name="host names are not found for 30 s, both sockets reset",
        before=lambda exchange: setattr(exchange, "by_name", True),
        do=lambda scene: _lose_names(scene, 30),
        lost=32,
        causes=("disconnect",),
        also=_found_names,
    ),
    Trouble(name="two minutes of random trouble on one socket at a time", do=_storm, quick=False),
    Trouble(
        name="a server that closes every new connection at once",
        do=lambda scene: [scene.faults.close(number) for number in [1, *range(3, 8)]],
        seconds=25,
    ),
    Trouble(
        name="a server that refuses subscriptions five times",
        do=lambda scene: [scene.faults.reset(1), *(scene.faults.refuse_requests(1, number) for number in range(3, 8))],
        seconds=25,
    ),
)

SNAPSHOTS = (
    Trouble(
        name="snapshots answer 500 for 20 s",
        quick=False,
        do=lambda scene: scene.faults.rest_status(500, seconds=20, path=_DEPTH),
        schedule=often,
        seconds=40,
    ),
    Trouble(
        name="snapshots answer 429 with Retry-After 10",
        do=lambda scene: scene.faults.rest_status(429, count=1, retry_after=10, path=_DEPTH),
        schedule=often,
        seconds=30,
    ),
    Trouble(
        name="snapshots answer 418 with Retry-After 60",
        quick=False,
        do=lambda scene: scene.faults.rest_status(418, seconds=60, retry_after=60, path=_DEPTH),
        schedule=often,
        seconds=80,
    ),
    Trouble(
        name="snapshots answer 451 for 20 s",
        do=lambda scene: scene.faults.rest_status(451, seconds=20, path=_DEPTH),
        schedule=often,
        seconds=60,
    ),
    Trouble(
        name="both lose a frame while snapshots answer 500 for 3 s",
        do=lambda scene: _lose_an_event_while("rest_status", scene, status=500, seconds=3.0, path=_DEPTH),
        lost=5,
        causes=("sequence break",),
    ),
    Trouble(
        name="both lose a frame after 100 s in which routine snapshots were refused",
        quick=False,
        do=_lose_an_event_after_refusals,
        schedule=often,
        lost=1,
        causes=("sequence break",),
    ),
    Trouble(name="snapshots are older than the events kept", do=lambda s: s.faults.stale_body(3), schedule=often),
    Trouble(
        name="a snapshot takes 15 s",
        do=lambda scene: scene.faults.rest_delay(15, path=_DEPTH),
        schedule=often,
        seconds=30,
    ),
    Trouble(
        name="both lose a frame and the snapshot takes 15 s",
        do=lambda scene: _lose_an_event_while("rest_delay", scene, seconds=15.0, path=_DEPTH),
        lost=17,
        causes=("sequence break",),
        seconds=30,
    ),
)

MARKET = (
    Trouble(name="nobody trades for 100 s", do=lambda scene: _halt(scene, 100)),
    Trouble(
        name="the symbol is halted for an hour",
        do=lambda scene: _halt(scene, 3600),
        lost=3602,
        causes=("exchange halted",),
        quick=False,
    ),
    Trouble(
        name="two living sockets tell nothing of 60 s of trade",
        do=lambda scene: _silence(scene, 60),
        lost=62,
        causes=("sequence break",),
    ),
    Trouble(
        name="the book is crossed for 5 s",
        source=markets.Altered(_MARKET, markets.crossed(8_000, 13_000)),
        seconds=20,
        lost=6,
        causes=("crossed",),
    ),
    Trouble(
        name="update ids begin anew",
        do=lambda scene: scene.faults.reset_ids(),
        lost=4,
        causes=("ids reset",),
    ),
    Trouble(
        name="the price falls by 0.4 % in 4 s, through bodies that reach 0.2 %, which take 0.4 s each",
        source=SyntheticSource(seed=11),
        options=Options(body_levels=700),
        before=_slowly,
        seconds=40,
    ),
    Trouble(name="prices cross from 99,999 to 100,001", source=replace(_MARKET, symbols=("BTC/USDT=99999.90",))),
)

TIMES = (
    Trouble(name="one socket tells one event a day ahead", do=lambda s: s.faults.move_time(_DAY_MS, socket=1)),
    Trouble(
        name="both sockets tell one event a day ahead",
        do=lambda s: s.faults.move_time(_DAY_MS),
        lost=1,
        causes=("sequence break",),
    ),
    Trouble(name="one socket tells every event a day ahead", do=lambda s: s.faults.move_time(_DAY_MS, 10**9, socket=2)),
    Trouble(
        name="both sockets tell 50 events a day ahead, then the truth",
        do=lambda s: s.faults.move_time(_DAY_MS, 50),
        lost=8,
        causes=("silent", "time jump"),
        suspect=200,
    ),
    Trouble(
        name="both sockets tell 50 events 100 s ahead, then the truth",
        do=lambda s: s.faults.move_time(100_000, 50),
        lost=8,
        causes=("silent", "time jump"),
        suspect=200,
    ),
    Trouble(
        name="the very first events are a day ahead",
        before=lambda exchange: [exchange.faults.move_time(_DAY_MS, 1, socket) for socket in (1, 2)],
    ),
    Trouble(name="one socket tells one event an hour back", do=lambda s: s.faults.move_time(-3_600_000, socket=1)),
    Trouble(name="both sockets tell one event an hour back", do=lambda s: s.faults.move_time(-3_600_000), as_told=1),
    Trouble(
        name="both sockets tell 50 events an hour back, then the truth",
        do=lambda s: s.faults.move_time(-3_600_000, 50),
        lost=8,
        causes=("silent",),
    ),
    Trouble(
        name="one socket tells every event an hour back", do=lambda s: s.faults.move_time(-3_600_000, 10**9, socket=2)
    ),
)

PROCESS = (
    Trouble(name="the process stands still for 20 s", do=lambda scene: scene.loop.stand_still(20)),
    Trouble(
        name="the process stands still for 20 s while the late socket would fill a hole",
        options=Options(sockets={2: SocketOptions(delay_ms=600)}),
        do=_stand_still_in_a_hole,
    ),
    *(
        Trouble(
            name=f"the clock of the machine is set by {seconds:+,} s",
            do=partial(_set_clock, seconds=seconds),
            schedule=often,
            also=partial(_other_timestamps, seconds=seconds),
            quick=abs(seconds) > 1,
        )
        for seconds in (3600, -3600, 1, -1)
    ),
)

FAULTS = tuple(
    trouble.fault(section)
    for section, troubles in {
        "Sockets": SOCKETS,
        "Snapshots": SNAPSHOTS,
        "The market": MARKET,
        "Event times": TIMES,
        "The process": PROCESS,
    }.items()
    for trouble in troubles
)
