"""`make fuzz`: bytes that reach new code, into everything that reads what came from outside.

Each reader gives what it promises or raises what it documents; anything else ends the run, and is printed with its
bytes. They begin with what is right, in `.fuzz`, where what reached new code is kept for the next run. Needs atheris,
in an environment of its own. Arguments go to libFuzzer, for example ``-max_total_time=60``.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["depth"]):
    from pydantic import ValidationError

    from depth import events, snapshot, times
    from depth.errors import MalformedFrame, MalformedRow
    from depth.options import CollectOptions

from depth.exchange.simulated import SyntheticSource
from depth.exchange.simulated.playing import body_text

_CORPUS = Path(".fuzz")
_COLUMNS = ("orderbook", "timestamp", "event_time", "update_id", "collector", "price", "covered")


def _frame(text: str) -> None:
    with suppress(MalformedFrame):
        events.parse(text)


def _body(text: str) -> None:
    with suppress(MalformedFrame):
        events.parse_anchor(text)


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
    if data:
        _READERS[data[0] % len(_READERS)](data[1:].decode(errors="surrogateescape"))


def _right() -> Iterator[tuple[int, str]]:
    """Give texts that are right, each with the place of its reader."""
    market, source = "BTCUSDT", SyntheticSource()
    event = next(source.diffs(market)).payload
    yield from ((0, text) for text in (event, f'{{"stream":"btcusdt@depth@100ms","data":{event}}}'))
    yield from ((0, text) for text in ('{"result":null,"id":1}', '{"e":"serverShutdown","E":1770123456789}'))
    yield 1, body_text(source.opening(market), 5) or ""
    buckets = (1.5, 20000.25, None)
    second = snapshot.Snapshot("BTC/USDT", 1768054365, 61737.63, 61737.64, buckets, buckets, 2e-5, 0.5, 1, 2, "host-1")
    row = snapshot.encode(second)
    yield 2, "\0".join([row.key, *(row.columns[name] for name in _COLUMNS)])
    yield from ((3, text) for text in ("2026-01-10T14:12:45Z", "2026-01-10", "1768054365", "2026-W02-6T14+05:30"))
    yield 4, CollectOptions().model_dump_json()
    yield 4, CollectOptions(symbols=["ETH/EUR"], duration=5, relay=True, replicas=2, backend="sqlite").model_dump_json()


if __name__ == "__main__":
    _CORPUS.mkdir(exist_ok=True)
    for number, (reader, text) in enumerate(_right()):
        (_CORPUS / f"right-{number}").write_bytes(bytes([reader]) + text.encode())
    atheris.Setup([*sys.argv, str(_CORPUS)], read)
    atheris.Fuzz()
