"""Every fault of the bench, in the order of the page."""

from tests.faults import drain, exchange, orchestration, processes, starts, stores

_SECTIONS = (
    *("Sockets", "Snapshots", "The market", "Event times"),
    *("Bigtable", "SQLite and disks", "The process", orchestration.SECTION),
)

FAULTS = tuple(
    sorted(
        (
            *exchange.FAULTS,
            *stores.FAULTS,
            *starts.FAULTS,
            *drain.FAULTS,
            *processes.FAULTS,
            *orchestration.FAULTS,
        ),
        key=lambda fault: _SECTIONS.index(fault.section),
    )
)
