"""What the doctor is asked about: a plan whose parts are all well, until a test makes one ill."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from depth.doctor import Finding
from depth.exchange.simulated import Handle, Options, SyntheticSource, threaded
from depth.plan import Plan
from tests import plans


@pytest.fixture(scope="session")
def well_exchange() -> Iterator[Handle]:
    """An exchange that no test harms."""
    with threaded(SyntheticSource(), Options(weight_limit=100_000)) as handle:
        yield handle


@pytest.fixture
def plan(well_exchange: Handle, tmp_path: Path) -> Plan:
    """BTC/USDT from that exchange into a folder of the test's own."""
    return plans.plan(well_exchange.rest_url, well_exchange.ws_url, tmp_path)


def the(check: str, findings: Sequence[Finding]) -> Finding:
    """Give the one line of a check."""
    [found] = [finding for finding in findings if finding.check == check]
    return found
