"""Every fault of the bench, in the order of the page."""

from tests.faults import drain, exchange, starts, stores

_SECTIONS = ("Sockets", "Snapshots", "The market", "Event times", "The process", "Bigtable", "SQLite and disks")

FAULTS = tuple(
    sorted(
        (*exchange.FAULTS, *stores.FAULTS, *starts.FAULTS, *drain.FAULTS),
        key=lambda fault: _SECTIONS.index(fault.section),
    )
)
