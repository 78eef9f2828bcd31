"""What happens to collectors, workers and a server, each a scene of its own; what was seen of it is looked at later.

Times that count are those that the server and the stores write down: when a run was asked for, when rows were stored.
"""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import yaml

from depth import rowkey
from depth.attendance import LIVE_SECONDS
from depth.storage.bigtable import BigtableStore
from depth.storage.sqlite import SqliteStore
from tests import commands, stored_rows
from tests.commands import ROOT
from tests.orchestra import TABLE, Deployment, Run, Site, until

AUTOMATIONS = ROOT / "deploy" / "automations.yaml"
GAP_OPENED = "depth.gap.opened"
NEVER_STARTED = "depth-run-never-started"
ABSENCES = 6
DELAYS = (0, 10, 30, 60)
HOLE = 5
OLD_DAYS = 4
RELAY_SECONDS = 45
SELDOM_SECONDS = 300
_LIVE_SECONDS = 240.0


def live(site: Site, name: str, count: int = 1) -> list[Run]:
    """Wait until so many runs of a scene collect and have stored some seconds; give them."""

    def collecting() -> list[Run]:
        known = {one.scheduled for one in site.presences(name) if one.state == "chained" and one.last_epoch}
        return [run for run in site.runs(name) if run.state == "Running" and int(run.due) in known]

    until(lambda: len(collecting()) >= count and len(site.epochs(name)) >= 3, _LIVE_SECONDS)
    return collecting()


@dataclass(frozen=True)
class Killed:
    """One run of a scene was killed.

    Attributes:
        live_after: seconds from the start of the worker until the first run had stored rows.
        asked_after: seconds until a new run was asked for.
        stored_after: seconds until the store had acknowledged rows of the new run.
        missing: seconds that are missing afterwards.
        causes: of the gaps that `flows/verify.py` then finds.
    """

    live_after: float
    asked_after: float
    stored_after: float
    missing: list[int]
    causes: set[str]


def kill_one(site: Site, name: str, count: int) -> Killed:
    """Have so many collectors live, then kill the newest."""
    began = time.time()
    for _ in range(count):
        site.ask("collect", name, time.time())
        time.sleep(1.1)  # they differ by the second
    runs = live(site, name, count)
    first = site.stored(runs[0])
    killed = site.kill(runs[-1])
    until(lambda: len(site.runs(name)) > count, 120)
    new = site.runs(name)[-1]
    if count == 1:
        stored = site.stored(new)
        until(lambda: site.epochs(name)[-1] > stored + 5, 120)
    else:
        stored = killed
        until(lambda: site.runs(name)[-1].state not in {"Scheduled", "Late", "Submitting", "Pending"}, 120)
    # Until then the killed one counts as live, and what it might still bring as pending.
    time.sleep(max(0.0, killed + LIVE_SECONDS + 1 - time.time()))
    missing = site.missing(name)
    seen = Killed(first - began, new.created - killed, stored - killed, missing, causes(site, name))
    if name != "one":  # it lives on, until the server is away
        site.finish(name)
    return seen


def causes(site: Site, name: str) -> set[str]:
    """Check a scene's rows with the command; give the causes of what is missing between them."""
    epochs = site.epochs(name)
    arguments = ["--start", str(epochs[0]), "--end", str(epochs[-1]), "--grace", "0", "--json"]
    ended = commands.run("verify", arguments, site.folder / name, **site.files(name))
    [found] = [json.loads(line) for line in ended.out.splitlines()]
    return {gap["cause"] for gap in found["gaps"]}


def relay(site: Site) -> list[int]:
    """Play three hand-overs; give the seconds that are missing."""
    until(lambda: site.states("relay").count("Completed") >= 3, 420)
    return site.missing("relay")


@dataclass(frozen=True)
class Crashes:
    """Every process of a deployment was killed as soon as it was there.

    Attributes:
        states: of its runs, the last one being due only later.
        waits: seconds from each crash until the run in its place was due.
    """

    states: list[str]
    waits: list[float]


