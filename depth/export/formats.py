"""How a day is written: Parquet, CSV, or CSV as Tardis names it. The same rows give the same bytes."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from depth.epochs import Grid
from depth.export import tardis
from depth.export.about import About

_KEY = b"depth"
# A day of CSV packs in a second; the highest level takes ten and saves a seventh.
_GZIP_LEVEL = 3

Convert = Callable[[pa.RecordBatch], pa.RecordBatch]


class Writer(Protocol):
    """Writes one file."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows, later than those before."""
        ...

    def describe(self, about: About) -> None:
        """Say what was written, where the file itself holds that."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a day.

    Attributes:
        ending: of the file's name.
        open: makes a writer of rows of a schema, of one market and grid.
        inside: whether the file holds its own description; otherwise it stands beside it, in ``<file>.json``.
        file: its name; the suffix of the table follows.
    """

    ending: str
    open: Callable[[Path, pa.Schema, str, Grid], Writer]
    inside: bool = False
    file: str = "depth"


class _Parquet:
    """Zstandard; a row group a batch; lists plain, since money in buckets rarely repeats."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        repeating = [field.name for field in schema if field.type == pa.string()]
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def describe(self, about: About) -> None:
        self._writer.add_key_value_metadata({_KEY: about.text().encode()})

    def close(self) -> None:
        self._writer.close()


class _Csv:
    """Gzip, which every reader opens; without a time or name in its header, which would differ from run to run."""

    def __init__(self, path: Path, schema: pa.Schema, convert: Convert, *, quoted: bool) -> None:
        self._convert = convert
        self._raw = path.open("wb")
        self._packed = gzip.GzipFile("", "wb", _GZIP_LEVEL, self._raw, mtime=0)
        empty = convert(pa.RecordBatch.from_pylist([], schema=schema))
        options = pyarrow.csv.WriteOptions(quoting_style="needed" if quoted else "none", quoting_header="none")
        self._writer = pyarrow.csv.CSVWriter(self._packed, empty.schema, write_options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(self._convert(batch))

    def describe(self, about: About) -> None:
        """Nothing to do: it stands beside the file."""

    def close(self) -> None:
        self._writer.close()
        self._packed.close()
        self._raw.close()


def _flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give every bucket a column: `bid_0` to `bid_39`, `ask_0` to `ask_39`; empty where not known."""
    columns: dict[str, Any] = {}
    for field in batch.schema:
        column = batch.column(field.name)
        if pa.types.is_fixed_size_list(field.type):
            side = field.name.removesuffix("_buckets")
            columns |= {f"{side}_{i}": pc.list_element(column, i) for i in range(field.type.list_size)}
        else:
            columns[field.name] = column
    return pa.RecordBatch.from_pydict(columns)


FORMATS = {
    "parquet": Format(".parquet", lambda path, schema, *_: _Parquet(path, schema), inside=True),
    "csv": Format(".csv.gz", lambda path, schema, *_: _Csv(path, schema, _flat, quoted=True)),
    "tardis": Format(
        ".csv.gz",
        lambda path, schema, symbol, grid: _Csv(path, schema, tardis.converter(symbol, grid), quoted=False),
        file=tardis.NAME,
    ),
}


def read_about(file: Any, *, inside: bool) -> About | None:
    """Read what a file, or the file beside it, says; None where another program wrote it.

    Raises:
        MalformedRow: it says something else.
    """
    if not inside:
        return About.parse(file.read())
    try:
        metadata = pq.read_metadata(file).metadata or {}
    except pa.ArrowInvalid:
        return None
    return About.parse(metadata[_KEY]) if _KEY in metadata else None
