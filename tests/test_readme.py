"""README.md says what the code does."""

import re
from pathlib import Path

from depth.options import CollectOptions
from flows.export import ExportOptions
from settings import Settings

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
