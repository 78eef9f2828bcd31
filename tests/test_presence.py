"""Who is live, and who may take over."""

import msgspec
import pytest

from depth import presence
from depth.errors import MalformedRow
from depth.presence import Neighbours, Presence
from depth.record import Record

MINE = Presence("old", "zone-a", scheduled=1000, state="chained", seen_at=1.0, first_epoch=1003, last_epoch=2000)
NEXT = Presence("new", "zone-a", scheduled=2000, state="chained", seen_at=1.0, first_epoch=1990)


def seen(one: Presence, times: list[float]) -> Neighbours:
    """Observe a collector whose `seen_at` changes at each of these monotonic times."""
    neighbours = Neighbours()
    neighbours.observe([one], times[0] - 5.0)
    for number, now in enumerate(times):
        neighbours.observe([msgspec.structs.replace(one, seen_at=one.seen_at + number + 1)], now)
    return neighbours


def test_a_presence_is_read_back_as_it_was_written() -> None:
    """Codec round trip; the latest start is the first key."""
    assert presence.decode(presence.encode(MINE)) == MINE
    assert presence.encode(NEXT).key < presence.encode(MINE).key
    assert presence.PREFIX < presence.encode(MINE).key < presence.END


def test_a_presence_of_an_older_run_is_read() -> None:
    """It named neither its spool nor when it began."""
    text = '{"collector":"old","group":"zone-a","scheduled":1000,"state":"chained","seen_at":1.0,"first_epoch":1003}'
    found = presence.decode(Record("presence#x", {"value": text}))
    assert found == Presence("old", "zone-a", 1000, "chained", 1.0, 1003)
    assert (found.began, found.spool) == (None, "")


def test_another_program_s_row_is_malformed() -> None:
    """What cannot be read says so."""
    with pytest.raises(MalformedRow):
        presence.decode(Record("presence#x", {"value": "{}"}))


def test_two_changes_within_15_s_are_a_life_sign() -> None:
    """One change may be a row that was left behind; two are a process that writes."""
    assert seen(NEXT, [105.0]).live("zone-a", 106.0) == []
    assert [one.collector for one in seen(NEXT, [105.0, 110.0]).live("zone-a", 111.0)] == ["new"]


def test_a_collector_that_no_longer_writes_is_dead() -> None:
    """15 s after the older of its last two changes it is live no more."""
    neighbours = seen(NEXT, [105.0, 110.0])
    assert neighbours.live("zone-a", 120.0) != []
    assert neighbours.live("zone-a", 120.1) == []


def test_its_own_clock_does_not_matter() -> None:
    """`seen_at` may step backwards or be a day off: only that it changes counts."""
    neighbours = Neighbours()
    for now, clock in ((0.0, 1e9), (5.0, 5.0), (10.0, 3.0)):
        neighbours.observe([msgspec.structs.replace(NEXT, seen_at=clock)], now)
    assert neighbours.successors(MINE, 11.0) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"group": "zone-b"},
        {"state": "unchained"},
        {"first_epoch": None},
        {"first_epoch": 2001},
        {"scheduled": 999},
        {"scheduled": 1000, "collector": "nobody"},
    ],
)
def test_who_cannot_take_over(changed: dict[str, object]) -> None:
    """Another group, no chain, no second yet, one that began after my last stored second, an earlier order."""
    other = msgspec.structs.replace(NEXT, **changed)
    assert seen(other, [105.0, 110.0]).successors(MINE, 111.0) == 0


def test_a_later_chained_collector_of_the_group_takes_over() -> None:
    """It captures since before my last stored second: no second lies between us."""
    assert seen(NEXT, [105.0, 110.0]).successors(MINE, 111.0) == 1
    touching = msgspec.structs.replace(NEXT, first_epoch=2000)
    assert seen(touching, [105.0, 110.0]).successors(MINE, 111.0) == 1


def test_before_my_first_stored_second_nobody_takes_over() -> None:
    """A run that has stored nothing cannot know that nothing is lost."""
    mine = msgspec.structs.replace(MINE, last_epoch=None)
    assert seen(NEXT, [105.0, 110.0]).successors(mine, 111.0) == 0
