"""What is not Python has its linters, too."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import ROOT
from tests.deploy import imagebuild

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
_MADE_HERE = "binance-collector:latest"


def listed(pattern: str) -> list[Path]:
    """Find files of the repository."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names]


def lint(program: str, *arguments: str | Path) -> None:
    """Run a linter that the lock installs; it must have nothing to say."""
    path = Path(sys.executable).with_name(program)
    done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_hadolint_has_nothing_to_say() -> None:
    lint("hadolint", ROOT / "Dockerfile")


def test_shellcheck_has_nothing_to_say() -> None:
    """Of every script, by its ending and `.ci/run`."""
    scripts = [*listed("*.sh"), ROOT / ".ci" / "run"]
    assert len(scripts) > 1
    lint("shellcheck", *scripts)


def test_every_script_can_be_run() -> None:
    for script in listed("*.sh"):
        assert script.stat().st_mode & 0o111, f"chmod +x {script}"
        assert script.read_text().startswith("#!")


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_service_has_a_health_check_a_restart_policy_and_a_memory_limit(name: str) -> None:
    service = COMPOSE["services"][name]
    assert {"healthcheck", "restart", "mem_limit", "profiles", "logging"} <= service.keys()
    assert service["restart"] == "unless-stopped" or name == "deploy"


def test_ports_are_published_on_this_machine_alone() -> None:
    """What others may reach is for its owner to decide."""
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_what_compose_mounts_and_names_is_there() -> None:
    """Folders and files of the repository, modules, and volumes that are declared."""
    for service in COMPOSE["services"].values():
        if "env_file" in service:
            assert (ROOT / service["env_file"]).exists()
        if service.get("command", [])[:2] == ["python", "-m"]:
            assert find_spec(service["command"][2])
        for mounted in service.get("volumes", ()):
            source = mounted.partition(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
        for needed in service.get("depends_on", {}):
            assert set(COMPOSE["services"][needed]["profiles"]) >= set(service["profiles"])


def test_the_smallest_set_is_one_collector() -> None:
    services = [name for name, service in COMPOSE["services"].items() if "collect" in service["profiles"]]
    assert services == ["collector"]


def test_what_containers_run_and_read_is_there() -> None:
    """Of our own image scripts and modules are sent to its build; files of settings are read where compose runs."""
    sent = {str(path) for path in imagebuild.context(ROOT)}
    ours = [service for service in COMPOSE["services"].values() if service["image"] == _MADE_HERE]
    run = [word for service in ours for word in service["command"] if word.startswith(("deploy/", "deploy."))]
    assert sorted(run) == ["deploy.prefect_server", "deploy/flows.sh", "deploy/worker.sh"]
    assert {word if "/" in word else f"{word.replace('.', '/')}.py" for word in run} <= sent
    read = [service["env_file"] for service in ours if "env_file" in service]
    assert read == ["deploy/prefect-server.env", "deploy/prefect-worker.env"]
    assert [name for name in read if not (ROOT / name).exists()] == []


def test_docker_takes_the_compose_file() -> None:
    """Where the plugin is there; it needs no engine for that."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("NO DOCKER COMPOSE, ITS FILE IS HELD AGAINST NOTHING BUT OUR OWN TESTS")
    for profile in ("collect", "stack"):
        command = [docker, "compose", "--file", str(ROOT / "compose.yaml"), "--profile", profile, "config", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
