"""Who sends a message: one cell for each, moved on by compare-and-set, so that of many who could one does.

    (nothing) ──> claimed UNTIL WHO ──> sent AT          the message is out
                      └──> free                          it did not get through: the next one may try

A claim whose owner has died is another's once UNTIL has passed. Who dies between the sending and the mark has sent a
message that is sent again, under the same key.
"""

import re
import secrets
import time
from collections.abc import Callable
from typing import Literal

from depth.alerts.cells import Cells

LEASE_SECONDS = 60.0

_FREE = "free"
_SENT = re.compile(r"sent ([0-9]+)")
_CLAIMED = re.compile(r"claimed ([0-9.]+) (\w+)")

Claimed = Literal["mine", "another's", "sent"]


class Claims:
    """The claims of one process in one place; it sends each message from one place at a time.

    The lease counts by the wall clock: the clocks of machines that share a store must agree to some seconds.
    """

    def __init__(
        self, cells: Cells, lease_seconds: float = LEASE_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        """Prepare.

        Args:
            cells: where they are kept.
            lease_seconds: how long a claim holds; longer than a message takes.
            clock: UTC seconds.
        """
        self._cells = cells
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._me = secrets.token_hex(8)
        self._held: dict[str, str] = {}
        self._sent: set[str] = set()

    async def claim(self, key: str) -> Claimed:
        """Try to become the one who sends a message.

        Args:
            key: its row key.

        Returns:
            Whether it is this process's to send, another is at it, or it was sent.

        Raises:
            StoreUnavailable: no answer: whether it is claimed is not known; call again.
            StoreRefused: a person must act.
        """
        held = await self._cells.get(key)
        now = self._clock()
        if sent_at(held) is not None:
            return "sent"
        claimed = _CLAIMED.fullmatch(held or "")
        if claimed is not None and claimed[2] != self._me and float(claimed[1]) > now:
            return "another's"
        mine = f"claimed {now + self._lease_seconds:.3f} {self._me}"
        if held != mine and not await self._cells.swap(key, held, mine):
            return "another's"
        self._held[key] = mine
        if key in self._sent:  # out already, but the mark did not get through
            await self.sent(key)
            return "sent"
        return "mine"

    async def sent(self, key: str) -> None:
        """Mark a message of this process as sent.

        Raises:
            StoreUnavailable: no answer; the next `claim` of this process marks it.
        """
        self._sent.add(key)
        await self._cells.swap(key, self._held[key], f"sent {self._clock():.0f}")
        self._sent.discard(key)

    async def release(self, key: str) -> None:
        """Let another try at once; without it they wait for the end of the lease."""
        await self._cells.swap(key, self._held.pop(key), _FREE)


def sent_at(text: str | None) -> int | None:
    """Read from a cell when its message was sent, UTC seconds; None where it was not."""
    sent = _SENT.fullmatch(text or "")
    return None if sent is None else int(sent[1])
