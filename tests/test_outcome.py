"""What a run says of itself at its end."""

import statistics

import pytest

from depth.capture import Capture
from depth.epochs import Grid
from depth.losses import Incident
from depth.outcome import Latency, Outcome, SymbolOutcome, summarise

PART = SymbolOutcome("BTC/USDT", 3598, 3600, {"stopped": 1, "unanchored": 1}, 0, 1, 3, 2, 2, 0)


def capture(interval: int = 1) -> Capture:
    """Make a capture that has counted something."""
    made = Capture("BTC/USDT", Grid(interval=interval), 2, "here-1")
    made.counts.rows, made.counts.resyncs, made.counts.anchors = 95, 1, 3
    made.counts.audits, made.counts.audits_agreed = 2, 1
    made.sequence.batch_mismatch = 4
    return made


def test_lost_epochs_are_summed_by_cause() -> None:
    """Incidents of one cause add up; expected is rows and lost together."""
    incidents = [Incident(10, 12, "unanchored"), Incident(20, 21, "stopped"), Incident(15, 17, "unanchored")]
    part = summarise(capture(), incidents)
    assert part == SymbolOutcome("BTC/USDT", 95, 100, {"unanchored": 4, "stopped": 1}, 0, 1, 3, 2, 1, 4)
    assert part.coverage == 0.95


def test_suspect_rows_are_rows() -> None:
    """They are stored: counted apart and not as lost."""
    part = summarise(capture(), [Incident(10, 20, "suspect")])
    assert (part.suspect, part.lost, part.expected, part.coverage) == (10, {}, 95, 1.0)


def test_epochs_are_counted_by_the_interval() -> None:
    """[10, 30) at an interval of 5 s are four epochs."""
    assert summarise(capture(interval=5), [Incident(10, 30, "silent")]).lost == {"silent": 4}


def test_a_run_that_expected_nothing_covers_nothing() -> None:
    """No division by zero."""
    assert summarise(Capture("BTC/USDT", Grid(), 2, "c"), []).coverage == 0.0


def test_the_closing_line_says_all_that_matters() -> None:
    """Rows, coverage, what was lost and why, resyncs, anchors, audits, latency, what waits."""
    outcome = Outcome("here-1", [PART], Latency(), waiting=7)
    outcome.latency.seconds.extend([0.1, 0.2, 0.3])
    assert outcome.line() == (
        "BTC/USDT 3598 rows, coverage 99.94%, 1 lost (stopped), 1 lost (unanchored), 1 resyncs, 3 anchors, "
        "2/2 audits agree; latency p50 200 ms, p99 298 ms; 7 rows wait in the spool"
    )


def test_a_batch_mismatch_withdraws_the_promise_of_equal_bytes() -> None:
    """DESIGN 3: above zero the run's summary says so; at zero nothing is said."""
    part = summarise(capture(), [])
    assert "4 batch mismatches: equal bytes not promised" in Outcome("c", [part], Latency()).line()
    assert "mismatch" not in Outcome("c", [PART], Latency()).line()


def test_a_run_that_captured_nothing_says_so() -> None:
    """No symbols, no latency."""
    line = Outcome("c", [], Latency()).line()
    assert line == "nothing was captured; latency not measured; nothing was stored"


def test_the_table_has_a_row_for_each_symbol() -> None:
    """Markdown: head, rule and rows have the same number of cells, and all counts are there."""
    table, _, foot = Outcome("here-1", [PART, PART], Latency(), malformed=5, waiting=7).markdown().partition("\n\n")
    lines = table.splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {10}
    assert "| BTC/USDT | 3,598 | 99.944% | 1 lost (stopped), 1 lost (unanchored) | 0 | 1 | 3 | 2/2 | 0 |" in lines
    assert foot == (
        "Latency epoch to durable: not measured. Malformed frames: 5. Rows that wait in the spool: 7. "
        "Collector `here-1`."
    )


def test_a_run_without_losses_says_none() -> None:
    """In the line and in the table."""
    outcome = Outcome("c", [summarise(capture(), [])], Latency())
    assert "none lost" in outcome.line()
    assert "none lost" in outcome.markdown()


@pytest.mark.parametrize("count", [0, 1])
def test_a_percentile_needs_two_rows(count: int) -> None:
    """With fewer there is none."""
    latency = Latency()
    latency.seconds.extend([0.5] * count)
    assert latency.quantile(50) is None


def test_percentiles_are_linear_over_the_last_hour() -> None:
    """The median is the median, and what is older than 3,600 rows is forgotten."""
    latency = Latency()
    latency.seconds.extend([99.0] * 500)
    latency.seconds.extend(number / 1000 for number in range(3600))
    assert len(latency.seconds) == 3600
    assert latency.quantile(50) == pytest.approx(statistics.median(range(3600)) / 1000)
    assert latency.quantile(99) == pytest.approx(3599 * 0.99 / 1000)


def test_latencies_of_the_whole_run_are_counted_beside_those_of_the_last_hour() -> None:
    """Each row once, by the first bound that is not below it; a clock that is behind counts as the least."""
    latency = Latency()
    for seconds in (-0.5, 0.05, 0.051, 1e9):
        latency.add(seconds)
    assert [*latency.seconds] == [-0.5, 0.05, 0.051, 1e9]
    assert (latency.counts[0], latency.counts[1], latency.counts[-1], sum(latency.counts)) == (2, 1, 1, 4)
    assert latency.total == sum(latency.seconds)
