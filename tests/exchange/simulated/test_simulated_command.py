"""`python -m depth.exchange.simulated` as people type it, and the exchange in a thread."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from depth.exchange.simulated import Options, SyntheticSource, threaded
from tests.exchange.simulated.client import recording

pytestmark = pytest.mark.commands

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "depth.exchange.simulated"]


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - a loopback URL of ours
        return json.load(answer)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_says_where_it_is_serves_and_stops_cleanly(number: signal.Signals, code: int) -> None:
    arguments = ["--symbols", "BTC/USDT,SOL/USDT=150.25", "--speed", "60", "--seed", "4"]
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        words = line.split()
        rest = words[3]
        assert line == (
            f"simulated exchange on {rest} and {rest.replace('http', 'ws')}; BTC/USDT, SOL/USDT, seed 4, speed 60\n"
        )
        assert [entry["symbol"] for entry in get(f"{rest}/api/v3/exchangeInfo")["symbols"]] == ["BTCUSDT", "SOLUSDT"]
        assert get(f"{rest}/sim/state")["begun"] is True
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (code, "", "")


def test_it_plays_a_recording() -> None:
    folder = recording("spot-btcusdt-20260630")
    with subprocess.Popen(
        [*COMMAND, "--recording", str(folder), "--shift", "none", "--speed", "max", "--start-after", "1"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.endswith("; BTC/USDT, recording spot-btcusdt-20260630, speed max\n")
        body = get(f"{line.split()[3]}/api/v3/depth?symbol=BTCUSDT&limit=5000")
        assert (body["lastUpdateId"], len(body["bids"])) == (96688017943, 1_000)
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "x"], "invalid int value"),
        (["--symbols", "btc"], "btc is no market"),
        (["--recording", "no/such/folder"], "holds no recording"),
        (["--socket", "2:colour=1"], "write NUMBER:batch=SLOTS,delay_ms=MS"),
        (["--socket", "2:batch=0"], "write NUMBER:batch=SLOTS,delay_ms=MS"),
        (["--speed", "-1"], "must be 0 or more"),
        (["--since"], "since needs a start"),
        (["--colour"], "unrecognized arguments"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    from depth.exchange.simulated.__main__ import main  # noqa: PLC0415 - a command's module is not imported by others

    with pytest.raises(SystemExit) as ended:
        main(arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.count("\n") == 1
    assert words in error


def test_a_taken_port_is_one_line_and_exit_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "--port", port], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on port {port}" in done.stderr


def test_in_a_thread_it_serves_and_takes_faults() -> None:
    with threaded(SyntheticSource(seed=5), Options(speed=10)) as handle:
        assert get(f"{handle.rest_url}/api/v3/ping") == {}
        assert handle.ws_url.startswith("ws://127.0.0.1:")
        handle.do(lambda exchange: exchange.faults.halt())
        assert get(f"{handle.rest_url}/sim/state")["halted"] == ["BTCUSDT"]
        assert handle.do(lambda exchange: exchange.state.snapshots) == 0


def test_in_a_thread_a_taken_port_is_an_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
        threaded(SyntheticSource(), Options(port=taken.getsockname()[1])),
    ):
        pass
