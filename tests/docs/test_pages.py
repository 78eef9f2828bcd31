"""README and the pages of operation: every command is known, those that can run here are run as typed.

A command that is not named in `KNOWN` fails the test: a page cannot promise what nobody has looked at.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from depth.command import INTERRUPTED
from depth.exchange.simulated import Handle, Options, SyntheticSource, threaded
from tests import emulator, prefect_server
from tests.commands import ROOT

PAGES = ["README.md", "docs/OPERATIONS.md", "SECURITY.md", "deploy/aws.md"]
_PROGRAMS_OF_OTHERS = {
    *("aws", "cd", "cp", "docker", "echo", "gcloud", "mkdir", "printf", "sudo", "terraform"),
}
_RUNS_UNTIL_STOPPED = 5.0
_UP = "make up"
_ON_A_SERVER = ("prefect ", "python -m deploy.automations", "python -m flows.boot")

# What is typed (its beginning) and what comes of it on a new machine: the exit codes that are well; None for one that
# goes on until Ctrl-C, and a reason for one that is not run by this test.
KNOWN: list[tuple[str, "set[int] | str | None"]] = [
    ("make demo", {0}),
    ("make test", "this is it"),
    (_UP, {0}),
    ("make down", {0}),
    (f"EXCHANGE=live {_UP}", {0}),
    (f"FAST=1 {_UP}", {0}),
    (".venv/bin/python flows/collect.py", None),
    (".venv/bin/python -m depth collect", None),
    ("DB_BACKEND=bigtable", None),
    (".venv/bin/python -m depth health", {0, 1}),  # a page may name it where no collector runs any more
    (".venv/bin/python -m depth doctor", {0}),
    (".venv/bin/python -m depth watch", None),
    (".venv/bin/python flows/verify.py --start", {3}),
    (".venv/bin/python flows/verify.py", {0, 3}),
    (".venv/bin/python flows/rollup.py", {0}),
    (".venv/bin/python flows/export.py --start", {1}),  # of a month in which nothing was collected
    (".venv/bin/python flows/export.py --out gs:", {2}),  # it names the package that is missing
    (".venv/bin/python flows/report.py --date", {2}),  # two symbols are collected by then, and one page is named
    (".venv/bin/python flows/report.py --out", {1}),  # of yesterday, when nothing was collected
    ("prefect work-pool create", {0}),
    ("prefect --no-prompt deploy", {0}),
    ("python -m deploy.automations", {0}),
    ("python -m flows.boot", None),
    ("sqlite3 data/depth.db", {0}),
    ("cbt -project=my-project -instance=my-instance createtable", {0, 1}),  # the collector has made two of them
    ("cbt ", {0}),
    ("git archive", {0}),
    ("./run.sh", "tests/deploy/test_run_sh.py"),
    ("deploy/gce/release.sh", "tests/deploy/test_gce.py"),
]


@dataclass(frozen=True)
class Typed:
    """One command of a page."""

    page: str
    text: str

    @property
    def known(self) -> "set[int] | str | None":
        """What `KNOWN` says of it.

        Raises:
            KeyError: nothing.
        """
        for beginning, expected in KNOWN:
            if self.text.startswith(beginning):
                return expected
        if self.text.split()[0] in _PROGRAMS_OF_OTHERS:
            return "a program of others"
        raise KeyError(f"{self.page}: {self.text}")

    def __str__(self) -> str:
        return f"{self.page}: {self.text[:60]}"


def typed(page: str) -> Iterator[Typed]:
    """Read the commands of a page, without comments; a line that ends in a backslash or an open quote goes on."""
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
        pending = ""
        for written in block.splitlines():
            line = re.sub(r"\s+# .*$", "", written)
            pending += line.removesuffix("\\") if line.endswith("\\") else f"{line}\n"
            try:
                shlex.split(pending)
            except ValueError:
                continue  # a quote is open
            if not line.endswith("\\") and (text := pending.strip()):
                yield Typed(page, text)
                pending = ""
        assert not pending.strip(), f"{page}: {pending}"


EVERY = [command for page in PAGES for command in typed(page)]


def test_every_command_is_known_and_every_entry_is_used() -> None:
    for command in EVERY:
        assert command.known is None or command.known
    used = {beginning for command in EVERY for beginning, _ in KNOWN if command.text.startswith(beginning)}
    assert used == {beginning for beginning, _ in KNOWN}


@pytest.mark.parametrize("page", PAGES)
def test_a_shell_can_read_every_block(page: str) -> None:
    """`bash -n`: quotes close, and nothing is half typed."""
    for command in typed(page):
        subprocess.run(["bash", "-n", "-c", command.text], check=True)


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_that_are_named_are_there(page: str) -> None:
    """Scripts that commands call, and links of the text."""
    text = (ROOT / page).read_text()
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (folder / target).exists(), target
    for command in typed(page):
        for script in re.findall(r"(?<![\w/.])(?:deploy|flows)/[\w/]+\.(?:sh|py)", command.text):
            assert (ROOT / script).exists(), script


@pytest.mark.parametrize("page", PAGES)
def test_alerts_settings_and_options_of_the_pages_exist(page: str) -> None:
    """Prometheus alerts that OPERATIONS explains are those that there are."""
    if page == "docs/OPERATIONS.md":
        rules = set(re.findall(r"alert: (\w+)", (ROOT / "deploy/prometheus/alerts.yml").read_text()))
        assert set(re.findall(r"^\| `(Depth\w+)` \|", (ROOT / page).read_text(), re.MULTILINE)) == rules
    for command in typed(page):
        flags = re.findall(r"(?<=\s)--([a-z-]+)", command.text) if "flows/" in command.text else []
        if flags and command.text.startswith(".venv/bin/python flows/"):
            source = (ROOT / command.text.split()[1]).read_text() + (ROOT / "depth/options.py").read_text()
            for flag in flags:
                assert flag.replace("-", "_") in source or f'alias="{flag}"' in source, f"{command}: --{flag}"


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_new_user_walks_through_the_pages(tmp_path: Path) -> None:
    """A clone without an environment, on a machine that reaches the package index: each command, in its order."""
    clone = tmp_path / "depth-collector"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    with ExitStack() as stack:
        exchange = stack.enter_context(
            threaded(SyntheticSource(("BTC/USDT", "ETH/USDT")), Options(weight_limit=100_000))
        )
        environment = new_users(tmp_path, exchange)
        if emulator.find() is not None:
            environment["BIGTABLE_EMULATOR_HOST"] = stack.enter_context(emulator.running())
        walked = [command for command in EVERY if not isinstance(command.known, str)]
        assert walked[0].text == "make demo"
        down = Typed("README.md", "make down")
        stack.callback(walk, down, clone, environment)
        api, wrong = "", []
        for command in walked:
            if command.text.endswith(_UP):
                walk(down, clone, environment)  # they are ways to do the same
            if not command.text.startswith(_ON_A_SERVER):
                wrong += walk(command, clone, environment)
                continue
            api = api or stack.enter_context(prefect_server.running(tmp_path / "server"))
            path = f"{clone / '.venv' / 'bin'}:{environment['PATH']}"
            wrong += walk(command, clone, environment | {"PREFECT_API_URL": api, "PATH": path})
        assert not wrong, "\n\n".join(wrong)


def new_users(folder: Path, exchange: Handle) -> dict[str, str]:
    """Give the environment of somebody who has set nothing but where the exchange is."""
    kept = ("PATH", "PIP_", "UV_", "SSL_", "REQUESTS_CA", "LANG")
    mine = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    mine["PATH"] = ":".join(part for part in mine["PATH"].split(":") if ".venv" not in part)
    return mine | {
        "HOME": str(folder),
        "BINANCE_REST_URL": exchange.rest_url,
        "BINANCE_WS_URL": exchange.ws_url,
        "METRICS_PORT": "0",
        "PORT": "0",
        "PYTHON": shutil.which("python3.11", path=mine["PATH"]) or "python3",
    }


def walk(command: Typed, clone: Path, environment: dict[str, str]) -> list[str]:
    """Type one command and hold its end against what is known of it; tell what is wrong."""
    output = clone / "data" / "walk.log"
    output.parent.mkdir(exist_ok=True)
    with output.open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", command.text],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    try:
        if command.known is None:
            until = time.monotonic() + 120
            while not output.stat().st_size and process.poll() is None and time.monotonic() < until:
                time.sleep(0.2)
            time.sleep(_RUNS_UNTIL_STOPPED)
            if process.poll() is not None:
                return [f"{command.text} ended by itself:\n{output.read_text()[-3000:]}"]
            stop(process)
        code = process.wait(900)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    # bash itself ends by a signal that ended what it ran; a worker that has time to drain ends with 0.
    expected = {0, INTERRUPTED, -signal.SIGINT} if command.known is None else command.known
    assert isinstance(expected, set)
    return [] if code in expected else [f"{command.text} ended with {code}:\n{output.read_text()[-3000:]}"]


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Press Ctrl-C until it ends: a worker drains at the first, and is killed at the second."""
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(45)
            return
