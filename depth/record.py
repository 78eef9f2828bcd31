"""What is stored: text cells under a key."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """One row of one table.

    Attributes:
        key: row key.
        columns: column name to text.
        version: cell timestamp in µs (whole ms), for rows that several collectors write: the better row wins, a
            row with a lower `covered` never replaces a higher one. None: the last write wins.
    """

    key: str
    columns: Mapping[str, str]
    version: int | None = None
