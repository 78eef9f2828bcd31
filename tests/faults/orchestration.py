"""What Prefect can do to a collector that runs under it; more of it is tried where `elsewhere` says."""

import asyncio
import re
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deploy.local.stack import NotUp
from tests import commands, prefect_server
from tests.faults.doors import Door, door
from tests.faults.fault import Fault, Finding, NotPlayed
from tests.faults.measure import until
from tests.faults.processes_stage import Scene, staged, stored

SECTION = "Orchestration"
_START_SECONDS = 90.0
_TROUBLE_SECONDS = 30.0
_END_SECONDS = 60.0
_Trouble = Callable[[Door, Path], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Trouble of the Prefect server.

    Attributes:
        name: what is done.
        does: brings it about, while the block lasts.
        at_start: it is there when `python flows/collect.py` starts; else it comes once rows are stored.
        says: what the command must say; a pattern.
    """

    name: str
    does: _Trouble
    at_start: bool = False
    says: str = ""

    def fault(self) -> Fault:
        """Make it a row of the table."""
        must = "no epoch lost, exit code 0" + (f"; it says in one line: {self.says}" if self.says else "")
        return Fault(SECTION, self.name, must, lambda folder: asyncio.run(self._play(folder)), alone=True)

    async def _play(self, folder: Path) -> Finding:
        home = folder / "server"
        with _server(home) as api:
            host = api.removeprefix("http://").removesuffix("/api")
            async with staged(folder) as scene, door(host) as way:
                urls = {"BINANCE_REST_URL": scene.plan.rest_url, "BINANCE_WS_URL": scene.plan.ws_url}
                settings = {**urls, "PREFECT_API_URL": f"http://{way.host}/api", "FLUSH_SECONDS": "1"}
                if self.at_start:
                    async with self.does(way, home):
                        ended = await _collect(scene, folder, settings)
                else:
                    ended = await _collect(scene, folder, settings, lambda: self.does(way, home))
                end = await stored(scene)
        told = [line for line in ended.err.splitlines() if self.says and re.search(self.says, line)]
        broken = [f"exit code {ended.code}: {ended.error}"] if ended.code else []
        broken += [f"it said {len(told)} times: {self.says}"] if self.says and len(told) != 1 else []
        broken += [f"{end.missing} epochs are missing"] if end.missing else []
        happened = f"{end.missing} missing of {len(end.rows) + end.missing}, exit code {ended.code}"
        return Finding(happened, {"rows": len(end.rows), "missing": end.missing}, tuple(broken + end.broken))


@contextmanager
def _server(home: Path) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            api = stack.enter_context(prefect_server.running(home))
        except NotUp as error:
            raise NotPlayed(str(error)) from error
        yield api


async def _collect(
    scene: Scene,
    folder: Path,
    settings: dict[str, str],
    trouble: Callable[[], AbstractAsyncContextManager[None]] | None = None,
) -> commands.Ended:
    """Run the command as typed, in trouble for some time once rows are stored, and end it by SIGTERM."""
    with commands.running("collect", [], folder, settings) as process:
        await until(lambda: _count(scene) >= 3, _START_SECONDS)
        if trouble is not None:
            async with trouble():
                await asyncio.sleep(_TROUBLE_SECONDS)
        before = _count(scene)
        await until(lambda: _count(scene) >= before + 3, _START_SECONDS)
        return await asyncio.to_thread(commands.finish, process, signal.SIGTERM, _END_SECONDS)


def _count(scene: Scene) -> int:
    path = scene.plan.store.sqlite_path
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM binance_btc_depth").fetchone()[0])
    except sqlite3.OperationalError:  # there is none yet
        return 0


@asynccontextmanager
async def _slow(way: Door, _: Path, seconds: float) -> AsyncIterator[None]:
    way.delay = seconds
    yield
    way.delay = 0.0


@asynccontextmanager
async def _locked(_: Door, home: Path) -> AsyncIterator[None]:
    [path] = home.rglob("prefect.db")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield


@asynccontextmanager
async def _restarting(way: Door, _: Path) -> AsyncIterator[None]:
    way.shut()
    yield
    await way.open()


FAULTS = tuple(
    trouble.fault()
    for trouble in (
        Trouble(name="the Prefect API takes 5 s for each answer, for 30 s", does=partial(_slow, seconds=5)),
        Trouble(
            name="the Prefect API takes 6 s for each answer when the command starts",
            does=partial(_slow, seconds=6),  # the command waits for five
            at_start=True,
            says="does not answer .*: running without it",
        ),
        Trouble(name="the Prefect server's database is locked for 30 s", does=_locked),
        Trouble(name="the Prefect API refuses connections for 30 s, and resets those there are", does=_restarting),
    )
)
