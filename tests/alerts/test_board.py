"""Conditions of one place: told when they begin and when they are over, by one of many."""

import asyncio
import logging
from dataclasses import replace

import pytest

from depth.alerts.base import News
from depth.alerts.board import Board, Place
from depth.alerts.conditions import Bad, Good
from depth.alerts.delivery import Dispatcher
from depth.errors import ChannelUnavailable, StoreUnavailable
from tests.alerts.fakes import Clock, FakeChannel, MemoryCells

T = "binance_btc_depth"
PLACE = Place("BTC/USDT", T, "here/sqlite", "here/sqlite")
AWAY = ChannelUnavailable("ALERT_WEBHOOK_URL does not answer")
BAD = Bad(1_768_054_365, 1_768_054_365, "silent")
NEWS = News("gap.opened", 1_768_054_365, 1_768_054_465, 100, "disconnect", "100 epochs are missing")


class Scene:
    """Boards of several processes over the same cells and channels."""

    def __init__(self) -> None:
        self.clock = Clock(1_768_054_430)
        self.cells = MemoryCells()
        self.one, self.two = FakeChannel("one"), FakeChannel("two")

    def board(self, place: Place = PLACE) -> Board:
        return Board(place, self.cells, Dispatcher([self.one, self.two], pause_seconds=0), 60, self.clock)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_condition_is_told_when_it_begins_and_when_it_is_over(scene: Scene) -> None:
    """Once each, however often it is reported and by whomever."""
    for _ in range(3):
        await scene.board().report("stale", BAD)
    scene.clock.now += 100
    for _ in range(3):
        await scene.board().report("stale", Good(1_768_054_500))
    opened, resolved = scene.one.got
    assert scene.two.got == [opened, resolved]
    assert (opened.event, opened.start, opened.end, opened.missing) == ("stale.opened", 1_768_054_365, None, None)
    assert (resolved.event, resolved.start, resolved.end) == ("stale.resolved", 1_768_054_365, 1_768_054_500)
    assert {alert.cause for alert in scene.one.got} == {"silent"}
    assert opened.dedup_key == f"here/sqlite/{T}/stale/1768054365/opened"
    assert resolved.dedup_key == f"here/sqlite/{T}/stale/1768054365/resolved"
    assert opened.text == "here/sqlite: BTC/USDT: no row is stored since 2026-01-10T14:12:45Z (silent)"


async def test_it_may_begin_again(scene: Scene) -> None:
    board = scene.board()
    await board.report("stale", BAD)
    scene.clock.now += 100
    await board.report("stale", Good(1_768_054_500))
    await board.report("stale", BAD)  # an old view
    await board.report("stale", Bad(1_768_054_600, 1_768_054_600, "silent"))
    assert [(alert.event, alert.start) for alert in scene.one.got] == [
        ("stale.opened", 1_768_054_365),
        ("stale.resolved", 1_768_054_365),
        ("stale.opened", 1_768_054_600),
    ]


async def test_many_that_see_the_same_at_the_same_time_tell_it_once(scene: Scene) -> None:
    boards = [scene.board() for _ in range(16)]
    await asyncio.gather(*(board.report("stale", BAD) for board in boards))
    scene.clock.now += 100
    await asyncio.gather(*(board.report("stale", Good(1_768_054_500)) for board in boards))
    await boards[0].report("stale", None)
    assert scene.one.events == scene.two.events == ["stale.opened", "stale.resolved"]


async def test_conditions_and_places_are_apart(scene: Scene) -> None:
    """Two spools' ends share one file; one condition does not hide another."""
    other = Place("ETH/USDT", "ETH/USDT", "here/sqlite", "here/sqlite")
    for board in (scene.board(), scene.board(other)):
        await board.report("stale", BAD)
        await board.report("refused", BAD)
    assert scene.one.events == ["stale.opened", "refused.opened"] * 2
    assert len({alert.dedup_key for alert in scene.one.got}) == 4


async def test_with_every_channel_dead_it_is_told_later_and_once(scene: Scene) -> None:
    """Both messages, in their order, by whoever looks next: the state is in the cells and not in a process."""
    scene.one.fails = scene.two.fails = AWAY
    await scene.board().report("stale", BAD)
    scene.clock.now += 100
    await scene.board().report("stale", Good(1_768_054_500))
    assert (scene.one.tries, scene.one.got) == (2, [])
    scene.one.fails = scene.two.fails = None
    for _ in range(2):
        await scene.board().report("stale", None)
    assert scene.one.events == scene.two.events == ["stale.opened", "stale.resolved"]


