"""What lasts for a while and is told twice: when it begins and when it is over. Pure.

    nothing ──bad──> open ──good──> over ──told of──> closed ──bad again, later──> open
                      └─ told of ──┘

An episode is told of in order: that it began, then that it is over, however long the ways to people were closed. Until
both are out, what begins anew is a part of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from depth import times

Condition = Literal["stale", "audit-mismatch", "store-failing", "spool-high", "spool-full", "refused"]
Event = Literal["opened", "resolved"]


class _Wording(NamedTuple):
    opened: str
    resolved: str


_WORDING: Mapping[Condition, _Wording] = {
    "stale": _Wording(
        "no row is stored since {start} ({cause})",
        "rows are stored again, the newest of {end}; there was none since {start}",
    ),
    "audit-mismatch": _Wording(
        "two fresh snapshots contradict the book: {cause} since {start} are marked suspect, compare them with another "
        "source before use",
        "the book agrees with a fresh snapshot again; rows since {start} stay suspect",
    ),
    "store-failing": _Wording(
        "the store takes no rows since {start}, they wait in the spool: {cause}",
        "the store takes rows again; it took none since {start}",
    ),
    "spool-high": _Wording(
        "the spool is filled to over 80 %: see why the store takes no rows, or raise SPOOL_MAX_MB",
        "the spool has room again",
    ),
    "spool-full": _Wording(
        "the spool takes no rows since {start}, the newest hour is held in memory: {cause}",
        "the spool takes rows again; it took none since {start}",
    ),
    "refused": _Wording(
        "a person must act: {cause}",
        "rows are stored again; a person had to act since {start}",
    ),
}


@dataclass(frozen=True, slots=True)
class Good:
    """All is well.

    Attributes:
        at: UTC second of what shows it; an episode that was noticed later is not over by that.
    """

    at: int


@dataclass(frozen=True, slots=True)
class Bad:
    """It is not.

    Attributes:
        since: UTC second.
        at: UTC second of what shows it; an episode that was over later does not begin anew by that.
        cause: why.
    """

    since: int
    at: int
    cause: str


Seen = Good | Bad | None
"""What was seen of a condition; None where it cannot be told."""


class Episode(msgspec.Struct, frozen=True):
    """One time that a condition was bad; all times are UTC seconds.

    Attributes:
        began: since when.
        noticed: when that was seen.
        cause: why, as it was seen then.
        over: when it was good again, None before.
        told: which of its messages are out; with both it is closed.
    """

    began: int
    noticed: int
    cause: str
    over: int | None = None
    told: Literal["", "opened", "resolved"] = ""

    @property
    def due(self) -> Event | None:
        """Say which message is to be sent."""
        if not self.told:
            return "opened"
        return "resolved" if self.told == "opened" and self.over is not None else None

    def sent(self, event: Event) -> "Episode":
        """Note that a message is out."""
        return msgspec.structs.replace(self, told=event)


def advance(episode: Episode | None, seen: Seen, now: int) -> Episode | None:
    """Take in what was seen.

    Args:
        episode: the last one, None before the first.
        seen: what was seen.
        now: UTC second.

    Returns:
        The episode as it is now; the same where nothing changed.
    """
    closed = episode is None or episode.told == "resolved"
    if isinstance(seen, Bad) and closed and (episode is None or seen.at > (episode.over or 0)):
        return Episode(seen.since, now, seen.cause)
    if isinstance(seen, Good) and episode is not None and episode.over is None and seen.at >= episode.noticed:
        return msgspec.structs.replace(episode, over=seen.at)
    return episode


def text(condition: Condition, event: Event, episode: Episode) -> str:
    """Say it to a person, in one line; of what, the reader knows."""
    wording = _WORDING[condition]
    return (wording.opened if event == "opened" else wording.resolved).format(
        start=times.show(episode.began),
        end=times.show(episode.began if episode.over is None else episode.over),
        cause=episode.cause,
    )
