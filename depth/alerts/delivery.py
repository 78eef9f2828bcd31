"""One message on its way to every channel: claimed, sent, marked, on each by itself."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from depth.alerts.base import Alert, Channel
from depth.alerts.claims import Claims
from depth.errors import ChannelRefused, ChannelUnavailable, DepthError, TerminalError

logger = logging.getLogger(__name__)

PREFIX = "alert#"
_PAUSE_SECONDS = 30.0


class Delivery:
    """One message and the channels that do not have it yet; to send it again sends what is left.

    Attributes:
        told: whether any channel has it.
        failed: channels that did not take it the last time.
    """

    def __init__(self, key: str, alert: Alert, channels: Sequence[Channel], claims: Claims) -> None:
        """Prepare; nothing is sent.

        Args:
            key: its name where it is claimed.
            alert: what to say.
            channels: where.
            claims: hold one cell for each of them.
        """
        self.told = False
        self.failed: list[Channel] = []
        self._key = key
        self._alert = alert
        self._left = list(channels)
        self._claims = claims

    def __str__(self) -> str:
        """Name it in logs and in the Prefect UI."""
        return self._alert.dedup_key

    async def send(self) -> bool:
        """Send it to the channels that are left, all at the same time.

        Returns:
            Whether it is on every channel; if not, another process is at it.

        Raises:
            ChannelUnavailable: a channel does not take it now.
            ChannelRefused: a channel refuses it; a person must act, and until then further tries are in vain.
            StoreUnavailable: who sends it cannot be told.
            StoreRefused: a person must act.
        """
        results = await asyncio.gather(*map(self._on, self._left), return_exceptions=True)
        outcome = list(zip(self._left, results, strict=True))
        self._left = [channel for channel, result in outcome if result is not True]
        self.told = self.told or any(result is True for result in results)
        self.failed = [
            channel for channel, result in outcome if isinstance(result, ChannelUnavailable | ChannelRefused)
        ]
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in sorted(errors, key=lambda error: isinstance(error, TerminalError)):
            raise error  # what may pass comes first: it is worth a retry
        return not self._left

    async def _on(self, channel: Channel) -> bool:
        key = f"{PREFIX}{self._key}#{channel.name}"
        claimed = await self._claims.claim(key)
        if claimed != "mine":
            return claimed == "sent"
        try:
            await channel.send(self._alert)
        except (ChannelUnavailable, ChannelRefused):
            await self._claims.release(key)
            raise
        await self._claims.sent(key)
        return True


Notify = Callable[[Delivery], Awaitable[bool]]


class Delivered(NamedTuple):
    """How far a message got.

    Attributes:
        told: at least one channel has it.
        complete: every one has.
    """

    told: bool
    complete: bool


class Dispatcher:
    """The channels of an installation, and which of them is of no use just now."""

    def __init__(
        self, channels: Sequence[Channel], notify: Notify = Delivery.send, pause_seconds: float = _PAUSE_SECONDS
    ) -> None:
        """Prepare.

        Args:
            channels: where messages go; without any, none is claimed.
            notify: sends one, with the retries of whoever runs the flow.
            pause_seconds: how long a channel that has failed is left alone: what else is due would fail as well.
        """
        self._channels = list(channels)
        self._notify = notify
        self._pause_seconds = pause_seconds
        self._rests: dict[str, float] = {}
        if not channels:
            logger.debug("no ALERT_WEBHOOK_URL and no ALERT_URLS: nobody is alerted")

    def __bool__(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self._channels)

    async def deliver(self, key: str, alert: Alert, claims: Claims) -> Delivered:
        """Deliver a message as far as it can be; what fails is said in one line and raises nothing.

        Args:
            key: its name where it is claimed.
            alert: what to say.
            claims: where it is claimed.

        Returns:
            How far it got; call again later where it is not complete.
        """
        now = time.monotonic()
        awake = [channel for channel in self._channels if self._rests.get(channel.name, 0.0) <= now]
        if not awake:
            return Delivered(told=False, complete=False)
        delivery = Delivery(key, alert, awake, claims)
        complete = False
        try:
            complete = await self._notify(delivery)
        except DepthError as error:
            logger.warning("message %s did not get through, it is sent again later: %s", delivery, error)
            until = time.monotonic() + self._pause_seconds
            self._rests |= {channel.name: until for channel in delivery.failed}
        return Delivered(delivery.told, complete and awake == self._channels)