async def test_one_dead_channel_keeps_nothing_from_the_others(scene: Scene) -> None:
    """They are told of the end too; what the dead one missed waits for it, in order, and comes once."""
    scene.one.fails = AWAY
    await scene.board().report("stale", BAD)
    scene.clock.now += 100
    await scene.board().report("stale", Good(1_768_054_500))
    assert (scene.one.events, scene.two.events) == ([], ["stale.opened", "stale.resolved"])
    await scene.board().flush()
    scene.one.fails = None
    for _ in range(2):
        await scene.board().flush()
    assert scene.one.events == scene.two.events == ["stale.opened", "stale.resolved"]
    assert scene.one.got == scene.two.got
    assert not [key for key in scene.cells.texts if key.startswith("outbox#")]


async def test_news_is_told_once_anybody_has_it(scene: Scene) -> None:
    """Of no channel: tell it again. Of one: it is settled, and the other's waits."""
    key = f"{T}/1768054365/1768054500/opened"
    scene.one.fails = scene.two.fails = AWAY
    assert not await scene.board().tell(key, NEWS)
    assert not [key for key in scene.cells.texts if key.startswith("outbox#")]
    scene.two.fails = None
    assert await scene.board().tell(key, NEWS)
    assert await scene.board().tell(key, NEWS)
    scene.one.fails = None
    await scene.board().flush()
    assert scene.one.got == scene.two.got
    [alert] = scene.two.got
    assert (alert.dedup_key, alert.symbol) == (f"here/sqlite/{key}", "BTC/USDT")
    assert alert.text == "here/sqlite: BTC/USDT: 100 epochs are missing"
    assert (alert.start, alert.end, alert.missing, alert.cause) == (1_768_054_365, 1_768_054_465, 100, "disconnect")


async def test_what_waits_comes_in_the_order_in_which_it_happened(scene: Scene) -> None:
    """Not in that of the names."""
    scene.one.fails = AWAY
    told = [(start, event) for start in (100, 200) for event in ("opened", "growing", "resolved")]
    for start, event in told:
        await scene.board().tell(f"{T}/{start}/9/{event}", replace(NEWS, event=f"gap.{event}", start=start))
    scene.one.fails = None
    await scene.board().flush()
    assert [(alert.start, alert.event.removeprefix("gap.")) for alert in scene.one.got] == told


async def test_what_waits_is_flushed_by_its_own_place(scene: Scene) -> None:
    scene.one.fails = AWAY
    await scene.board().report("stale", BAD)
    scene.one.fails = None
    await scene.board(Place("X/USDT", f"{T}_x", "here/sqlite", "here/sqlite")).flush()
    assert scene.one.got == []
    await scene.board().flush()
    assert scene.one.events == ["stale.opened"]


async def test_what_was_sent_long_ago_is_forgotten(scene: Scene) -> None:
    """With the rows that it was about; what is on its way stays, and what other places told."""
    await scene.board().tell(f"{T}/1/2/opened", NEWS)
    scene.clock.now += 1000
    horizon = int(scene.clock.now)
    await scene.board().tell(f"{T}/3/4/opened", NEWS)
    scene.cells.texts |= {f"alert#{T}/5/6/opened#one": "claimed 1.0 me", "alert#other/1/2/opened#one": "sent 1"}
    await scene.board().expire(horizon)
    left = {key for key in scene.cells.texts if key.startswith("alert#")}
    assert left == {
        f"alert#{T}/3/4/opened#one",
        f"alert#{T}/3/4/opened#two",
        f"alert#{T}/5/6/opened#one",
        "alert#other/1/2/opened#one",
    }


async def test_without_channels_nothing_is_kept(scene: Scene) -> None:
    """Who sets one later is not told of what is long over."""
    board = Board(PLACE, scene.cells, Dispatcher([]), 60, scene.clock)
    await board.report("stale", BAD)
    await board.flush()
    assert scene.cells.texts == {}


async def test_a_store_that_is_away_is_the_callers_to_know(scene: Scene) -> None:
    """Nothing is sent, since another might send it as well."""
    scene.cells.fails = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await scene.board().report("stale", BAD)
    assert scene.one.tries == 0


async def test_what_another_program_wrote_is_passed_over(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Said once by each look, and written over."""
    caplog.set_level(logging.WARNING)
    scene.cells.texts |= {f"condition#{T}/stale": "{}", f"outbox#{T}/x": "nonsense"}
    await scene.board().report("stale", BAD)
    await scene.board().flush()
    assert scene.one.events == ["stale.opened"]
    assert [message.split(" ", 3)[1] for message in caplog.messages] == [f"condition#{T}/stale", f"outbox#{T}/x"]
    assert f"outbox#{T}/x" not in scene.cells.texts
