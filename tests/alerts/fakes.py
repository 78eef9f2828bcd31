"""A clock that stands still, cells in memory and a channel that does as it is told, for tests of thousands of looks."""

from collections.abc import Sequence

from depth.alerts.base import Alert
from depth.alerts.delivery import Delivery
from depth.errors import DepthError


class Clock:
    """Says what it is told."""

    def __init__(self, now: float = 1_768_054_400) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class MemoryCells:
    """What `Cells` asks for.

    Attributes:
        texts: by key.
        fails: raised by the next calls while it is set.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.fails: DepthError | None = None

    async def get(self, key: str) -> str | None:
        self._fail()
        return self.texts.get(key)

    async def swap(self, key: str, old: str | None, new: str) -> bool:
        self._fail()
        if self.texts.get(key) != old:
            return False
        self.texts[key] = new
        return True

    async def under(self, prefix: str) -> dict[str, str]:
        self._fail()
        return {key: text for key, text in sorted(self.texts.items()) if key.startswith(prefix)}

    async def drop(self, keys: Sequence[str]) -> None:
        self._fail()
        for key in keys:
            self.texts.pop(key, None)

    def _fail(self) -> None:
        if self.fails is not None:
            raise self.fails


class FakeChannel:
    """Keeps what it is given.

    Attributes:
        name: see `Channel`.
        got: messages, in order.
        fails: raised instead while it is set.
        tries: how often it was asked.
    """

    def __init__(self, name: str = "one") -> None:
        self.name = name
        self.got: list[Alert] = []
        self.fails: DepthError | None = None
        self.tries = 0

    @property
    def events(self) -> list[str]:
        return [alert.event for alert in self.got]

    async def send(self, alert: Alert) -> None:
        self.tries += 1
        if self.fails is not None:
            raise self.fails
        self.got.append(alert)


async def send_twice(delivery: Delivery) -> bool:
    """Send with one retry, as Prefect does with more."""
    try:
        return await delivery.send()
    except DepthError:
        return await delivery.send()
