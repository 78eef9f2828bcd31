"""Every fault of the bench, in the order of the page."""

from tests.faults import exchange

FAULTS = (*exchange.FAULTS,)
