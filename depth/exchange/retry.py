"""Trying again: without limit, with jitter, as patient as the exchange asks, and not silently."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina
from stamina.instrumentation import set_on_retry_hooks

from depth.errors import ExchangeUnavailable

logger = logging.getLogger(__name__)

_FIRST_WAIT = 0.25
_GROWTH = 1.4
_JITTER = 0.5
_LONGEST_WAIT = 5.0
_LONG_SECONDS = 60.0
_SAY_EVERY = 30.0

# `keep_trying` says itself what fails, in one line and not at every try.
set_on_retry_hooks(())

T = TypeVar("T")


async def keep_trying(
    attempt: Callable[[], Awaitable[T]],
    what: str,
    longest: float = _LONGEST_WAIT,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Call until it works.

    The first failure is logged at once, then about one line in 30 s; waits grow from 0.25 s with jitter, and obey the
    exchange's Retry-After.

    Args:
        attempt: what to do; `ExchangeUnavailable` means once more, all else is raised.
        what: names it in the log, for example ``"snapshot of BTC/USDT"``.
        longest: seconds that a wait grows to; after a minute of failures each is twice as long.
        clock: monotonic seconds.

    Returns:
        What the attempt returned.
    """
    began = clock()
    said = float("-inf")

    def pause(error: Exception) -> bool | float:
        nonlocal said
        if not isinstance(error, ExchangeUnavailable):
            return False
        now = clock()
        if now - said >= _SAY_EVERY:
            said = now
            logger.warning("%s: %s; trying again, for %.0f s so far", what, error, now - began)
        return error.retry_after or (2 * longest if now - began > _LONG_SECONDS else True)

    async for retry in stamina.retry_context(
        on=pause,
        attempts=None,
        timeout=None,
        wait_initial=_FIRST_WAIT,
        wait_exp_base=_GROWTH,
        wait_jitter=_JITTER,
        wait_max=longest,
    ):
        with retry:
            return await attempt()
    raise AssertionError("a retry without limit ends by success or by an error")
