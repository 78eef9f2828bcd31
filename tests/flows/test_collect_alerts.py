"""`python flows/collect.py` tells people, directly and on a server; nothing that it says holds an address."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from depth.exchange.simulated import Options, SyntheticSource, threaded
from tests import commands
from tests.receivers import Receiver, free_port, receiving

pytestmark = [pytest.mark.timeout(180), pytest.mark.commands]

CHAT = "chat-s3cr3t"
SIGNING = "signing-s3cr3t"
SECRETS = (CHAT, SIGNING, "s3cr3t-path", "beat-s3cr3t")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def settings(receiver: Receiver) -> Iterator[dict[str, str]]:
    """Where an exchange is, and who is told."""
    with threaded(SyntheticSource(), Options(weight_limit=100_000)) as handle:
        yield {
            "BINANCE_REST_URL": handle.rest_url,
            "BINANCE_WS_URL": handle.ws_url,
            "COLLECTOR_GROUP": "here",
            "ALERT_WEBHOOK_URL": receiver.url,
            "ALERT_WEBHOOK_SECRET": SIGNING,
            "LOG_LEVEL": "DEBUG",
        }


def says_a_secret(*texts: str) -> bool:
    return any(secret in text for text in texts for secret in SECRETS)


def test_a_run_that_a_person_must_see_to_tells_them_once(
    settings: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """By two commands that fail alike; exit 2 and the same line."""
    for _ in range(2):
        ended = commands.run("collect", ["--symbols", "FOO/USDT"], tmp_path, **settings)
        assert (ended.code, receiver.events) == (2, ["refused.opened"])
        assert receiver.got[0].json["cause"] in ended.error
        assert not says_a_secret(ended.err, ended.out)


def test_with_everybody_dead_it_collects_and_says_no_address(settings: dict[str, str], tmp_path: Path) -> None:
    """Webhook, chat and heartbeat go nowhere; every log line is looked at."""
    dead = {
        "ALERT_WEBHOOK_URL": f"http://127.0.0.1:{free_port()}/s3cr3t-path",
        "ALERT_URLS": f"json://127.0.0.1:{free_port()}/{CHAT}",
        "HEARTBEAT_URL": f"http://127.0.0.1:{free_port()}/beat-s3cr3t",
    }
    well = commands.run("collect", ["--duration", "5"], tmp_path, **settings | dead)
    assert (well.code, "0 rows wait in the spool" in well.err) == (0, True), well.err
    other = commands.run("collect", ["--steps", "20"], tmp_path, **settings | dead)
    assert other.code == 2
    assert "did not get through, it is sent again later" in other.err
    assert not says_a_secret(well.err, well.out, other.err, other.out)
    assert "Traceback" not in well.err + other.err


def test_on_a_server_the_sending_is_a_task_of_the_run(
    settings: dict[str, str], receiver: Receiver, prefect_api: str, tmp_path: Path
) -> None:
    """Named after its message; the run ends as it would without."""
    server = settings | {"PREFECT_API_URL": prefect_api}
    ended = commands.run("collect", ["--symbols", "BAR/USDT"], tmp_path, **server)
    assert (ended.code, receiver.events) == (2, ["refused.opened"]), ended.err
    name = f"alert {receiver.got[0].json['dedup_key']}"
    wanted = {"task_runs": {"name": {"any_": [name]}, "state": {"type": {"any_": ["COMPLETED"]}}}}
    deadline = time.monotonic() + 30  # the server writes task runs down some moments later
    while not (runs := httpx.post(f"{prefect_api}/task_runs/filter", json=wanted).json()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert len(runs) == 1
    kept = [httpx.post(f"{prefect_api}/{what}/filter", json={}).text for what in ("logs", "flow_runs", "task_runs")]
    assert not says_a_secret(ended.err, ended.out, *kept)
