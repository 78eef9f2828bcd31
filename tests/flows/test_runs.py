"""Which of a deployment's runs count as collectors that are about to be live."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect import State
from prefect.client.schemas.objects import FlowRun
from prefect.states import Pending, Running, Scheduled

from flows import _runs


def run(state: State[None], seconds: float) -> FlowRun:
    """Make a run that has been in a state for so long."""
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    return FlowRun(
        flow_id=uuid4(),
        state=state.model_copy(update={"timestamp": since}),
        state_type=state.type,
        start_time=since if state.is_running() else None,
    )


@pytest.mark.parametrize("state", [Pending(), Running()])
def test_a_run_that_a_worker_has_just_taken_will_be_live(state: State[None]) -> None:
    assert _runs.starts(run(state, 50))


@pytest.mark.parametrize("state", [Pending(), Running()])
def test_a_run_whose_worker_died_with_it_holds_up_nobody(state: State[None]) -> None:
    """A minute after it was taken it is live, and has said so in the store, or it never will be."""
    assert not _runs.starts(run(state, 61))


def test_a_run_that_waits_for_a_worker_counts_however_long_it_waits() -> None:
    """Its worker starts it once it is back."""
    assert _runs.starts(run(Scheduled(), 86_400))
