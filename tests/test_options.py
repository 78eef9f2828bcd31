"""Options of commands, whatever is typed: taken or refused, by pydantic's error and no other."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from depth import tables
from depth.epochs import Grid
from depth.errors import UsageError
from depth.options import CollectOptions, DoctorOptions, HealthOptions, SampleOptions

MODELS: list[type[BaseModel]] = [CollectOptions, DoctorOptions, HealthOptions]
QUICKLY = settings(max_examples=150, deadline=None)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.binary(max_size=4)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=4), scalars, max_size=2)
names = st.text("ABC/,.-_ \n\x00\u0131\u00df\u0661", min_size=1, max_size=9)


def given_to(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    fields = [field.alias or name for name, field in model.model_fields.items()]
    return st.dictionaries(st.sampled_from(fields) | st.text(max_size=5), values, max_size=4)


@pytest.mark.parametrize("model", MODELS)
@QUICKLY
@given(st.data())
def test_anything_is_options_or_a_validation_error(model: type[BaseModel], data: st.DataObject) -> None:
    """What is taken can be written down and taken again."""
    given = data.draw(given_to(model))
    try:
        options = model.model_validate(given)
    except ValidationError:
        return
    assert model.model_validate_json(options.model_dump_json(by_alias=True)) == options


@QUICKLY
@given(st.lists(names, max_size=3), st.floats(), st.integers(), st.integers())
@example(["BTC/USDT"], 0.00002, 40, 1)
@example(["btc/usdt,eth/usdt "], 1e-9, 10_000, 86_400)
def test_a_sample_that_is_taken_is_a_grid_and_tables(
    symbols: list[str], step: float, steps: int, interval: int
) -> None:
    """Or a name that no table can have, which is said as bad usage."""
    try:
        options = SampleOptions(symbols=symbols, step=step, steps=steps, interval=interval)
    except ValidationError:
        return
    assert Grid(options.step, options.steps, options.interval).steps == steps
    said = []
    for symbol in options.symbols:
        try:
            tables.depth_table(symbol, options.table_suffix)
        except UsageError as error:
            said.append(str(error))
    assert not any("\n" in line for line in said)