def crash_at_once(site: Site) -> Crashes:
    """Have a run that crashes whenever it starts, until the fourth crash has been answered."""
    over = threading.Event()

    def executioner() -> None:
        while not over.wait(0.5):
            for run in site.runs("crash"):
                with suppress(ValueError, ProcessLookupError):
                    site.kill(run)

    with ThreadPoolExecutor() as pool:
        killing = pool.submit(executioner)
        try:
            site.ask("collect", "crash", time.time())
            until(lambda: site.states("crash").count("Crashed") >= len(DELAYS), 300)
            with suppress(TimeoutError):  # then there is none, which a test will say
                until(lambda: len(site.runs("crash", ahead=120)) > len(DELAYS), 60)
            time.sleep(5)  # a loop would show
            runs = site.runs("crash", ahead=120)
        finally:
            over.set()
        killing.result()
    site.cancel(runs[-1])
    waits = [later.due - run.ended for run, later in pairwise(runs) if run.ended]
    return Crashes([run.state for run in runs], waits)


def away(site: Site) -> dict[str, list[Run]]:
    """Have runs of six hours wait for a worker, then start it; give the runs."""
    now = int(time.time())
    hour = now - now % 3600
    names = ["away", "verify-away"]
    for ago in range(ABSENCES):
        site.ask("verify", "verify-away", hour - 3600 * ago)
        site.ask("collect", "away", hour - 3600 * ago)
    site.stack.start_worker("depth-away", "away")
    until(lambda: {state for name in names for state in site.states(name)} <= {"Skipped", "Failed", "Running"}, 240)
    live(site, "away")
    until(lambda: site.states("away").count("Running") == 1, 60)
    runs = {name: site.runs(name) for name in names}
    for name in names:
        site.finish(name)
    return runs


@dataclass(frozen=True)
class Together:
    """A worker and its flow were killed together, and the worker was started again.

    Attributes:
        said: what the boot command said, twice before the start.
        killed: when.
        stored_after: seconds until the store had acknowledged rows of the new run.
    """

    said: list[str]
    killed: float
    stored_after: float


def kill_together(site: Site) -> Together:
    """Kill a worker with its flow, and boot again."""
    site.ask("collect", "together", time.time())
    site.stack.start_worker("depth-together", "together")
    live(site, "together")
    site.kill_worker("together")
    killed = time.time()
    said = [site.boot("collect/together"), site.boot("collect/together")]
    site.stack.start_worker("depth-together", "together")
    stored = site.stored(site.runs("together")[-1])
    return Together(said, killed, stored - killed)


def find_crashed(site: Site) -> Run:
    """Wait until the server knows of the run that died with its worker; give it."""
    until(lambda: site.states("together")[0] == "Crashed", 300)
    site.finish("together")
    return site.runs("together")[0]


def never_start(site: Site) -> list[Run]:
    """Have a run taken by a worker that never starts it; give it, and the one in its place.

    The automation that we ship has a copy for this run alone, with less patience.
    """
    site.ask("collect", "stuck", time.time())
    [stuck] = site.runs("stuck")
    [shipped] = [
        each for each in yaml.safe_load(AUTOMATIONS.read_text())["automations"] if each["name"] == NEVER_STARTED
    ]
    trigger = shipped["trigger"] | {"match": {"prefect.resource.id": f"prefect.flow-run.{stuck.id}"}, "within": 15}
    site.request("POST", "automations/", shipped | {"name": "impatient", "trigger": trigger})
    site.request("POST", f"flow_runs/{stuck.id}/set_state", {"state": {"type": "PENDING"}})
    until(lambda: site.states("stuck")[0] == "Crashed", 120)
    until(lambda: len(site.runs("stuck")) > 1, 60)
    return site.runs("stuck")


def fail(site: Site, told: list[str]) -> list[str]:
    """Let a check fail twice; give what the chat was told."""
    for _ in range(2):
        site.ask("verify", "verify-failing", time.time())
    until(lambda: site.states("verify-failing") == ["Failed"] * 2 and told, 300)
    time.sleep(10)
    return told


@dataclass(frozen=True)
class Scheduled:
    """Flows whose schedule alone started them.

    Attributes:
        verified: the first run of verify.
        rolled: the first run of rollup.
        artifacts: that the two left.
        events: of gaps that were opened, by the server's count.
    """

    verified: Run
    rolled: Run
    artifacts: set[str]
    events: int


def by_schedule(site: Site) -> Scheduled:
    """Wait for what a schedule starts over an hour with a hole."""
    until(lambda: all(_ended(site, name) for name in ("rows.verify", "rows.rollup")), SELDOM_SECONDS + 180)
    verified, rolled = _ended(site, "rows.verify")[0], _ended(site, "rows.rollup")[0]
    until(lambda: site.events(GAP_OPENED), 60)
    artifacts = site.artifacts(verified) | site.artifacts(rolled)
    return Scheduled(verified, rolled, artifacts, site.events(GAP_OPENED))


