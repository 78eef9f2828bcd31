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
_LONGEST_WAIT = 30.0
_SAY_EVERY = 30.0

# `keep_trying` says itself what fails, in one line and not at every try.
set_on_retry_hooks(())

T = TypeVar("T")


async def keep_trying(attempt: Callable[[], Awaitable[T]], what: str) -> T:
    """Call until it works.

    The first failure is logged at once, then one line every 30 s; waits grow from 0.25 s to 30 s with jitter, and
    obey the exchange's Retry-After.

    Args:
        attempt: what to do; `ExchangeUnavailable` means once more, all else is raised.
        what: names it in the log, for example ``"snapshot of BTC/USDT"``.

    Returns:
        What the attempt returned.
    """
    began = time.monotonic()
    said = float("-inf")

    def pause(error: Exception) -> bool | float:
        nonlocal said
        if not isinstance(error, ExchangeUnavailable):
            return False
        now = time.monotonic()
        if now - said >= _SAY_EVERY:
            said = now
            logger.warning("%s: %s; trying again, for %.0f s so far", what, error, now - began)
        return True if error.retry_after is None else error.retry_after

    async for retry in stamina.retry_context(
        on=pause, attempts=None, timeout=None, wait_initial=_FIRST_WAIT, wait_max=_LONGEST_WAIT, wait_jitter=1.0
    ):
        with retry:
            return await attempt()
    raise AssertionError("a retry without limit ends by success or by an error")
