"""What is Bigtable's own: its outages, identities, error codes, timestamps, families."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from google.api_core import exceptions as google
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigtable.data import RetryExceptionGroup, SetCell
from google.cloud.bigtable_admin_v2.types import Table

from depth.errors import StoreRefused, StoreUnavailable
from depth.record import Record
from depth.storage import bigtable, bigtable_client
from depth.storage.bigtable import BigtableStore
from depth.storage.bigtable_errors import Instance, status, translate
from tests import emulator

T = "binance_btc_depth"
CREATION = "cbt -project=P -instance=I createtable T && cbt -project=P -instance=I createfamily T data"
PASSING: list[type[google.GoogleAPICallError]] = [
    google.ServiceUnavailable,
    google.DeadlineExceeded,
    google.ResourceExhausted,
    google.Aborted,
    google.InternalServerError,
    google.Cancelled,
    google.Unknown,
]
FINAL: dict[type[google.GoogleAPICallError], str] = {
    google.PermissionDenied: "PERMISSION_DENIED.*roles/bigtable.user",
    google.Unauthenticated: "UNAUTHENTICATED.*gcloud auth application-default login",
    google.NotFound: "NOT_FOUND.*BIGTABLE_INSTANCE_ID",
    google.InvalidArgument: "INVALID_ARGUMENT.*BIGTABLE_PROJECT_ID",
    google.FailedPrecondition: "FAILED_PRECONDITION.*single-cluster routing.*BIGTABLE_APP_PROFILE_ID",
}


class Clock:
    """Says what it is told."""

    def __init__(self) -> None:
        self.now = 1_768_054_365.0004

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(bigtable_host: str, clock: Clock) -> AsyncIterator[BigtableStore]:
    store = BigtableStore("project", f"i{uuid4().hex}", None, bigtable_host, clock)
    yield store
    await store.close()


def row(price: str = "1", version: int | None = None, key: str = "1") -> Record:
    return Record(key, {"price": price}, version)


def stamps(store: BigtableStore, records: list[Record]) -> list[int]:
    cells = [cell for entry in store._entries(records) for cell in entry.mutations]
    return [cell.timestamp_micros for cell in cells if isinstance(cell, SetCell)]


def failed(kind: type[google.GoogleAPICallError], message: str) -> google.GoogleAPICallError:
    return kind(message)


@pytest.mark.parametrize("error", PASSING, ids=lambda error: error.__name__)
def test_what_may_pass_is_transient(error: type[google.GoogleAPICallError]) -> None:
    told = translate(failed(error, "first line\nsecond line"), Instance("P", "I"), "T")
    assert isinstance(told, StoreUnavailable)
    assert error.grpc_status_code is not None
    assert error.grpc_status_code.name in str(told)
    assert "\n" not in str(told)


@pytest.mark.parametrize("error", FINAL, ids=lambda error: error.__name__)
def test_what_a_person_must_mend_is_refused_with_the_remedy(error: type[google.GoogleAPICallError]) -> None:
    told = translate(failed(error, "first line\nsecond line"), Instance("P", "I"), "T")
    assert isinstance(told, StoreRefused)
    assert "\n" not in str(told)
    with pytest.raises(StoreRefused, match=FINAL[error]):
        raise told
    assert str(told).endswith(CREATION) is (error in {google.PermissionDenied, google.NotFound})


def test_the_reason_behind_the_librarys_patience_is_told() -> None:
    exceeded = failed(google.DeadlineExceeded, "operation_timeout of 10.0s exceeded")
    exceeded.__cause__ = RetryExceptionGroup(
        [failed(google.ServiceUnavailable, "connection refused"), failed(google.DeadlineExceeded, "3 s")]
    )
    assert status(exceeded) == ("UNAVAILABLE", "connection refused")


async def test_an_emulator_that_is_gone_is_transient_within_eleven_seconds() -> None:
    if emulator.find() is None:
        pytest.skip(emulator.MISSING)
    with emulator.running() as host:
        store = BigtableStore("project", "instance", None, host)
        await store.ensure_table(T, ["price"])
        await store.write(T, [row()])
    began = time.monotonic()
    calls = {
        "write": store.write(T, [row(key=str(key)) for key in range(2_500)]),
        "get": store.get(T, "1"),
        "scan": anext(store.scan(T, "0", "9")),
        "keys": anext(store.keys(T, "0", "9")),
        "create": store.create(T, row()),
        "ensure_table": store.ensure_table(T, ["price"]),
    }
    tasks = {name: asyncio.ensure_future(call) for name, call in calls.items()}
    for task in tasks.values():
        with pytest.raises(StoreUnavailable, match=r"UNAVAILABLE: .*tried again"):
            await task
    assert time.monotonic() - began < 11
    await store.close()


async def test_ensure_table_asks_nothing_of_an_administrator_where_all_is_there(
    store: BigtableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime identity may read and write, and no more."""
    await store.ensure_table(T, ["price"])

    async def refuse(*_: object) -> None:
        raise failed(google.PermissionDenied, "no admin")

    monkeypatch.setattr(bigtable_client, "create_table", refuse)
    await store.ensure_table(T, ["price"])
    with pytest.raises(StoreRefused, match=r"no admin.*createtable nowhere && cbt .* createfamily nowhere data$"):
        await store.ensure_table("nowhere", ["price"])


