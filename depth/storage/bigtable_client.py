"""The Google clients, made so that our settings decide and the event loop is never held up."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, ClassVar

import google.auth
import grpc  # type: ignore[import-untyped]
from google.api_core.exceptions import AlreadyExists
from google.api_core.retry_async import AsyncRetry
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud.bigtable.data import BigtableDataClient, BigtableDataClientAsync
from google.cloud.bigtable_admin_v2 import BigtableTableAdminAsyncClient
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin.transports import (
    BigtableTableAdminGrpcAsyncIOTransport,
)
from google.cloud.bigtable_admin_v2.types import ColumnFamily, GcRule, ModifyColumnFamiliesRequest, Table
from grpc.experimental import ChannelOptions  # type: ignore[import-untyped]

from depth.storage.bigtable_errors import Instance
from depth.tables import FAMILY

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_ADMIN_SECONDS = 60.0
_LIST_SECONDS = 10.0


class _OurChoice:
    """The library's clients, but the argument alone says whether an emulator is meant."""

    _options: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def __init__(self, project: str, emulator_host: str | None, credentials: Credentials) -> None:
        """Connect.

        Args:
            project: id of the Google Cloud project.
            emulator_host: ``host:port`` of an emulator; None for the service.
            credentials: found beforehand, since to look for them takes a blocking request.
        """
        self._chosen_host = emulator_host
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Connecting to Bigtable emulator", RuntimeWarning)
            super().__init__(project=project, credentials=credentials, **self._options)  # type: ignore[call-arg]
        # No metrics to Cloud Monitoring: they need a role of their own, and the last export, in close(), would block
        # the loop for up to 30 s where Monitoring does not answer.
        self._metrics.close()  # type: ignore[attr-defined]
        self._metrics.handlers.clear()  # type: ignore[attr-defined]

    @property
    def _emulator_host(self) -> str | None:
        """What the library asks wherever it tells the emulator from the service."""
        return self._chosen_host

    @_emulator_host.setter
    def _emulator_host(self, found: str | None) -> None:
        """Drop what the library read in BIGTABLE_EMULATOR_HOST, where even an empty text means an emulator."""


class DataClient(_OurChoice, BigtableDataClientAsync):
    """For the event loop; make it inside the loop that will use it."""


class StreamClient(_OurChoice, BigtableDataClient):
    """For threads that read long ranges.

    The emulator sends each row in a message of its own. To hand one over takes grpc.aio 60 us and grpc's threads as
    much, but 12 us where the reading thread itself waits for the network.
    """

    # A thread that opens new connections ahead of time; close() would wait for it.
    _options = MappingProxyType({"_disable_background_refresh": True})

    def _build_grpc_channel(self, *arguments: Any, **options: Any) -> Any:
        if self._emulator_host is None:
            return super()._build_grpc_channel(*arguments, **options)
        return grpc.insecure_channel(self._emulator_host, [(ChannelOptions.SingleThreadedUnaryStream, 1)])


async def credentials(emulator_host: str | None) -> Credentials:
    """Find this process's identity, in a thread: the search may ask a metadata server for seconds.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: there is none.
    """
    if emulator_host:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    found, _ = await asyncio.to_thread(google.auth.default, scopes=[_SCOPE])
    return found


async def create_table(place: Instance, table: str, emulator_host: str | None, identity: Credentials) -> None:
    """Create table and family, keeping one version of a cell; either may be there already, or appear meanwhile."""
    family = ColumnFamily(gc_rule=GcRule(max_num_versions=1))  # type: ignore[no-untyped-call]
    parent = f"projects/{place.project}/instances/{place.instance}"
    async with _admin(emulator_host, identity) as admin:
        try:
            await admin.create_table(
                parent=parent, table_id=table, table=Table(column_families={FAMILY: family}), timeout=_ADMIN_SECONDS
            )
        except AlreadyExists:
            addition = ModifyColumnFamiliesRequest.Modification(id=FAMILY, create=family)
            try:
                await admin.modify_column_families(
                    name=f"{parent}/tables/{table}", modifications=[addition], timeout=_ADMIN_SECONDS
                )
            except AlreadyExists:
                return


async def list_tables(place: Instance, emulator_host: str | None, identity: Credentials) -> list[str]:
    """Name the tables of the instance, sorted."""
    parent = f"projects/{place.project}/instances/{place.instance}"
    async with _admin(emulator_host, identity) as admin:
        patience = AsyncRetry(timeout=_LIST_SECONDS)
        found = await admin.list_tables(parent=parent, retry=patience, timeout=_LIST_SECONDS)
        return sorted([table.name.rpartition("/")[2] async for table in found])


@asynccontextmanager
async def _admin(emulator_host: str | None, identity: Credentials) -> AsyncIterator[BigtableTableAdminAsyncClient]:
    if emulator_host:
        # Unlike the data client this one knows no emulator.
        transport = BigtableTableAdminGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(emulator_host))
        admin = BigtableTableAdminAsyncClient(transport=transport)
    else:
        admin = BigtableTableAdminAsyncClient(credentials=identity)
    try:
        yield admin
    finally:
        await admin.transport.close()  # type: ignore[no-untyped-call]
