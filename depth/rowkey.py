"""Row keys: newest first, so that the latest second is the first row of a scan."""

import re

from depth.errors import MalformedRow, UsageError

_INVERSE = 9_999_999_999
_KEY = re.compile(r"([0-9]{10})#(.+)")


def encode(epoch: int, symbol: str) -> str:
    """Make the row key of one epoch.

    Args:
        epoch: UTC second, 0 to 9,999,999,999.
        symbol: ``BTC/USDT`` or ``BTCUSDT``.

    Returns:
        ``{9999999999-epoch:010d}#BTCUSDT``; keys of later epochs sort first.

    Raises:
        UsageError: the epoch does not fit into ten digits.
    """
    if not 0 <= epoch <= _INVERSE:
        raise UsageError(f"epoch {epoch} is outside 0 to {_INVERSE}: give a time in whole UTC seconds")
    return f"{_INVERSE - epoch:010d}#{symbol.replace('/', '')}"


def decode(key: str) -> tuple[int, str]:
    """Read a row key back.

    Returns:
        The epoch and the market id, for example ``(1768054365, "BTCUSDT")``.

    Raises:
        MalformedRow: the key is not one of ours.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise MalformedRow(f"row key {key!r} is not of the form 8231945634#BTCUSDT: another program wrote it")
    return _INVERSE - int(match[1]), match[2]


def bounds(start: int, end: int) -> tuple[str, str]:
    """Give the key range of the epochs ``[start, end)``.

    Returns:
        First key inclusive and last key exclusive, as a scan takes them: the first belongs to the newest epoch. Both
        are the same where no epoch lies between.
    """
    newest, oldest = min(end - 1, _INVERSE), max(start, 0)
    # "$" follows "#": behind every key of the oldest epoch, before the next older one's.
    last = f"{_INVERSE - oldest:010d}$"
    return f"{_INVERSE - newest:010d}" if newest >= oldest else last, last
