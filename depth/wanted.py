"""Whether a group wants one more collector: one answer for the schedule, the crash hook and the boot.

A collector too many does no harm, since the relay ends it; one too few loses seconds. So whoever cannot tell starts
one, and of those that start at the same moment the order alone decides who stays.
"""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from depth import relay
from depth.errors import DepthError
from depth.plan import Plan
from depth.presence import BEACON_SECONDS, Presence
from depth.storage.base import Store
from depth.tables import collectors_table, depth_table

LATE_SECONDS = 120.0
_WATCH_SECONDS = BEACON_SECONDS + 3.0
_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 10.0
_STALE_SECONDS = 60.0

Order = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Collectors that stand in for each other.

    Attributes:
        name: COLLECTOR_GROUP.
        replicas: how many of them are to be live.
        tables: the depth tables of each.
    """

    name: str
    replicas: int
    tables: tuple[str, ...]

    @classmethod
    def of(cls, plan: Plan) -> "Group":
        """Name the group that a run belongs to."""
        return cls(plan.group, plan.replicas, tuple(depth_table(symbol, plan.table_suffix) for symbol in plan.symbols))


class Answer(NamedTuple):
    """What was decided.

    Attributes:
        wanted: whether one more collector is wanted.
        why: in a few words.
    """

    wanted: bool
    why: str


async def wanted(
    store: Store, group: Group, coming: Collection[Order] = (), mine: Order | None = None, gone: int | None = None
) -> Answer:
    """Decide whether one more collector is wanted, within 10 s.

    Args:
        store: where the collectors of the group write.
        group: whose.
        coming: scheduled start (UTC seconds) and id of runs of the group that are due and not live yet.
        mine: order of the run that asks, if it has begun: it makes way for later ones alone, and while it is on time
            for nobody else, being the successor of whoever is live.
        gone: scheduled start of a run that is known to have ended, whatever its presence says.
    """
    due = {order[0] for order in coming if mine is None or order > mine}
    if len(due) >= group.replicas:
        return Answer(wanted=False, why=f"{len(due)} {'later' if mine else 'other'} runs are about to start")
    if mine is not None and time.time() - mine[0] <= LATE_SECONDS:
        return Answer(wanted=True, why="on time")
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            companions = [collectors_table(table) for table in group.tables]
            watched = await asyncio.gather(*(_watch(store, companion, group, gone) for companion in companions))
    except (TimeoutError, DepthError) as error:
        return Answer(wanted=True, why=f"who is live is not known: {str(error) or 'the store does not answer in time'}")
    live = set.intersection(*watched) | due
    return Answer(len(live) < group.replicas, f"{len(live)} of {group.replicas} collectors are live")


async def _watch(store: Store, companion: str, group: Group, gone: int | None) -> set[int]:
    """Give the scheduled starts of the collectors that write while somebody looks: for as long as a beacon may take.

    The wall clock says who cannot be live, a minute being long: rows that ended runs left behind need no watching.
    """

    async def look() -> dict[str, Presence]:
        now = time.time()
        return {
            one.collector: one
            for one in await relay.read(store, companion)
            if one.group == group.name
            and one.state != "stopped"
            and one.scheduled != gone
            and abs(now - one.seen_at) < _STALE_SECONDS
        }

    clock = asyncio.get_running_loop().time
    first, until = await look(), clock() + _WATCH_SECONDS
    live: dict[str, int] = {}
    while len(live) < group.replicas and first.keys() - live and clock() < until:
        await asyncio.sleep(_LOOK_SECONDS)
        for name, one in (await look()).items():
            if name not in first or first[name].seen_at != one.seen_at:
                live[name] = one.scheduled
    return set(live.values())
