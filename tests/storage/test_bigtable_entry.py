"""Our encoding of a row against the library's own."""

from google.cloud.bigtable.data import RowMutationEntry, SetCell
from google.cloud.bigtable_v2.types import MutateRowsRequest
from hypothesis import given
from hypothesis import strategies as st

from depth.storage.bigtable_entry import CellsEntry

CELLS = st.builds(
    SetCell,
    st.text(min_size=1, max_size=8),
    st.binary(max_size=20),
    st.binary(max_size=200),
    st.integers(-1, 2**62),
)


def encoded(entry: RowMutationEntry) -> bytes:
    given: bytes = MutateRowsRequest.Entry.serialize(entry._to_pb())
    return given


@given(st.binary(min_size=1, max_size=50), st.lists(CELLS, min_size=1, max_size=9))
def test_a_row_is_the_same_bytes_as_from_the_library(key: bytes, cells: list[SetCell]) -> None:
    """Whatever the cells hold, negative timestamps (the server's choice) too."""
    assert encoded(CellsEntry(key, [*cells])) == encoded(RowMutationEntry(key, [*cells]))
