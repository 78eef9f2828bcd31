"""Trying again, in virtual time: an hour of it takes a moment."""

import asyncio
import itertools
import logging
from collections.abc import Callable

import pytest

from depth.errors import AccessRefused, ExchangeUnavailable
from depth.exchange.retry import keep_trying
from tests.virtual import VirtualLoop, run

_FLOAT = 1e-6


class Attempts:
    """Fails until a time, and remembers when it was called."""

    def __init__(self, loop: VirtualLoop, error: Callable[[], Exception], until: float) -> None:
        self.times: list[float] = []
        self._loop = loop
        self._error = error
        self._until = until

    async def __call__(self) -> str:
        self.times.append(self._loop.time())
        if self.times[-1] < self._until:
            raise self._error()
        return "an answer"

    @property
    def waits(self) -> list[float]:
        return [after - before for before, after in itertools.pairwise(self.times)]


def fail(
    seconds: float,
    error: Callable[[], Exception] = lambda: ExchangeUnavailable("gone: check it"),
    longest: float = 5.0,
) -> Attempts:
    """Let something fail for so many seconds."""
    loop = VirtualLoop()
    attempts = Attempts(loop, error, seconds)
    assert run(loop, keep_trying(attempts, "an answer", longest, loop.time)) == "an answer"
    return attempts


def test_the_answer_of_the_first_success_is_given_at_once() -> None:
    """What works is called once and waits for nothing."""
    assert fail(0).times == pytest.approx([0.0], abs=_FLOAT)


@pytest.mark.parametrize("seed", range(20))
def test_a_short_outage_is_noticed_to_be_over_within_two_seconds(seed: int) -> None:
    """Whatever the jitter, three seconds without an exchange do not become six."""
    del seed
    assert fail(3.0).times[-1] < 5.0


def test_waits_grow_from_a_quarter_of_a_second_to_five_and_double_after_a_minute() -> None:
    """An exchange that stays away for an hour is asked ever less often, and never given up."""
    attempts = fail(3600.0)
    assert 0.25 <= attempts.waits[0] <= 0.75
    early = [wait for wait, at in zip(attempts.waits, attempts.times, strict=False) if at <= 60]
    assert max(early) == pytest.approx(5.0)
    assert attempts.waits[len(early) :] == pytest.approx([10.0] * (len(attempts.waits) - len(early)))


def test_a_short_patience_notices_the_end_of_half_a_minute_within_that_time() -> None:
    """The sockets' own: an outage of 30 s does not become one of 32."""
    assert fail(30.0, longest=1.25).times[-1] < 31.25


def test_sockets_stay_far_below_the_limit_of_300_connections_in_five_minutes() -> None:
    """The places of a collector dial one at a time; two collectors on one address may do so."""
    assert 2 * len(fail(300.0, longest=1.25).times) < 300


@pytest.mark.parametrize("seconds", [1.0, 7.0, 120.0])
def test_retry_after_is_obeyed(seconds: float) -> None:
    """Where the exchange names a time, that is the wait: no sooner, and no later by our own back-off."""
    waits = fail(400.0, lambda: ExchangeUnavailable("wait", retry_after=seconds)).waits
    assert waits == pytest.approx([seconds] * len(waits))


def test_retry_after_zero_is_no_reason_to_hammer() -> None:
    """An exchange that says "at once" and fails on is asked at our own pace."""
    waits = fail(10.0, lambda: ExchangeUnavailable("now", retry_after=0.0)).waits
    assert min(waits) >= 0.25


def test_the_first_failure_is_said_at_once_and_then_every_half_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Ten minutes of failure are one line at once, then one each 30 to 40 s, with the cause and the time so far."""
    loop = VirtualLoop()
    said: list[float] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            del record
            said.append(loop.time())

    logger, listener = logging.getLogger("depth.exchange.retry"), Listener()
    logger.addHandler(listener)
    try:
        attempts = Attempts(loop, lambda: ExchangeUnavailable("gone: check it"), 600.0)
        run(loop, keep_trying(attempts, "exchange", clock=loop.time))
    finally:
        logger.removeHandler(listener)
    assert said[0] == pytest.approx(0.0, abs=_FLOAT)
    assert all(30.0 - _FLOAT <= after - before <= 41.0 for before, after in itertools.pairwise(said))
    assert said[-1] > 600.0 - 41.0
    assert caplog.messages[0] == "exchange: gone: check it; trying again, for 0 s so far"
    assert caplog.messages[-1].startswith("exchange: gone: check it; trying again, for 5")


@pytest.mark.parametrize("error", [AccessRefused(451, "host"), ValueError("a mistake of ours")])
def test_other_errors_are_raised_at_once(error: Exception) -> None:
    """What will not pass by itself is not tried again."""
    loop = VirtualLoop()
    attempts = Attempts(loop, lambda: error, 1.0)
    with pytest.raises(type(error)):
        run(loop, keep_trying(attempts, "an answer", clock=loop.time))
    assert attempts.times == pytest.approx([0.0], abs=_FLOAT)


def test_it_can_be_cancelled_while_it_waits() -> None:
    """A stop does not wait for the exchange."""
    loop = VirtualLoop()
    attempts = Attempts(loop, lambda: ExchangeUnavailable("banned", retry_after=120.0), float("inf"))

    async def cancel() -> float:
        trying = asyncio.ensure_future(keep_trying(attempts, "an answer", clock=loop.time))
        await asyncio.sleep(30)
        trying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trying
        return loop.time()

    assert run(loop, cancel()) == pytest.approx(30.0)
