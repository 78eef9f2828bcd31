"""A real Prefect server, as a child process with a database of its own."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests import commands

_START_SECONDS = 120.0


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a server; it starts in 10 to 40 s.

    Args:
        folder: for its database and its log.

    Yields:
        The address of its API, as PREFECT_API_URL takes it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    prefect = str(Path(sys.executable).with_name("prefect"))
    command = [prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    environment = commands.environment(folder, PREFECT_SERVER_ANALYTICS_ENABLED="false")
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait(f"{api}/health", server, folder / "server.log")
        yield api
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(url, timeout=1.0).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise TimeoutError(f"the Prefect server does not answer: {log.read_text()[-2000:]}")