def _ended(site: Site, name: str) -> list[Run]:
    return [run for run in site.runs(name) if run.ended and run.state != "Skipped"]  # a busy machine is late


def fill(site: Site) -> None:
    """Store two hours of rows up to now, but for a hole ten minutes ago."""
    now = int(time.time())
    hole = range(now - 600, now - 600 + HOLE)

    async def write() -> None:
        store = SqliteStore(site.folder / "rows" / "depth.db")
        await stored_rows.store_rows(store, [row for row in stored_rows.rows(now - 7200, now) if row.epoch not in hole])
        await store.close()

    site.files("rows")
    asyncio.run(write())


def into_bigtable(site: Site, place: dict[str, str]) -> list[int]:
    """Collect into Bigtable; give the epochs that it holds then."""
    site.ask("collect", "bigtable", time.time(), {"duration": 15, "relay": False})
    until(lambda: site.states("bigtable") == ["Completed"], 300)

    async def read() -> list[int]:
        project, instance = place["BIGTABLE_PROJECT_ID"], place["BIGTABLE_INSTANCE_ID"]
        store = BigtableStore(project, instance, None, place["BIGTABLE_EMULATOR_HOST"])
        found = store.scan(TABLE, *rowkey.bounds(0, 9_999_999_999))
        epochs = [rowkey.decode(record.key)[0] async for record in found]
        await store.close()
        return epochs

    return asyncio.run(read())


@dataclass(frozen=True)
class Outage:
    """The server was away for a minute, while collectors lived and one was to hand over.

    Attributes:
        missing: seconds, of two collectors.
        uploads: that began in that minute, as the server knows afterwards.
        states: of one collector's runs.
        old: runs and events that were four days old when it came back, and that it still has.
    """

    missing: dict[str, list[int]]
    uploads: int
    states: list[str]
    old: tuple[int, int]


def outage(site: Site) -> Outage:
    """Kill the server for 60 s."""
    [run] = live(site, "one")
    before = time.time() - 20
    began, end = site.restart_server_after(60, lambda: site.make_old("verify-failing", GAP_OPENED, OLD_DAYS))
    until(lambda: all(site.epochs(name)[-1] > end + 10 for name in ("one", "relay")), 60)
    until(lambda: _begun(site, run, began, end) >= 20, 90)
    until(lambda: any(one.due > end and one.state == "Running" for one in site.runs("relay")), 120)
    with suppress(TimeoutError):  # what is left is looked at
        until(lambda: not any(_old(site)), 60)
    missing = {name: site.missing(name, before) for name in ("one", "relay")}
    return Outage(missing, _begun(site, run, began, end), [one.state for one in site.runs("one")], _old(site))


def _old(site: Site) -> tuple[int, int]:
    return len(site.runs("verify-failing")), site.events(GAP_OPENED, older=(OLD_DAYS - 1) * 86_400)


def _begun(site: Site, run: Run, start: float, end: float) -> int:
    return sum(start <= began < end for began, _ in site.uploads(run))


def deployments(emulator: dict[str, str]) -> list[Deployment]:
    """List what the scenes need; what has a schedule is first due half a minute from now, checks a minute."""
    relays, checks = (datetime.fromtimestamp(time.time() + ahead, UTC).isoformat() for ahead in (30, 60))
    often = {"interval": RELAY_SECONDS, "anchor_date": relays}
    seldom = {"interval": SELDOM_SECONDS, "anchor_date": checks}
    return [
        Deployment("one"),
        Deployment("two", {"replicas": 2}),
        Deployment("crash"),
        Deployment("relay", {"duration": RELAY_SECONDS}, often),
        Deployment("away", pool="depth-away"),
        Deployment("verify-away", {"period": 3600}, pool="depth-away", of="verify-recent"),
        Deployment("together", pool="depth-together"),
        Deployment("stuck", pool="depth-nobody"),
        Deployment("verify-failing", of="verify-recent"),
        Deployment("rows.verify", {"period": SELDOM_SECONDS}, seldom, of="verify-recent"),
        Deployment("rows.rollup", {}, seldom, of="rollup-hourly"),
        Deployment("bigtable", env=emulator),
    ]
