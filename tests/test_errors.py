"""The error tree."""

import pickle

import pytest

from depth import errors
from depth.errors import AccessRefused, DepthError, ExchangeUnavailable, TableMismatch, UnknownSymbol


def tree(error: type[DepthError]) -> list[str]:
    """Give the names of a class and of all below it."""
    return [error.__name__, *(name for below in error.__subclasses__() for name in tree(below))]


def test_the_docstring_draws_the_tree_that_there_is() -> None:
    """Every class, in the order and depth of the drawing."""
    drawn = [
        (line.index(word), word)
        for line in (errors.__doc__ or "").splitlines()
        for word in line.split()[:9]
        if isinstance(getattr(errors, word, None), type)
    ]
    assert [name for _, name in drawn] == tree(DepthError)
    ancestors = {name: len(getattr(errors, name).__mro__) for _, name in drawn}
    assert [indent // 4 for indent, _ in drawn] == [ancestors[name] - ancestors["DepthError"] + 1 for _, name in drawn]


@pytest.mark.parametrize("name", tree(DepthError))
def test_each_error_is_one_of_ours(name: str) -> None:
    """One except clause catches them all."""
    assert issubclass(getattr(errors, name), DepthError)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (AccessRefused(451, "h"), ["h refuses this address (HTTP 451)", "BINANCE_REST_URL", "binance.us"]),
        (AccessRefused(403, "h"), ["(HTTP 403)", "fewer symbols"]),
        (AccessRefused(402, "h"), ["(HTTP 402)", "ask the exchange"]),
        (UnknownSymbol("X/Y", "h"), ["h lists no spot market X/Y", "for example BTC/USDT"]),
        (TableMismatch("t", "a", "b"), ["t holds a, this run is b", "--table-suffix"]),
    ],
)
def test_a_message_says_what_happened_then_the_remedy(error: DepthError, says: list[str]) -> None:
    """In one line, in this order."""
    places = [str(error).index(part) for part in says]
    assert places == sorted(places)
    assert "\n" not in str(error)


def test_an_error_carries_what_its_catcher_needs() -> None:
    """The wait that the exchange named, the status, the symbol."""
    assert ExchangeUnavailable("x").retry_after is None
    assert ExchangeUnavailable("x", 2.5).retry_after == 2.5
    assert AccessRefused(451, "h").status == 451
    assert UnknownSymbol("X/Y", "h").symbol == "X/Y"


@pytest.mark.parametrize(
    "error",
    [ExchangeUnavailable("x", 2.5), AccessRefused(451, "h"), UnknownSymbol("X/Y", "h"), TableMismatch("t", "a", "b")],
)
def test_an_error_survives_pickling(error: DepthError) -> None:
    """Prefect keeps a failed run's exception by pickle: type, text and attributes come back."""
    back = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
