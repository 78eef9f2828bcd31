"""`./run.sh`: a new container replaces the old one once it captures, and not before."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from settings import Settings
from tests.commands import ROOT

pytestmark = pytest.mark.commands


@dataclass
class Docker:
    """The stand-in, and what it was asked."""

    folder: Path

    @property
    def state(self) -> dict[str, Any]:
        path = self.folder / "state.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"calls": [], "containers": {}}
        return found

    def calls(self, name: str) -> list[list[str]]:
        return [call for call in self.state["calls"] if call[0] == name]

    def run(
        self, *arguments: str, image: str = "well-after-0:latest", **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``./run.sh`` with the stand-in on PATH."""
        environment = {name: value for name, value in os.environ.items() if name.upper() not in passed()}
        environment |= {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "DOCKER_STATE": str(self.folder / "state.json"),
            "IMAGE": image,
            "FOLLOW": "0",
            "PATIENCE": "3",
        }
        return subprocess.run(
            [str(ROOT / "run.sh"), *arguments],
            env=environment | settings,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def passed() -> set[str]:
    """Name the settings that the script passes on."""
    text = (ROOT / "run.sh").read_text().split("settings=(")[1].split(")")[0]
    return set(text.split())


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    """No container yet."""
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("docker.py")} "$@"\n')
    program.chmod(0o755)
    return Docker(tmp_path)


def test_it_builds_and_starts_with_the_options_given(docker: Docker) -> None:
    """The flags of the original; the log is shown, and the container has the original's name."""
    done = docker.run("--step", "0.00002", "--steps", "40", "--interval", "1", BIGTABLE_PROJECT_ID="poly-collector")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the log of binance-collector\n"
    assert list(docker.state["containers"]) == ["binance-collector"]
    [built] = docker.calls("build")
    assert built == ["build", "--tag", "well-after-0:latest", str(ROOT)]
    [started] = docker.calls("run")
    collect = ["python", "-m", "depth", "collect", "--step", "0.00002", "--steps", "40", "--interval", "1"]
    assert started[-len(collect) :] == collect
    assert started[started.index("--restart") + 1] == "unless-stopped"
    assert started[started.index("--volume") + 1] == "depth-data:/app/data"
    assert "BIGTABLE_PROJECT_ID" in started
    assert "BIGTABLE_INSTANCE_ID" not in started


def test_the_old_container_goes_once_the_new_one_captures(docker: Docker) -> None:
    """Both run for a while: no second is lost between them."""
    assert docker.run().returncode == 0
    before = len(docker.state["calls"])
    assert docker.run(image="well-after-1:latest").returncode == 0
    calls = [call[0] for call in docker.state["calls"][before:] if call[0] not in {"container", "build", "logs"}]
    assert calls == ["run", "exec", "exec", "stop", "rm", "rename"]
    assert docker.state["containers"]["binance-collector"]["image"] == "well-after-1:latest"


@pytest.mark.parametrize("image", ["never:latest", "ends:latest"])
def test_a_new_container_that_captures_nothing_is_taken_away_and_the_old_one_stays(docker: Docker, image: str) -> None:
    """Exit 1, its last lines, and the old one was not stopped."""
    assert docker.run().returncode == 0
    done = docker.run(image=image)
    assert done.returncode == 1
    assert "the old one goes on" in done.stderr
    assert "the log of binance-collector-next" in done.stderr
    assert docker.calls("stop") == []
    assert docker.state["containers"]["binance-collector"]["running"]
    assert list(docker.state["containers"]) == ["binance-collector"]


def test_without_an_old_one_the_failure_says_whom_to_ask(docker: Docker) -> None:
    done = docker.run(image="never:latest")
    assert done.returncode == 1
    assert "python -m depth doctor" in done.stderr
    assert docker.state["containers"] == {}


def test_what_an_interrupted_replacement_left_is_taken_away(docker: Docker) -> None:
    """Somebody pressed Ctrl-C: the next call begins anew."""
    assert docker.run().returncode == 0
    left = docker.state
    left["containers"]["binance-collector-next"] = {"image": "never:latest", "asked": 0, "running": True}
    (docker.folder / "state.json").write_text(json.dumps(left))
    assert docker.run().returncode == 0
    assert list(docker.state["containers"]) == ["binance-collector"]


def test_without_docker_it_says_so(tmp_path: Path) -> None:
    """One line, exit 2."""
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    done = subprocess.run(
        ["/bin/bash", str(ROOT / "run.sh")], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "docker is not installed: apt-get install docker.io\n")


def test_every_setting_is_passed_on() -> None:
    """A new one is not forgotten here."""
    assert passed() == {name.upper() for name in Settings.model_fields}
