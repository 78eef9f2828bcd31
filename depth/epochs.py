"""The epoch grid: which seconds there are, and which of them an event closes."""

from dataclasses import dataclass

QUIET_LIMIT_MS = 300_000
# That a row may take to be stored: what is younger is not missing yet.
GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Grid:
    """What is sampled, and when.

    Attributes:
        step: width of a bucket in log price.
        steps: buckets a side.
        interval: seconds between epochs; epochs are the multiples of it in Unix time.
    """

    step: float = 0.00002
    steps: int = 40
    interval: int = 1

    @property
    def window(self) -> float:
        """Depth of the buckets in log price."""
        return self.step * self.steps


def closed(previous: int, current: int, interval: int) -> range:
    """Give the epochs that an event proves.

    The row of epoch T is the book after every event with ``E <= T*1000``. So an event at `current` closes each T
    with ``previous <= T*1000 < current``.

    Args:
        previous: event time before it in the chain, ms.
        current: its own event time, ms.
        interval: seconds between epochs.

    Returns:
        Multiples of `interval`, oldest first; empty where the event closes none.
    """
    first = -(-previous // (1000 * interval)) * interval
    return range(first, -(-current // 1000), interval)


def expected(start: int, end: int, interval: int) -> range:
    """Give the epochs of ``[start, end)``."""
    return range(-(-start // interval) * interval, end, interval)
