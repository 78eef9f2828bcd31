"""Times as people write them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from depth import times

T = 1_768_054_365


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("1768054365", T),
        (" 1768054365 ", T),
        ("2026-01-10T14:12:45Z", T),
        ("2026-01-10T14:12:45", T),
        ("2026-01-10 14:12:45", T),
        ("2026-01-10T15:12:45+01:00", T),
        ("2026-01-10T14:12:45.000Z", T),
        ("2026-01-10T14:12", T - 45),
        ("2026-01-10", T - T % 86_400),
        ("20260110", 20_260_110),
        ("0", 0),
    ],
)
def test_a_time_is_iso_or_epoch_seconds(text: str, second: int) -> None:
    """UTC where no offset is named; digits alone are seconds, never a date."""
    assert times.parse(text) == second


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("yesterday", "is no time: write 2026-01-10T14:12:45Z or 1768054365"),
        ("", "is no time"),
        ("-5", "is no time"),
        ("1768054365.5", "is no time"),
        ("2026-02-30", "is no time"),
        ("٣", "is no time"),
        ("2026-01-10T14:12:45.5Z", "is no whole second"),
        ("1768054365000", "seconds and not milliseconds"),
        ("9" * 5_000, "is not between 1970 and 2286"),
        ("1969-12-31", "is not between 1970 and 2286"),
        ("9999-12-31", "is not between 1970 and 2286"),
        ("0001-01-01", "is not between 1970 and 2286"),
    ],
)
def test_anything_else_is_told_what_to_write(text: str, told: str) -> None:
    """A ValueError, as pydantic wants it, whose text is the remedy."""
    with pytest.raises(ValueError, match=told):
        times.parse(text)


@given(st.integers(0, 9_999_999_999))
def test_what_is_shown_can_be_written(second: int) -> None:
    """`show` and `parse` are each other's inverse."""
    assert times.parse(times.show(second)) == second


@given(
    st.text()
    | st.from_regex(r"\d{1,4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?([+-]\d\d:\d\d)?", fullmatch=True)
    | st.floats().map(str)
)
@example("0001-01-01T00:00+23:59")
@example("9999-12-31T23:59-23:59")
@example("2026-W01-1")
@example("-0")
@example("1e400")
def test_any_text_is_a_second_or_a_value_error_of_one_line(text: str) -> None:
    """Whatever is typed, what comes of it can be shown or read."""
    said = ""
    try:
        second = times.parse(text)
    except ValueError as error:
        said, second = str(error), 0
    assert "\n" not in said
    assert not said or "write" in said
    assert times.parse(times.show(second)) == second
