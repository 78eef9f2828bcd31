"""What collectors say of lost seconds, as rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth import incidents
from depth.errors import MalformedRow
from depth.incidents import Report
from depth.record import Record

epochs = st.integers(0, 9_999_999_999)


def test_a_report_is_written_as_documented() -> None:
    """Key and value of the README's companion table."""
    report = Report(1_768_054_365, 1_768_054_371, "disconnect", "vm-1")
    assert report.record("BTC/USDT") == Record(
        "incident#8231945634#BTCUSDT#vm-1",
        {"value": '{"start":1768054365,"end":1768054371,"cause":"disconnect","collector":"vm-1"}'},
    )


@given(epochs, epochs, st.text(), st.text())
def test_a_report_comes_back_from_its_row(start: int, end: int, cause: str, collector: str) -> None:
    """Whatever it says; one that grows keeps its key."""
    report = Report(start, end, cause, collector)
    record = report.record("BTC/USDT")
    assert Report.parse(record) == report
    assert Report(start, end + 1, cause, collector).record("BTC/USDT").key == record.key


@given(epochs, epochs, epochs)
def test_bounds_hold_the_reports_that_start_between(start: int, end: int, epoch: int) -> None:
    """Half-open, by the start of the report."""
    first, last = incidents.bounds(start, end)
    assert (first <= Report(epoch, epoch + 1, "silent", "c").record("BTC/USDT").key < last) == (start <= epoch < end)


@pytest.mark.parametrize(
    "columns", [{}, {"value": ""}, {"value": "{}"}, {"value": '{"start":"1","end":2,"cause":"x","collector":"y"}'}]
)
def test_a_row_that_is_no_report_is_malformed(columns: dict[str, str]) -> None:
    """And says which."""
    with pytest.raises(MalformedRow, match="row incident#1 cannot be read"):
        Report.parse(Record("incident#1", columns))


def test_epochs_may_be_lost_and_suspect_at_the_same_time() -> None:
    """Two reports of one collector that begin together do not overwrite each other."""
    lost, doubted = Report(5, 7, "crossed", "c"), Report(5, 9, incidents.SUSPECT, "c")
    assert lost.record("BTC/USDT").key != doubted.record("BTC/USDT").key
    first, last = incidents.bounds(5, 6)
    assert all(first <= report.record("BTC/USDT").key < last for report in (lost, doubted))
