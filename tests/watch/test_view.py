"""What is shown at one moment: coverage of the hour, notes, live collectors, texts; and the lines of a pipe."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth import gaps
from depth.epochs import GRACE_SECONDS
from depth.gaps import Interval
from depth.presence import Presence
from depth.watch.lines import Lines
from depth.watch.view import HOUR, Coverage, Hour, View, grouped, money, printable
from tests import commands
from tests.stored_rows import rows

NOW = 1_768_003_200
[ROW] = rows(NOW - 1, NOW)
RUN = Presence("vm-1", "g", NOW - 500, "chained", NOW - 3.0)


@given(
    lost=st.lists(st.tuples(st.integers(-7200, 100), st.integers(1, 900)), max_size=5),
    interval=st.sampled_from([1, 2, 5, 60]),
)
def test_the_hour_counts_as_the_interval_algebra_does(lost: list[tuple[int, int]], interval: int) -> None:
    absent = gaps.merge((NOW + start, NOW + start + length) for start, length in lost)
    kept = gaps.subtract([Interval(NOW - 2 * HOUR, NOW)], absent)
    present = [epoch for span in kept for epoch in range(*gaps.on_grid(*span, interval), interval)]
    hour = Hour(interval)
    hour.saw(Interval(NOW - 2 * HOUR, NOW), present)
    found = hour.coverage(NOW, whole=True)
    end = max([NOW - GRACE_SECONDS, *(epoch + 1 for epoch in present)])
    window = gaps.on_grid(end - HOUR, end, interval)
    assert found.due == gaps.count([window], interval)
    assert found.present == sum(window.start <= epoch < window.end for epoch in present)
    assert len(found.minutes) == 60


def test_what_may_still_come_is_not_missing_and_what_stays_away_is() -> None:
    """Rows that end now: whole for the grace, then less and less."""
    hour = Hour(1)
    hour.saw(Interval(NOW - HOUR, NOW), range(NOW - HOUR, NOW))
    assert hour.coverage(NOW + GRACE_SECONDS, whole=True).share == 1
    late = hour.coverage(NOW + GRACE_SECONDS + 36, whole=True)
    assert (late.share, late.minutes[-1]) == (0.99, (24, 60))
    assert hour.coverage(NOW + 2 * HOUR, whole=True).share == 0


def test_rows_are_due_from_the_first_one_on() -> None:
    """In a table that has just begun, and before it nothing."""
    hour = Hour(1)
    assert hour.coverage(NOW, whole=False) == Coverage()
    hour.saw(Interval(NOW - 100, NOW), [epoch for epoch in range(NOW - 100, NOW) if epoch != NOW - 50])
    found = hour.coverage(NOW, whole=False)
    assert (found.present, found.due, found.text()) == (99, 100, "99.00%")


def test_rows_that_come_late_and_rows_that_are_deleted_are_seen() -> None:
    """A span that is read again replaces what was known of it, and of nothing else."""
    hour = Hour(1)
    hour.saw(Interval(NOW - 100, NOW), range(NOW - 100, NOW - 10))
    hour.saw(Interval(NOW - 50, NOW), range(NOW - 20, NOW))
    assert hour.coverage(NOW, whole=False).present == 70


def test_a_share_is_not_rounded_up_to_the_whole() -> None:
    assert Coverage(((59_999, 60_000),)).text() == "99.99%"
    assert Coverage(((0, 0),)).text() == "-"
    assert Coverage(((3600, 3600),)).text() == "100.00%"


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (View("BTC/USDT", "x", row=ROW), None),
        (View("BTC/USDT", "x"), "no row is stored yet: is a collector running?"),
        (View("BTC/USDT", "x", stored=False), None),
        (View("BTC/USDT", "x", row=replace(ROW, epoch=NOW - 61)), "no new row since 2026-01-09T23:58:59Z: is a coll"),
        (View("BTC/USDT", "x", stored=False, row=replace(ROW, epoch=NOW - 61)), "the market is quiet, or the exchange"),
        (View("BTC/USDT", "x", row=ROW, trouble="no answer"), "no answer"),
    ],
)
def test_a_note_says_what_is_wrong(view: View, said: str | None) -> None:
    note = view.note(NOW)
    assert note is None if said is None else note is not None and said in note
    assert note == view.note(NOW + 0.5)


def test_who_is_silent_or_has_stopped_is_not_live() -> None:
    runs = (RUN, replace_run(seen_at=NOW - 16.0), replace_run(state="stopped"))
    assert View("BTC/USDT", "x", runs=runs).live(NOW) == [RUN]


def replace_run(**changed: object) -> Presence:
    return Presence(**{name: getattr(RUN, name) for name in RUN.__struct_fields__} | changed)


@given(st.text())
def test_what_others_wrote_steers_no_terminal(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert shown.isprintable()


@given(st.lists(st.none() | st.floats(0, 1e12), min_size=1, max_size=200), st.integers(1, 60))
def test_grouped_buckets_keep_their_sum_and_what_is_not_known(buckets: list[float | None], lines: int) -> None:
    found = grouped(tuple(buckets), lines)
    assert len(found) <= lines
    if None in buckets:
        assert None in found
    else:
        assert sum(value or 0 for value in found) == pytest.approx(sum(value or 0 for value in buckets))


@given(st.floats(0, 1e60))
def test_money_is_short(amount: float) -> None:
    assert len(money(amount)) <= 6


def test_lines_are_the_contract_s_line_and_the_coverage() -> None:
    """A line a row, none where none has come."""
    out, err = io.StringIO(), io.StringIO()
    lines = Lines(out, err)
    view = View("BTC/USDT", "x", row=ROW, rows=tuple(rows(NOW - 3, NOW)), coverage=Coverage(((59, 60),)))
    lines.show(view, NOW)
    lines.show(view.again(), NOW + 1)
    said = out.getvalue().splitlines()
    assert len(said) == 3
    for line in said:
        assert commands.LINE.fullmatch(line.removesuffix(" | last hour: 98.33%"))
    assert err.getvalue() == ""


def test_what_is_wrong_is_one_line_until_it_is_over() -> None:
    out, err = io.StringIO(), io.StringIO()
    lines, well = Lines(out, err), View("BTC/USDT", "x", row=ROW)
    for view in (replace(well, trouble="away\x1b[2J"),) * 3 + (well,) + (replace(well, trouble="away again"),) * 2:
        lines.show(view, NOW)
    assert err.getvalue() == "away·[2J\naway again\n"
