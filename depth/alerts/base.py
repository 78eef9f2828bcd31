"""What is told, and what every way of telling it can do."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class News:
    """What happened, before it is known who says it; see `Alert`."""

    event: str
    start: int
    end: int | None
    missing: int | None
    cause: str
    text: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One message; sent again, however often and by whomever, it is the same.

    Attributes:
        event: what happened: ``gap.opened``, ``stale.resolved``.
        symbol: ``BTC/USDT``, several with commas between.
        start: UTC second at which it began.
        end: UTC second at which it was over, exclusive; None while it lasts.
        missing: epochs without a row; None where it is not about a gap.
        cause: why, as far as it is known.
        environment: which installation speaks.
        dedup_key: names the message: who gets it twice knows it again.
        text: all of it in one line for a person.
    """

    event: str
    symbol: str
    start: int
    end: int | None
    missing: int | None
    cause: str
    environment: str
    dedup_key: str
    text: str

    def body(self) -> dict[str, Any]:
        """Give what a program is told; `text` stands last and is escaped for Slack, which shows it and no more.

        https://docs.slack.dev/messaging/formatting-message-text#escaping
        """
        escaped = self.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return {
            "event": self.event,
            "symbol": self.symbol,
            "start": self.start,
            "end": self.end,
            "missing": self.missing,
            "cause": self.cause,
            "environment": self.environment,
            "dedup_key": self.dedup_key,
            "text": escaped,
        }


class Channel(Protocol):
    """One way to tell people.

    Attributes:
        name: tells it from the others, in the store and in logs; says nothing of its address.
    """

    @property
    def name(self) -> str:
        """See `Channel`."""
        ...

    async def send(self, alert: Alert) -> None:
        """Send one message, within some seconds.

        Raises:
            ChannelUnavailable: it did not get through; try again.
            ChannelRefused: it was refused, and would be again until a person has acted.
        """
        ...
