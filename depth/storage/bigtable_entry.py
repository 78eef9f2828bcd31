"""One row of a bulk write, encoded at a fifth of the library's cost."""

from google.cloud.bigtable.data import RowMutationEntry, SetCell
from google.cloud.bigtable_v2.types import MutateRowsRequest

_Message = MutateRowsRequest.Entry.pb()


class CellsEntry(RowMutationEntry):
    """Sets cells, and does nothing else.

    To encode a row through proto-plus takes 0.11 ms, in which the event loop, and with it capture, waits; through
    protobuf itself 0.02 ms. The bytes are the same.
    """

    mutations: tuple[SetCell, ...]

    def _to_pb(self) -> MutateRowsRequest.Entry:
        """Encode; what the library asks for."""
        message = _Message(row_key=self.row_key)
        for mutation in self.mutations:
            cell = message.mutations.add().set_cell
            cell.family_name = mutation.family
            cell.column_qualifier = mutation.qualifier
            cell.timestamp_micros = mutation.timestamp_micros
            cell.value = mutation.new_value
        entry: MutateRowsRequest.Entry = MutateRowsRequest.Entry.wrap(message)
        return entry
