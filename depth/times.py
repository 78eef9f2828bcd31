"""Points in time as people write and read them; inside they are UTC seconds."""

from datetime import UTC, datetime

_LAST = 9_999_999_999
_EXAMPLES = "2026-01-10T14:12:45Z or 1768054365"


def parse(text: str) -> int:
    """Read a time.

    Args:
        text: ISO-8601, UTC where it names no offset (``2026-01-10``, ``2026-01-10T14:12:45Z``), or epoch seconds.

    Returns:
        UTC second.

    Raises:
        ValueError: it is neither, no whole second, or outside 1970 to 2286; the text says what to write.
    """
    text = text.strip()
    second: float
    if text.isascii() and text.isdecimal():
        second = int(text[:20])
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is no time: write {_EXAMPLES}") from None
        second = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if second != int(second):
        raise ValueError(f"{text!r} is no whole second: write {_EXAMPLES}")
    if not 0 <= second <= _LAST:
        raise ValueError(f"{text!r} is not between 1970 and 2286: write {_EXAMPLES}, seconds and not milliseconds")
    return int(second)


def show(epoch: int) -> str:
    """Write a UTC second, for example ``2026-01-10T14:12:45Z``; `parse` reads it."""
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%SZ}"
