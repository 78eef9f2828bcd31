"""`python -m flows.boot`, as a unit runs it before its worker."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import _runs, boot
from tests import commands

pytestmark = pytest.mark.commands


def test_without_prefect_it_says_so(tmp_path: Path) -> None:
    """Exit 0 and one line: a worker that starts must not be held up."""
    ended = subprocess.run(
        [sys.executable, "-m", "flows.boot"],
        env=commands.environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "PREFECT_API_URL is not set: no run is asked for\n")


def test_with_a_server_that_does_not_answer_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 0 after bounded patience."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}/api"
    monkeypatch.setattr(_runs, "_PATIENCE_SECONDS", 1.0)
    with temporary_settings({PREFECT_API_URL: url}):
        assert boot.main([]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"Prefect at {url} does not answer (")
    assert line.endswith("no run is asked for, the next of the schedule collects")


def test_bad_usage_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    """The only way to fail."""
    assert boot.main(["--deploymnt", "x"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "--deploymnt" in captured.err
