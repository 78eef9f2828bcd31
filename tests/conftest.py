"""The exchange, the stores and the Prefect server that tests of more than one folder use."""

import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from depth.exchange.simulated import Handle, Options, SyntheticSource, threaded
from depth.storage.base import Store
from depth.storage.sqlite import SqliteStore
from tests import emulator, prefect_server

Opener = Callable[[], Awaitable[Store]]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets up logging; the next test finds none of it."""
    root, library = logging.getLogger(), logging.getLogger("depth")
    level, root_level, handlers = library.level, root.level, [*root.handlers]
    yield
    library.setLevel(level)
    root.setLevel(root_level)
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)


@pytest.fixture(autouse=True)
def nothing_frozen() -> Iterator[None]:
    """A run that a test makes in this process takes what is imported out of garbage collection; here it comes back."""
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def exchange() -> Iterator[Handle]:
    """One exchange for all commands of a module."""
    with threaded(SyntheticSource(), Options(weight_limit=100_000)) as handle:
        yield handle


@pytest.fixture(scope="module")
def settings(exchange: Handle) -> dict[str, str]:
    """Where that exchange is."""
    return {"BINANCE_REST_URL": exchange.rest_url, "BINANCE_WS_URL": exchange.ws_url}


@pytest.fixture(scope="session")
def bigtable_host() -> Iterator[str]:
    """`host:port` of an emulator for the whole session; tests part by the name of their instance."""
    if emulator.find() is None:
        pytest.skip(emulator.MISSING)
    with emulator.running() as host:
        yield host


@pytest.fixture(params=["sqlite", "bigtable"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    """Open further stores on the same place, as other processes would."""
    opened: list[Store] = []
    place = f"i{uuid4().hex}"

    async def opener() -> Store:
        if request.param == "sqlite":
            opened.append(SqliteStore(tmp_path / "data" / "depth.db"))
        else:
            from depth.storage.bigtable import BigtableStore  # noqa: PLC0415 - as callers do, for that backend alone

            host = request.getfixturevalue("bigtable_host")
            opened.append(BigtableStore("project", place, None, host))
        return opened[-1]

    yield opener
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: Opener) -> Store:
    """One store of each backend."""
    return await open_store()


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one server for the session; give what PREFECT_API_URL takes."""
    with prefect_server.running(tmp_path_factory.mktemp("prefect")) as api:
        yield api
