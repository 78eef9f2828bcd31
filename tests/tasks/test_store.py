"""The upload as a Prefect task: what it gives, what is tried again, and what is not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.cache_policies import NO_CACHE

from depth.errors import StoreUnavailable
from tasks.store import store_snapshots
from tests import commands, docks
from tests.docks import ONE, Dock


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with docks.opened(tmp_path) as opened:
        opened.capture(ONE, 0, 3)
        yield opened


@pytest.fixture(scope="module")
def uploads(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of three rows on a Prefect server, by the mood of the store."""
    folder = tmp_path_factory.mktemp("uploads")
    done = subprocess.run(
        [sys.executable, str(commands.ROOT / "tests" / "uploads.py"), str(folder)],
        env=commands.environment(folder, PREFECT_API_URL=prefect_api),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


async def test_without_the_engine_it_is_the_shipment(dock: Dock) -> None:
    """Direct mode calls `.fn`: rows acknowledged, and one try alone."""
    assert await store_snapshots.fn(dock.shipment(ONE)) == 3
    dock.capture(ONE, 3, 4)
    dock.store.moods[ONE] = "away"
    with pytest.raises(StoreUnavailable):
        await store_snapshots.fn(dock.shipment(ONE))
    assert len(dock.store.calls) == 2


def test_nothing_of_a_shipment_is_kept_by_prefect() -> None:
    """No cache, no persisted result: a flow that runs for weeks holds no rows."""
    assert store_snapshots.cache_policy == NO_CACHE
    assert store_snapshots.persist_result is False


@pytest.mark.alone
def test_as_a_task_it_gives_a_small_number(uploads: dict[str, dict[str, Any]]) -> None:
    """The result that the flow run keeps is the count of rows."""
    assert uploads["well"] == {"result": 3, "sent": [3], "waiting": 0}


@pytest.mark.alone
def test_a_retry_sends_only_what_is_left(uploads: dict[str, dict[str, Any]]) -> None:
    """A store that took one of three rows is tried again by Prefect, with the other two."""
    assert uploads["busy"] == {"result": 2, "sent": [3, 2], "waiting": 0}


@pytest.mark.alone
def test_a_store_that_stays_away_is_given_up_after_three_retries(uploads: dict[str, dict[str, Any]]) -> None:
    """The error is the store's own; the rows stay in the spool for the next flush."""
    assert uploads["away"] == {"result": "StoreUnavailable", "sent": [3, 3, 3, 3], "waiting": 3}


@pytest.mark.alone
def test_a_refusal_is_not_tried_again(uploads: dict[str, dict[str, Any]]) -> None:
    """A person must act: one try, and the error at once."""
    assert uploads["refuses"] == {"result": "StoreRefused", "sent": [3], "waiting": 3}
