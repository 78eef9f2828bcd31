"""README.md says what the code does."""

import json
import re
from pathlib import Path
from typing import Any, get_args

from depth import due
from depth.alerts import conditions
from depth.alerts.webhook import signature
from depth.options import CollectOptions, WatchOptions
from flows.export import ExportOptions
from settings import Settings
from tests.alerts.made import ALERT

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def test_every_setting_is_in_the_table_and_no_other() -> None:
    """The settings table lists exactly the variables that are read."""
    section = README.split("## Settings")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)) == {
        name.upper() for name in Settings.model_fields
    }


def test_every_option_of_collect_is_in_the_table_and_no_other() -> None:
    """The options table lists exactly the flags of `flows/collect.py`."""
    section = README.split("## Collect")[1].split("\n### ")[0]
    assert set(re.findall(r"^\| `--([a-z-]+)` \|", section, re.MULTILINE)) == {
        name.replace("_", "-") for name in CollectOptions.model_fields
    }


def test_every_option_of_export_is_in_the_table_and_no_other() -> None:
    """The same of `flows/export.py`."""
    section = README.split("## Export")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`--.*?) \|", section, re.MULTILINE)
    assert set(re.findall(r"--([a-z-]+)", " ".join(cells))) == set(ExportOptions.model_fields)


def test_every_option_of_watch_is_in_the_table_and_no_other() -> None:
    """The same of `python -m depth watch`."""
    section = README.split("### Watch it")[1].split("\n### ")[0]
    assert set(re.findall(r"^\| `--([a-z-]+)` \|", section, re.MULTILINE)) == {
        name.replace("_", "-") for name in WatchOptions.model_fields
    }


def alerts() -> str:
    return README.split("## Alerts")[1].split("\n## ")[0]


def test_every_event_is_in_the_table_of_alerts_and_no_other() -> None:
    """Those of gaps, and two of each condition."""
    told = {f"gap.{event}" for event in get_args(due.Event)}
    told |= {f"{name}.{event}" for name in get_args(conditions.Condition) for event in get_args(conditions.Event)}
    rows = re.findall(r"^\| (`[a-z.`, -]+`) \|", alerts(), re.MULTILINE)
    assert set(re.findall(r"`([a-z.-]+)`", " ".join(rows))) == told


def test_the_code_that_verifies_a_signature_does() -> None:
    """As it stands there."""
    names: dict[str, Any] = {}
    exec(alerts().split("```python\n")[1].split("```")[0], names)  # noqa: S102 - our own text
    header = signature("key", 1_700_000_000, b'{"a":1}')
    assert names["is_ours"](b"key", header, b'{"a":1}')
    assert not names["is_ours"](b"key", header, b'{"a":2}')
    assert not names["is_ours"](b"another", header, b'{"a":1}')
    assert not names["is_ours"](b"key", header.replace("t=17", "t=18"), b'{"a":1}')


def test_the_message_that_is_shown_is_one() -> None:
    """Field by field, in the order of the body."""
    shown = json.loads(alerts().split("```json\n")[1].split("```")[0])
    assert list(shown) == list(ALERT.body())
