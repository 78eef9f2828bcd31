"""Row keys: what a scan relies on."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from depth import rowkey
from depth.errors import MalformedRow, UsageError

LAST = 9_999_999_999
QUICKLY = settings(max_examples=100, deadline=None)

epochs = st.one_of(st.integers(0, LAST), st.sampled_from([0, 1, LAST - 1, LAST]))
ends = st.one_of(st.integers(-5, LAST + 5), st.integers(-5, 5), st.integers(LAST - 5, LAST + 5))
symbols = st.from_regex(r"[A-Z0-9]{1,12}/[A-Z0-9]{1,8}", fullmatch=True)


def test_the_key_of_a_known_second() -> None:
    """The README's example key, with and without the slash."""
    assert rowkey.encode(1768054365, "BTC/USDT") == rowkey.encode(1768054365, "BTCUSDT") == "8231945634#BTCUSDT"


@QUICKLY
@given(epochs, symbols)
def test_a_key_comes_back_as_epoch_and_market(epoch: int, symbol: str) -> None:
    """Decode is the inverse of encode, from epoch 0 to 9,999,999,999."""
    assert rowkey.decode(rowkey.encode(epoch, symbol)) == (epoch, symbol.replace("/", ""))


@QUICKLY
@given(st.lists(epochs, unique=True))
def test_keys_sort_newest_first(some: list[int]) -> None:
    """In the order of the text, later epochs come first."""
    assert sorted(rowkey.encode(epoch, "BTC/USDT") for epoch in some) == [
        rowkey.encode(epoch, "BTC/USDT") for epoch in sorted(some, reverse=True)
    ]


@QUICKLY
@given(ends, ends, epochs, symbols)
@example(0, 1, 0, "BTC/USDT")
@example(0, 0, 0, "BTC/USDT")
@example(-5, 0, 1_700_000_000, "BTC/USDT")
@example(LAST, LAST + 1, LAST, "BTC/USDT")
@example(0, LAST, LAST, "BTC/USDT")
def test_bounds_are_half_open(start: int, end: int, epoch: int, symbol: str) -> None:
    """A key lies in the bounds of [start, end) exactly if its epoch does, also at both ends of time and beyond."""
    first, last = rowkey.bounds(start, end)
    assert (first <= rowkey.encode(epoch, symbol) < last) == (start <= epoch < end)


@QUICKLY
@given(st.tuples(epochs, epochs), st.sampled_from([-1, 0, 1]), symbols)
def test_bounds_are_exact_beside_their_ends(ends: tuple[int, int], off: int, symbol: str) -> None:
    """The seconds beside start and end are in or out as they should be."""
    start, end = sorted(ends)
    first, last = rowkey.bounds(start, end)
    for epoch in (start + off, end + off):
        if 0 <= epoch <= LAST:
            assert (first <= rowkey.encode(epoch, symbol) < last) == (start <= epoch < end)


@pytest.mark.parametrize("epoch", [-1, LAST + 1, 10**15])
def test_a_time_that_does_not_fit_is_refused(epoch: int) -> None:
    """Eleven digits would sort wrong: say so instead of writing them."""
    with pytest.raises(UsageError, match="give a time in whole UTC seconds"):
        rowkey.encode(epoch, "BTC/USDT")


@QUICKLY
@given(st.text() | st.from_regex(r"\d{9,11}#.*"))
@example("٨٢٣١٩٤٥٦٣٤#BTCUSDT")
@example("8231945634#BTCUSDT\n")
@example("8231945634#")
def test_a_foreign_key_is_malformed(key: str) -> None:
    """Whatever decode accepts, encode writes the same again; anything else is MalformedRow."""
    try:
        epoch, market = rowkey.decode(key)
    except MalformedRow:
        return
    assert f"{LAST - epoch:010d}#{market}" == key
