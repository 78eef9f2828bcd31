"""The quick faults of the bench, once each; `make faults` plays them all, each at several moments."""

import ast
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.faults.elsewhere import ELSEWHERE, HOSTILE
from tests.faults.fault import Fault, Finding
from tests.faults.page import page
from tests.faults.played import Played, play
from tests.faults.table import FAULTS

# One of each kind of what is played in real time; `make faults` plays the others.
_IN_REAL_TIME = (
    "Bigtable answers PERMISSION_DENIED for 15 s",
    "every other row of every bulk fails for 15 s",
    "another process locks the spool for 10 s",
    "the spool's disk is full for 15 s",
    "the file of the spool is damaged when a run begins",
    "SIGTERM while an upload waits for the locked database",
    "two collectors on one spool file (sqlite), one is killed",
)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.quick], ids=lambda fault: fault.name)
def test_everything_is_as_it_must_be(fault: Fault, tmp_path: Path) -> None:
    """Rows are the exchange's own book, losses are within bounds and explained, and nobody was needed to recover."""
    assert fault.quick is not None
    finding = fault.quick(tmp_path)
    assert finding.broken == ()
    assert finding.figures


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_faults_in_real_time() -> None:
    """Some of those of stores, disks and processes, all at once: they mostly wait."""
    chosen = [fault for fault in FAULTS if fault.name in _IN_REAL_TIME]
    assert len(chosen) == len(_IN_REAL_TIME)
    assert [played for played in play(chosen, len(chosen)) if played.verdict == "broken"] == []


def test_every_fault_has_a_name_of_its_own() -> None:
    """By which it is asked for, and found on the page."""
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_what_the_page_says_of_other_tests_is_true() -> None:
    """Each is there, under that name."""
    for path, name in (*ELSEWHERE.values(), *HOSTILE.values()):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_page_tells_what_broke_and_what_was_not_played() -> None:
    """Both are counted at its head and stand out in its table."""

    def never(_: Path) -> Finding:
        raise AssertionError

    faults = [Fault("Sockets", name, "nothing lost", never) for name in ("one | two", "three", "four")]
    results = [
        Played(faults[0], "held", "none lost", {"rows": 1234}),
        Played(faults[1], "broken", "12 missing", {}, ("no cause",)),
        Played(faults[2], "not played", "it takes root"),
    ]
    text = page(results, 90.0)
    assert ": 1 broken, 1 held, 1 not played." in text
    assert "| one \\| two | nothing lost | none lost | rows 1,234 |" in text
    assert "| three | nothing lost | **broken**: no cause; 12 missing |  |" in text
    assert "| four | nothing lost | **not played**: it takes root |  |" in text
