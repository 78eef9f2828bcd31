"""Faults played, each in a process of its own: what one leaves behind meets no other, and is measured."""

import multiprocessing
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.faults.fault import Fault, NotPlayed

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.faults.table", "depth.exchange.binance", "depth.storage.bigtable"])


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a fault.

    Attributes:
        fault: that was played.
        verdict: whether everything was as it must be.
        happened: in a few words.
        figures: by name.
        broken: what should have been and was not.
        seconds: that it took.
    """

    fault: Fault
    verdict: Literal["held", "broken", "not played"]
    happened: str
    figures: Mapping[str, int | float | str] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    seconds: float = 0.0


_Answer = tuple[Literal["held", "broken", "not played"], str, Mapping[str, int | float | str], tuple[str, ...], float]


def play(faults: Sequence[Fault], jobs: int) -> Iterator[Played]:
    """Play some faults, so many at once; give each as it ends.

    Args:
        faults: of the table.
        jobs: at once.
    """
    with ProcessPoolExecutor(jobs, _SERVER, max_tasks_per_child=1) as pool:
        playing: dict[Future[_Answer], Fault] = {pool.submit(_play, fault.name): fault for fault in faults}
        for each in as_completed(playing):
            fault, error = playing[each], each.exception()
            if error is not None:  # its process died
                yield Played(fault, "broken", repr(error))
            else:
                yield Played(fault, *each.result())


def _play(name: str) -> _Answer:
    from tests.faults.table import FAULTS  # noqa: PLC0415  # it imports what plays; the forkserver has it already

    [fault] = [fault for fault in FAULTS if fault.name == name]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fault-") as folder:
        try:
            finding = fault.play(Path(folder))
        except NotPlayed as reason:
            return "not played", str(reason), {}, (), 0.0
        except Exception as error:  # noqa: BLE001  # whatever it is, the other faults are played
            where = traceback.extract_tb(error.__traceback__)[-1]
            return "broken", f"{error!r} in {where.name}", {}, (), time.monotonic() - began
    verdict: Literal["held", "broken"] = "held" if finding.held else "broken"
    return verdict, finding.happened, dict(finding.figures), finding.broken, time.monotonic() - began
