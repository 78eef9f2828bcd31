"""`deploy/worker-stop.sh`: what a worker runs ends before the worker does, and nothing is left."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import psutil
import pytest

from tests.commands import ROOT

pytestmark = pytest.mark.commands

SCRIPT = ROOT / "deploy" / "worker-stop.sh"
# Starts a flow whenever it looks, as a busy worker does; says what each said when it ended.
WORKER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
while True:
    subprocess.Popen([sys.executable, "-c", FLOW], process_group=0)
    time.sleep(0.1)
"""
FLOW = """
import signal, sys, time

signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), print("ended well", flush=True), sys.exit()))
time.sleep(60)
"""


@pytest.fixture
def mark() -> str:
    """Give what a worker and its flows carry in their environment."""
    return uuid4().hex


@pytest.fixture
def worker(mark: str) -> Iterator[subprocess.Popen[str]]:
    """Run one that has begun some flows."""
    command = [sys.executable, "-c", f"FLOW = {FLOW!r}\n{WORKER}"]
    with subprocess.Popen(command, env={"MARK": mark}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        until = time.monotonic() + 30
        while len(psutil.Process(it.pid).children()) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        yield it
        for process in marked(mark):
            process.kill()


def marked(mark: str) -> list[psutil.Process]:
    """Find what lives and carries a mark."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_nothing_is_left_of_a_worker_that_goes_on_starting(worker: "subprocess.Popen[str]", mark: str) -> None:
    """Flows end before the worker, which is told last."""
    ended = subprocess.run([SCRIPT, str(worker.pid)], capture_output=True, text=True, timeout=60, check=False)
    out, _ = worker.communicate(timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert out.count("ended well") >= 1
    assert marked(mark) == []


def test_a_worker_that_has_gone_is_no_error(worker: "subprocess.Popen[str]") -> None:
    """A unit's stop command runs whatever happened."""
    worker.kill()
    worker.wait(10)
    ended = subprocess.run([SCRIPT, str(worker.pid)], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
