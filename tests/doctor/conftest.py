"""What the doctor is asked about: a plan whose parts are all well, until a test makes one ill."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from depth.doctor import Finding
from depth.epochs import Grid
from depth.exchange.simulated import Handle, Options, SyntheticSource, threaded
from depth.plan import Plan
from depth.storage.open import StoreOptions


@pytest.fixture(scope="session")
def well_exchange() -> Iterator[Handle]:
    """An exchange that no test harms."""
    with threaded(SyntheticSource(), Options(weight_limit=100_000)) as handle:
        yield handle


@pytest.fixture
def plan(well_exchange: Handle, tmp_path: Path) -> Plan:
    """BTC/USDT from that exchange into a folder of the test's own."""
    return Plan(
        symbols=("BTC/USDT",),
        grid=Grid(),
        rest_url=well_exchange.rest_url,
        ws_url=well_exchange.ws_url,
        connections=2,
        store=StoreOptions("sqlite", tmp_path / "depth.db"),
        spool_path=tmp_path / "spool.db",
        spool_limit_bytes=512 * 2**20,
        flush_seconds=1,
        group="here",
    )


def the(check: str, findings: Sequence[Finding]) -> Finding:
    """Give the one line of a check."""
    [found] = [finding for finding in findings if finding.check == check]
    return found
