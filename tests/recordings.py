"""Recorded Binance traffic, read with nothing but the standard library (no code of the project).

The folder is ``$DEPTH_RECORDINGS``, else ``../shared/recordings`` beside the project. It is never part of the project's
repository, so a test that needs it calls `require` first and is skipped, by name, where the folder is missing.
"""

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest

Json = Mapping[str, Any]

GOLDEN = "spot-btcusdt-20240808"
"""Real, 650 s, 1,000-level snapshot; the price falls through the lowest known bid."""
VERIFIED = "spot-btcusdt-20260630"
"""Real, 7.6 s, with a second snapshot to check the replayed book against."""
SHALLOW = "spot-btcusdt-20260704-small"
"""Real, 1.7 s, 50-level snapshot that does not cover the window."""
DERIVED = "derived-spotshape-btcusdt-20230404"
"""Futures traffic in spot shape, 514 s with a quiet stretch. Derived: not a spot recording."""
NAMES = (GOLDEN, VERIFIED, SHALLOW, DERIVED)


def folder() -> Path:
    """Return where the recordings are, whether or not they exist."""
    override = os.environ.get("DEPTH_RECORDINGS")
    return Path(override) if override else Path(__file__).resolve().parents[2] / "shared" / "recordings"


def available() -> bool:
    """Tell whether every recording of `NAMES` can be read."""
    return all((folder() / name / "diffs.jsonl.gz").is_file() for name in NAMES)


def require() -> None:
    """Skip the calling test, naming what is missing and the remedy, where there are no recordings."""
    if not available():
        pytest.skip(f"NO RECORDINGS at {folder()}: real traffic is NOT checked; set DEPTH_RECORDINGS to the folder")


@dataclass(frozen=True)
class Recording:
    """One recorded stretch of a symbol's streams with the REST snapshot it joins."""

    name: str
    frames: list[str]
    """The text of every depth frame as received, bare or wrapped in {stream, data}."""
    received: list[float | None]
    """Local receive time of each frame in ms; None where it was not recorded."""
    snapshot: Json
    """Body of GET /api/v3/depth: lastUpdateId, and bids and asks as pairs of strings."""
    verify_snapshot: Json | None
    """A second, later body, where there is one."""

    @cached_property
    def events(self) -> list[Json]:
        """Return every frame's depthUpdate, unwrapped, prices and amounts still strings."""
        return [unwrap(frame) for frame in self.frames]

    def bookticker(self) -> Iterator[Json]:
        """Yield the bookTicker messages (u, b, B, a, A; strings) in the order received; none if none were recorded."""
        path = folder() / self.name / "bookticker.jsonl.gz"
        for line in _lines(path) if path.is_file() else ():
            yield unwrap(json.loads(line)["raw"])


def unwrap(frame: str) -> Json:
    """Return the message in a frame: ``{"stream":…,"data":{…}}`` gives the data, a bare message itself."""
    message: Json = json.loads(frame)
    data: Json = message.get("data", message)
    return data


@cache
def load(name: str) -> Recording:
    """Read one recording. Callers share the result and must not change it.

    Raises:
        FileNotFoundError: there is no such recording; call `require` first.
    """
    lines = [json.loads(line) for line in _lines(folder() / name / "diffs.jsonl.gz")]
    verify = folder() / name / "verify_snapshot.json"
    return Recording(
        name=name,
        frames=[line["raw"] for line in lines],
        received=[line["recv_ms"] for line in lines],
        snapshot=rest_body(f"{name}/snapshot.json"),
        verify_snapshot=rest_body(f"{name}/verify_snapshot.json") if verify.is_file() else None,
    )


def rest_body(path: str) -> Json:
    """Read one JSON body by its path inside the folder, e.g. ``rest/depth5000_btcusdt_1744588800180.json``."""
    body: Json = json.loads((folder() / path).read_text(encoding="utf-8"))
    return body


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from lines
