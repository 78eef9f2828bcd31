"""What collectors know of the seconds they lost, as rows of the companion table."""

from dataclasses import dataclass

import msgspec

from depth import rowkey
from depth.errors import MalformedRow
from depth.record import Record

SUSPECT = "suspect"

_PREFIX = "incident#"


@dataclass(frozen=True, slots=True)
class Report:
    """One collector's account of some epochs.

    Attributes:
        start: first epoch, inclusive.
        end: exclusive.
        cause: why they have no proven row; `suspect` marks rows that are stored but that an audit did not confirm.
        collector: id of the run.
    """

    start: int
    end: int
    cause: str
    collector: str

    def record(self, symbol: str) -> Record:
        """Write it as a row; a report that grows keeps its start and so its key.

        Epochs may be suspect and lost at the same time, so suspicions have keys of their own.
        """
        kind = f"#{SUSPECT}" if self.cause == SUSPECT else ""
        key = f"{_PREFIX}{rowkey.encode(self.start, symbol)}#{self.collector}{kind}"
        return Record(key, {"value": msgspec.json.encode(self).decode()})

    @classmethod
    def parse(cls, record: Record) -> "Report":
        """Read what `record` wrote: ``{"start":1768054365,"end":1768054371,"cause":"silent","collector":"vm-1"}``.

        Raises:
            MalformedRow: another program wrote it.
        """
        try:
            return msgspec.json.decode(record.columns["value"], type=cls)
        except (KeyError, msgspec.DecodeError) as error:
            raise MalformedRow(f"row {record.key} cannot be read ({error}): another program wrote it") from error


def bounds(start: int, end: int) -> tuple[str, str]:
    """Give the key range of the reports that start in ``[start, end)``: first inclusive, last exclusive."""
    first, last = rowkey.bounds(start, end)
    return _PREFIX + first, _PREFIX + last
