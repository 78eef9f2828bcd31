"""The quick faults of the bench, once each; `make faults` does them all, each at several moments."""

from pathlib import Path

import pytest

from tests.faults.fault import Fault
from tests.faults.table import FAULTS


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.quick], ids=lambda fault: fault.name)
def test_everything_is_as_it_must_be(fault: Fault, tmp_path: Path) -> None:
    """Rows are the exchange's own book, losses are within bounds and explained, and nobody was needed to recover."""
    assert fault.quick is not None
    finding = fault.quick(tmp_path)
    assert finding.broken == ()
    assert finding.figures


def test_every_fault_has_a_name_of_its_own() -> None:
    """By which it is asked for, and found on the page."""
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
