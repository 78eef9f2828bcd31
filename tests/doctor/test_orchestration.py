"""What the doctor says of Prefect: its versions, and its server."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from depth.doctor import orchestration
from tests.doctor.conftest import the

pytestmark = pytest.mark.commands


@contextmanager
def serving(status: int, body: bytes) -> Iterator[str]:
    """Run a web server that answers everything alike; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _own_prefect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No profile and no variable of the caller's; a machine that is busy with other tests may take its time."""
    monkeypatch.setattr(orchestration, "_SETTINGS_SECONDS", 110.0)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_API_KEY", "PREFECT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


async def test_what_the_lock_installs_is_known_to_work() -> None:
    found = the("versions", await orchestration.check())
    assert found.level == "ok"
    assert "prefect 3.8.8" in found.text


async def test_another_version_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody has upgraded by hand what only works in one version."""
    (tmp_path / "fastapi-0.155.0.dist-info").mkdir()
    (tmp_path / "fastapi-0.155.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: fastapi\nVersion: 0.155.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = orchestration._versions()
    assert found.level == "fail"
    assert found.text == "not known to work: fastapi 0.155.0 (not ==0.141.1): make setup"


async def test_a_package_that_is_missing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is installed, so what it needs cannot be told either."""
    monkeypatch.setattr(sys, "path", [])
    found = orchestration._versions()
    assert found.level == "fail"
    assert found.text.endswith("is not installed: make setup")


async def test_without_an_address_commands_run_without_prefect() -> None:
    found = the("prefect", await orchestration.check())
    assert (found.level, found.text) == ("ok", "PREFECT_API_URL is not set: commands run without Prefect")


async def test_a_server_of_the_same_version_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(200, b'"3.8.8"') as url:
        monkeypatch.setenv("PREFECT_API_URL", url)
        found = the("prefect", await orchestration.check())
    assert (found.level, found.text) == ("ok", f"{url} answers, version 3.8.8")


async def test_the_address_of_a_profile_counts_too(tmp_path: Path) -> None:
    """As `prefect config set` writes it."""
    with serving(200, b'"3.8.8"') as url:
        profiles = f'active = "here"\n[profiles.here]\nPREFECT_API_URL = "{url}"\n'
        (tmp_path / "profiles.toml").write_text(profiles)
        found = the("prefect", await orchestration.check())
    assert (found.level, found.text) == ("ok", f"{url} answers, version 3.8.8")


async def test_a_server_of_another_version_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(200, b'"3.9.0"') as url:
        monkeypatch.setenv("PREFECT_API_URL", url)
        found = the("prefect", await orchestration.check())
    assert found.level == "warn"
    assert "runs 3.9.0, this client is 3.8.8" in found.text


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b"", "set PREFECT_API_AUTH_STRING"),
        (404, b"", "is no Prefect API (HTTP 404)"),
        (200, b"<html>", "is no Prefect API (HTTP 200)"),
    ],
)
async def test_what_is_no_server_for_us_fails(
    status: int, body: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(status, body) as url:
        monkeypatch.setenv("PREFECT_API_URL", url)
        found = the("prefect", await orchestration.check())
    assert found.level == "fail"
    assert says in found.text


async def test_a_server_that_is_not_there_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    found = the("prefect", await orchestration.check())
    assert found.level == "fail"
    assert "start the server, or correct or unset PREFECT_API_URL" in found.text


async def test_settings_that_prefect_itself_cannot_read_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("PREFECT_API_REQUEST_TIMEOUT", "soon")
    found = the("prefect", await orchestration.check())
    assert found.level == "fail"
    assert "prefect config view" in found.text


async def test_settings_that_take_too_long_to_read_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect is imported for them, which a busy machine may not do in time."""
    monkeypatch.setattr(orchestration, "_SETTINGS_SECONDS", 0.01)
    found = the("prefect", await orchestration.check())
    assert found.level == "warn"
    assert "prefect config view" in found.text


@pytest.mark.alone
async def test_the_real_server_is_ok(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    found = the("prefect", await orchestration.check())
    assert (found.level, found.text) == ("ok", f"{prefect_api} answers, version 3.8.8")
