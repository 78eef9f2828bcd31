"""`python tests/uploads.py FOLDER`: upload on the server of PREFECT_API_URL, the store in one mood after another.

Prints a JSON object: mood to what came of it. A process of its own, since Prefect leaves sockets open.
"""

import asyncio
import json
import sys
from pathlib import Path

from prefect import State, flow

from tasks.store import store_snapshots
from tests import docks
from tests.docks import ONE

MOODS = ("well", "busy", "away", "refuses")


async def upload(mood: str, folder: Path) -> dict[str, object]:
    """Upload three rows in a flow run, as the collect flow does; where the store stays away, without much waiting."""
    folder.mkdir()
    task = store_snapshots
    if mood == "away":
        task = store_snapshots.with_options(retry_delay_seconds=0.01, retry_jitter_factor=0)
    given: list[object] = []

    with docks.opened(folder) as dock:
        dock.capture(ONE, 0, 3)
        if mood == "busy":
            dock.store.fails = {0, 2}
        elif mood != "well":
            dock.store.moods[ONE] = mood
        shipment = dock.shipment(ONE)

        @flow(name=f"uploading-{mood}")
        async def uploading() -> None:
            state: State[int] = await task(shipment, return_state=True)  # type: ignore[misc]  # Prefect's overload
            given.append(await state.aresult(raise_on_failure=False))

        await uploading()
        result = given[0] if isinstance(given[0], int) else type(given[0]).__name__
        return {"result": result, "sent": [len(keys) for _, keys in dock.store.calls], "waiting": dock.waiting()}


async def _all(folder: Path) -> dict[str, dict[str, object]]:
    return {mood: await upload(mood, folder / mood) for mood in MOODS}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_all(Path(sys.argv[1])))))
