"""A real Prefect server, as a child process with a database of its own and the settings that we ship."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.stack import Stack, free_port
from tests import commands


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a server; it starts in 10 to 40 s.

    Args:
        folder: for its database and its log.

    Yields:
        The address of its API, as PREFECT_API_URL takes it.
    """
    stack = Stack(folder, commands.environment(folder))
    try:
        stack.start_server(free_port(0))
        yield stack.api
    finally:
        stack.down()
