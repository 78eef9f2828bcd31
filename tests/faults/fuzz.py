"""`make fuzz`: bytes that reach new code, into everything that reads what came from outside.

Each reader gives what it promises or raises what it documents; anything else ends the run, and is printed with its
bytes. Needs atheris, in an environment of its own. Arguments go to libFuzzer, for example ``-max_total_time=60``.
"""

import json
import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["depth"]):
    from pydantic import ValidationError

    from depth import events, snapshot, times
    from depth.errors import MalformedFrame, MalformedRow
    from depth.options import CollectOptions

_COLUMNS = ("orderbook", "timestamp", "event_time", "update_id", "collector", "price", "covered")


def _frame(text: str) -> None:
    with suppress(MalformedFrame):
        events.parse(text)


def _body(text: str) -> None:
    with suppress(MalformedFrame, ValueError, RecursionError):  # the transport has decoded it before
        events.to_anchor(json.loads(text))


def _row(text: str) -> None:
    key, *values = text.split("\0")
    with suppress(MalformedRow):
        snapshot.decode(key, dict(zip(_COLUMNS, values, strict=False)), "BTC/USDT")


def _time(text: str) -> None:
    with suppress(ValueError):
        times.parse(text)


def _options(text: str) -> None:
    with suppress(ValidationError):
        CollectOptions.model_validate_json(text)


_READERS = (_frame, _body, _row, _time, _options)


def read(data: bytes) -> None:
    """Let the reader that the first byte names read the others as text."""
    provider = atheris.FuzzedDataProvider(data)
    reader = _READERS[provider.ConsumeIntInRange(0, len(_READERS) - 1)]
    reader(provider.ConsumeUnicode(provider.remaining_bytes()))


if __name__ == "__main__":
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()
