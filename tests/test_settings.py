"""The environment: what is taken, what is refused in one line, and what counts where nothing is set."""

import socket
from pathlib import Path

import pytest

import settings
from depth.errors import UsageError
from depth.options import CollectOptions
from settings import PROJECT_ROOT, Settings


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the caller's, and no file `.env`."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)


def test_without_anything_set_it_collects_from_binance_into_files_of_the_project() -> None:
    """SQLite and spool in the project's folder `data`, api.binance.com, two sockets."""
    env = settings.load()
    assert (env.db_backend, env.connections) == ("sqlite", 2)
    assert env.sqlite_path == PROJECT_ROOT / "data" / "depth.db"
    assert env.spool_path == PROJECT_ROOT / "data" / "spool.db"
    assert env.binance_rest_url == "https://api.binance.com"
    assert env.binance_ws_url == "wss://stream.binance.com:9443"
    assert env.flush_seconds is None


def test_relative_paths_are_the_projects_wherever_the_command_is_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A path resolves against the project root, an absolute one and one from the home folder stay what they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLITE_PATH", "somewhere/depth.db")
    monkeypatch.setenv("SPOOL_PATH", str(tmp_path / "spool.db"))
    monkeypatch.setenv("HOME", str(tmp_path))
    env = settings.load()
    assert env.sqlite_path == PROJECT_ROOT / "somewhere" / "depth.db"
    assert env.spool_path == tmp_path / "spool.db"
    monkeypatch.setenv("SQLITE_PATH", "~/depth.db")
    assert settings.load().sqlite_path == tmp_path / "depth.db"


@pytest.mark.parametrize(
    ("rest", "stream"),
    [
        ("https://api.binance.com", "wss://stream.binance.com:9443"),
        ("https://data-api.binance.vision", "wss://data-stream.binance.vision"),
        ("https://api.binance.us", "wss://stream.binance.us:9443"),
        ("http://127.0.0.1:18080", "ws://127.0.0.1:18080"),
        ("http://[::1]:18080", "ws://[::1]:18080"),
    ],
)
def test_every_host_of_the_contract_is_taken(monkeypatch: pytest.MonkeyPatch, rest: str, stream: str) -> None:
    """Binance, its public data hosts, binance.us and a loopback server; a slash at the end does not matter."""
    monkeypatch.setenv("BINANCE_REST_URL", rest + "/")
    monkeypatch.setenv("BINANCE_WS_URL", stream)
    env = settings.load()
    assert (env.binance_rest_url, env.binance_ws_url) == (rest, stream)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BINANCE_REST_URL", "https://api.binance.com/api/v3"),
        ("BINANCE_REST_URL", "https://api.binance.com?x=1"),
        ("BINANCE_REST_URL", "https://api.binance.com#x"),
        ("BINANCE_REST_URL", "api.binance.com"),
        ("BINANCE_REST_URL", "ftp://api.binance.com"),
        ("BINANCE_REST_URL", "wss://stream.binance.com:9443"),
        ("BINANCE_REST_URL", "https://me:secret@api.binance.com"),
        ("BINANCE_REST_URL", "https://api.binance.com:port"),
        ("BINANCE_REST_URL", "https://api.binance.com:99999"),
        ("BINANCE_REST_URL", "http://"),
        ("BINANCE_WS_URL", "https://api.binance.com"),
        ("BINANCE_WS_URL", "wss://stream.binance.com:9443/ws"),
        ("DB_BACKEND", "mysql"),
        ("SPOOL_MAX_MB", "0"),
        ("SPOOL_MAX_MB", "many"),
        ("CONNECTIONS", "0"),
        ("CONNECTIONS", "11"),
        ("FLUSH_SECONDS", "0"),
        ("FLUSH_SECONDS", "nan"),
        ("RETENTION_DAYS", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_what_cannot_be_is_refused_by_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """One line that begins with the variable as it is spelt in the environment."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError) as refused:
        settings.load()
    assert str(refused.value).startswith(f"{variable}: ")
    assert "\n" not in str(refused.value)


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two mistakes are one line with both."""
    monkeypatch.setenv("DB_BACKEND", "mysql")
    monkeypatch.setenv("CONNECTIONS", "none")
    with pytest.raises(UsageError, match=r"DB_BACKEND: .*; CONNECTIONS: "):
        settings.load()


def test_an_empty_variable_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compose file passes variables on that nobody has set."""
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", "")
    monkeypatch.setenv("CONNECTIONS", "")
    env = settings.load()
    assert (env.bigtable_emulator_host, env.connections) == (None, 2)


def test_who_is_told_is_a_secret_wherever_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings nor what is made of them say an address or a key."""
    for name in ("ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET", "ALERT_URLS", "HEARTBEAT_URL"):
        monkeypatch.setenv(name, f"https://s3cr3t/{name}")
    env = settings.load()
    plan = env.plan(CollectOptions())
    assert "s3cr3t" not in f"{env!r} {env} {env.model_dump()} {env.model_dump_json()} {env.alerts()!r} {plan!r}"
    assert plan.alerts.webhook_url == "https://s3cr3t/ALERT_WEBHOOK_URL"
    assert plan.alerts.heartbeat_url == "https://s3cr3t/HEARTBEAT_URL"


def test_what_is_wrong_between_two_settings_says_no_third(monkeypatch: pytest.MonkeyPatch) -> None:
    """Least of all a secret."""
    monkeypatch.setenv("SPOOL_PATH", "data/depth.db")
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://s3cr3t/")
    with pytest.raises(UsageError, match=r"^SPOOL_PATH and SQLITE_PATH name the same file") as refused:
        settings.load()
    assert "s3cr3t" not in str(refused.value)


def test_an_installation_is_told_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the group and the backend; what several machines share in a Bigtable has one name for all of them."""
    monkeypatch.setenv("COLLECTOR_GROUP", "vm-1")
    here = settings.load().alerts()
    assert (here.environment, here.installation) == ("vm-1/sqlite", "vm-1/sqlite")
    monkeypatch.setenv("BIGTABLE_PROJECT_ID", "p")
    monkeypatch.setenv("BIGTABLE_INSTANCE_ID", "i")
    there = settings.load().alerts("bigtable")
    assert (there.environment, there.installation) == ("vm-1/bigtable", "p/i")
    monkeypatch.delenv("COLLECTOR_GROUP")
    assert settings.load().alerts().environment == f"{socket.gethostname()}/sqlite"


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not ours is no mistake."""
    monkeypatch.setenv("DB_PASSWORD", "secret")
    settings.load()


def test_a_file_in_the_project_root_counts_less_than_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`.env` sets what the environment does not."""
    (tmp_path / ".env").write_text("CONNECTIONS=3\nSPOOL_MAX_MB=7\nUNKNOWN=1\n")
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")
    monkeypatch.setenv("CONNECTIONS", "4")
    env = settings.load()
    assert (env.connections, env.spool_max_mb) == (4, 7)


def test_a_slip_in_the_file_is_told_once_and_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is no setting of ours and like none of them is somebody else's."""
    file = tmp_path / ".env"
    file.write_text("ALERT_WEBHOOK=https://example.com\nRETENTION=9\nPREFECT_API_URL=http://a/api\nDB_PASSWORD=b\n")
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    for _ in range(2):
        assert settings.load().retention_days is None
    slips = "ALERT_WEBHOOK (is ALERT_WEBHOOK_URL meant?), RETENTION (is RETENTION_DAYS meant?)"
    assert caplog.messages == [f"{file}: no setting has the name {slips}"]
