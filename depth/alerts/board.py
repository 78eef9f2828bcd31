"""What is told of one place, a table or a spool: its messages, and the conditions that last."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from depth.alerts import conditions
from depth.alerts.base import Alert, News
from depth.alerts.cells import Cells
from depth.alerts.claims import LEASE_SECONDS, Claims, sent_at
from depth.alerts.conditions import Condition, Episode, Event, Seen
from depth.alerts.delivery import PREFIX, Dispatcher

logger = logging.getLogger(__name__)

_CONDITION = "condition#"
_OUTBOX = "outbox#"

_Kept = TypeVar("_Kept", Alert, Episode)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something happens.

    Attributes:
        symbol: ``BTC/USDT``, several with commas between.
        scope: tells it from others in the same cells: the table, or for a spool the symbols.
        environment: which installation speaks.
        installation: begins the dedup keys, so that those of another installation differ.
    """

    symbol: str
    scope: str
    environment: str
    installation: str


class Board:
    """Tells people what happens in one place; of many processes that see the same, one does."""

    def __init__(
        self,
        place: Place,
        cells: Cells,
        dispatcher: Dispatcher,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            place: what it is about.
            cells: where it is kept what was told.
            dispatcher: the ways to people.
            lease_seconds: how long a claim holds.
            clock: UTC seconds.
        """
        self._place = place
        self._cells = cells
        self._dispatcher = dispatcher
        self._claims = Claims(cells, lease_seconds, clock)
        self._clock = clock

    async def tell(self, key: str, news: News) -> bool:
        """Deliver one message.

        Args:
            key: its name in this place; begins with the scope.
            news: what to say.

        Returns:
            Whether anybody was told: then it is settled, and for the channels that do not have it yet it waits here.
            If not, tell it again, or what there is to tell by then.

        Raises:
            StoreUnavailable: the cells do not answer; tell it again.
            StoreRefused: a person must act.
        """
        place = self._place
        alert = Alert(
            event=news.event,
            symbol=place.symbol,
            start=news.start,
            end=news.end,
            missing=news.missing,
            cause=news.cause,
            environment=place.environment,
            dedup_key=f"{place.installation}/{key}",
            text=f"{place.environment}: {place.symbol}: {news.text}",
        )
        delivered = await self._dispatcher.deliver(key, alert, self._claims)
        if delivered.told and not delivered.complete:
            await self._cells.swap(_OUTBOX + key, None, msgspec.json.encode(alert).decode())
        return delivered.told

    async def flush(self) -> None:
        """Deliver what waits for channels that did not take it; raises what `tell` raises."""
        if not self._dispatcher:
            return
        waiting = []
        for name, text in (await self._cells.under(f"{_OUTBOX}{self._place.scope}/")).items():
            alert = _parse(name, text, Alert)
            if alert is None:
                await self._cells.drop([name])
            else:
                waiting.append((name, alert))
        for name, alert in sorted(waiting, key=lambda each: _turn(each[1])):
            if (await self._dispatcher.deliver(name.removeprefix(_OUTBOX), alert, self._claims)).complete:
                await self._cells.drop([name])

    async def expire(self, horizon: int) -> None:
        """Forget what was sent before `horizon`, UTC seconds; raises what `tell` raises."""
        cells = await self._cells.under(f"{PREFIX}{self._place.scope}/")
        await self._cells.drop([key for key, text in cells.items() if (sent_at(text) or horizon) < horizon])

    async def report(self, condition: Condition, seen: Seen) -> None:
        """Take in what was seen of a condition, and send what is due.

        Args:
            condition: which.
            seen: what was seen; None sends what others left to be sent.

        Raises:
            StoreUnavailable: the cells do not answer; report again.
            StoreRefused: a person must act.
        """
        if not self._dispatcher:
            return
        key = f"{_CONDITION}{self._place.scope}/{condition}"
        held = await self._cells.get(key)
        before = None if held is None else _parse(key, held, Episode)
        episode = conditions.advance(before, seen, int(self._clock()))
        while episode is not None:
            if episode != before:
                told = msgspec.json.encode(episode).decode()
                if not await self._cells.swap(key, held, told):
                    return  # another was faster: the next report goes on from there
                before, held = episode, told
            event = episode.due
            if event is None or not await self._tell(condition, event, episode):
                return
            episode = episode.sent(event)

    async def _tell(self, condition: Condition, event: Event, episode: Episode) -> bool:
        over = episode.over if event == "resolved" else None
        said = conditions.text(condition, event, episode)
        news = News(f"{condition}.{event}", episode.began, over, None, episode.cause, said)
        return await self.tell(f"{self._place.scope}/{condition}/{episode.began}/{event}", news)


def _turn(alert: Alert) -> tuple[int, int]:
    """Order what waits as it happened."""
    _, _, event = alert.event.partition(".")
    return alert.start, {"opened": 0, "growing": 1}.get(event, 2)


def _parse(key: str, text: str, kind: type[_Kept]) -> _Kept | None:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        logger.warning("row %s cannot be read (%s): another program wrote it; it is passed over", key, error)
        return None