async def test_who_may_not_list_tables_is_told_what_to_ask_for(
    store: BigtableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance is named, and no table, since none was asked."""

    async def refuse(*_: object) -> None:
        raise failed(google.PermissionDenied, "no list")

    monkeypatch.setattr(bigtable_client, "list_tables", refuse)
    with pytest.raises(StoreRefused, match=r"^Bigtable project/i\w+: PERMISSION_DENIED: no list: grant .* instance$"):
        await store.tables()


async def test_a_table_without_the_family_gets_it(store: BigtableStore, bigtable_host: str) -> None:
    place = store._place
    async with bigtable_client._admin(bigtable_host, AnonymousCredentials()) as admin:  # type: ignore[no-untyped-call]
        await admin.create_table(parent=f"projects/project/instances/{place.instance}", table_id=T, table=Table())
    with pytest.raises(StoreRefused, match=f"createfamily {T} data$"):
        await store.write(T, [row()])
    await store.ensure_table(T, ["price"])
    await store.write(T, [row()])
    assert await store.get(T, "1") == row()
    assert [key async for key in store.keys(T, "0", "9")] == ["1"]
    await store.close()
    assert [key async for key in store.keys(T, "0", "9")] == ["1"]


async def test_a_new_table_keeps_one_version(store: BigtableStore, bigtable_host: str) -> None:
    await store.ensure_table(T, ["price"])
    name = f"projects/project/instances/{store._place.instance}/tables/{T}"
    async with bigtable_client._admin(bigtable_host, AnonymousCredentials()) as admin:  # type: ignore[no-untyped-call]
        found = await admin.get_table(name=name)
    assert {family: each.gc_rule.max_num_versions for family, each in found.column_families.items()} == {"data": 1}


async def test_the_probe_of_ensure_table_is_no_row(store: BigtableStore) -> None:
    await store.ensure_table(T, ["price"])
    await store.ensure_table(T, ["price"])
    assert [key async for key in store.keys(T, "\x01", "~")] == []


async def test_a_later_write_wins_within_a_millisecond_and_when_the_clock_steps_back(
    store: BigtableStore, clock: Clock
) -> None:
    await store.ensure_table(T, ["price"])
    await store.write(T, [row("1")])
    await store.write(T, [row("2")])
    clock.now -= 3600
    await store.write(T, [row("3")])
    assert await store.get(T, "1") == row("3")


async def test_a_machine_whose_clock_is_behind_swaps_too(store: BigtableStore, bigtable_host: str) -> None:
    """Its new cell is not hidden by the older one of a machine that is ahead."""
    behind = BigtableStore("project", store._place.instance, None, bigtable_host, lambda: 1_000_000_000.0)
    await store.ensure_table(T, ["price"])
    await store.write(T, [row("1")])
    try:
        assert await behind.swap(T, "1", "price", "1", "2")
        assert await store.get(T, "1") == row("2")
        assert await store.swap(T, "1", "price", "2", "3")
    finally:
        await behind.close()


async def test_cells_have_whole_milliseconds(store: BigtableStore, clock: Clock) -> None:
    """Bigtable refuses others."""
    assert stamps(store, [row()]) == [int(clock.now * 1000) * 1000]


async def test_the_second_row_of_a_key_in_one_call_has_the_later_cell(store: BigtableStore) -> None:
    """The service applies the rows of a bulk in any order; the emulator does not show it."""
    first, other, second = stamps(store, [row("1", key="a"), row("1", key="b"), row("2", key="a")])
    assert first == other == second - 1_000
    assert stamps(store, [row("3", key="b")]) > [second]


async def test_a_row_that_is_refused_alone_is_named_alone(store: BigtableStore) -> None:
    """The emulator refuses a timestamp that is no whole millisecond."""
    await store.ensure_table(T, ["price"])
    outcome = await store.write(T, [row(key="1"), row(key="2", version=1_001), row(key="3")])
    assert outcome.acknowledged == (0, 2)
    assert list(outcome.failures) == [1]
    assert [key async for key in store.keys(T, "0", "9")] == ["1", "3"]


async def test_after_a_bulk_that_fails_whole_the_rest_is_not_sent(
    store: BigtableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further bulk would cost ten seconds of waiting for a store that has gone."""
    monkeypatch.setattr(bigtable, "_BULK_ROWS", 2)
    await store.ensure_table(T, ["price"])
    versions = [None, None, 1_001, 1_001, None]
    outcome = await store.write(T, [row(key=str(key), version=version) for key, version in enumerate(versions)])
    assert outcome.acknowledged == (0, 1)
    assert sorted(outcome.failures) == [2, 3, 4]
    assert outcome.failures[4].startswith("not sent")


async def test_a_slow_store_gets_less_and_what_it_took_is_told(
    store: BigtableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a caller that gives up after 15 s would send the same rows for ever."""
    monkeypatch.setattr(bigtable, "_BULK_ROWS", 2)
    monkeypatch.setattr(bigtable, "_WRITE_SECONDS", 0.0)
    await store.ensure_table(T, ["price"])
    outcome = await store.write(T, [row(key=str(key)) for key in range(5)])
    assert outcome.acknowledged == (0, 1)
    assert outcome.failures == dict.fromkeys([2, 3, 4], "not sent: the store is slow")


@pytest.mark.parametrize("environment", ["", "127.0.0.1:1"])
async def test_the_argument_and_not_the_environment_names_the_emulator(
    store: BigtableStore, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", environment)
    await store.ensure_table(T, ["price"])
    client = bigtable_client.DataClient("project", None, AnonymousCredentials())  # type: ignore[no-untyped-call]
    assert client._emulator_host is None
    assert client._channel_refresh_task is not None  # which the service alone needs
    await client.close()
    reader = bigtable_client.StreamClient("project", None, AnonymousCredentials())  # type: ignore[no-untyped-call]
    assert reader._emulator_host is None
    reader.close()


async def test_without_an_identity_the_service_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    store = BigtableStore("project", "instance", None, "")
    with pytest.raises(StoreRefused, match=r"UNAUTHENTICATED.*gcloud auth application-default login"):
        await store.get(T, "1")
    await store.close()


async def test_a_closed_store_opens_again(store: BigtableStore) -> None:
    await store.ensure_table(T, ["price"])
    await store.close()
    await store.write(T, [row()])
    assert await store.get(T, "1") == row()
    assert [key async for key in store.keys(T, "0", "9")] == ["1"]
    await store.close()
    assert [key async for key in store.keys(T, "0", "9")] == ["1"]
