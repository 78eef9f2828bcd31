"""A Prefect server for the tests of the flows."""

from collections.abc import Iterator

import pytest

from tests import prefect_server


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one server for the session; give what PREFECT_API_URL takes."""
    with prefect_server.running(tmp_path_factory.mktemp("prefect")) as api:
        yield api
