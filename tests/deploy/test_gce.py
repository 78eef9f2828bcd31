"""Terraform and the scripts of a Google Cloud machine, as far as they can be held against something without a cloud."""

import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from depth import tables
from settings import Settings
from tests.commands import ROOT

GCE = ROOT / "deploy" / "gce"
FILES = sorted(GCE.glob("*.tf"))


@functools.cache
def parsed() -> dict[str, Any]:
    """Read all files into one: kind to what there is of it."""
    found: dict[str, list[Any]] = {}
    for path in FILES:
        for kind, blocks in hcl2.loads(path.read_text()).items():
            found.setdefault(kind, []).extend(blocks if isinstance(blocks, list) else [blocks])
    return found


def resources() -> dict[str, dict[str, Any]]:
    """Give each resource by ``type.name``."""
    return {
        f"{kind}.{name}".replace('"', ""): body
        for block in parsed()["resource"]
        for kind, named in block.items()
        for name, body in named.items()
        if not kind.startswith("__")
    }


def test_the_files_are_formatted() -> None:
    """`terraform fmt -check`; to validate them it would have to fetch its providers."""
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("NO TERRAFORM, ITS FILES ARE PARSED ONLY")
    done = subprocess.run([terraform, "fmt", "-check", "-diff", str(GCE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_variable_is_described_and_used() -> None:
    text = "\n".join(path.read_text() for path in FILES)
    variables = [(name.strip('"'), body) for block in parsed()["variable"] for name, body in block.items()]
    assert len(variables) > 10
    for name, body in variables:
        assert body.get("description"), name
        assert f"var.{name}" in text, name


def test_what_is_referred_to_is_there() -> None:
    """Each `google_….name` of an expression is a resource of these files."""
    there = set(resources())
    text = "\n".join(path.read_text() for path in FILES)
    named = set(re.findall(r"\b(google_\w+\.\w+)\b(?=[.\[\],\s)])", text))
    assert named - there == set()


def test_data_are_protected() -> None:
    """Neither tables, nor instance, nor the data disk go with a `terraform destroy`."""
    found = resources()
    assert found["google_bigtable_instance.depth"]["deletion_protection"] is True
    assert "PROTECTED" in found["google_bigtable_table.depth"]["deletion_protection"]
    assert found["google_compute_disk.data"]["lifecycle"][0]["prevent_destroy"] is True
    assert found["google_compute_instance.collector"]["deletion_protection"] is True


def test_nothing_but_ssh_through_iap_is_let_in() -> None:
    """The network is our own, so there are no rules of a default one."""
    rules = {name: body for name, body in resources().items() if name.startswith("google_compute_firewall")}
    assert list(rules) == ["google_compute_firewall.iap_ssh"]
    [rule] = rules.values()
    assert [cidr.strip('"') for cidr in rule["source_ranges"]] == ["35.235.240.0/20"]
    assert [port.strip('"') for port in rule["allow"][0]["ports"]] == ["22"]


def test_the_identity_may_not_administer() -> None:
    """It reads and writes rows, writes logs, reads its secrets and releases: no owner, editor or admin."""
    roles = {str(body["role"]).strip('"') for body in resources().values() if "role" in body}
    assert roles == {
        *("roles/bigtable.user", "roles/logging.logWriter", "roles/secretmanager.secretAccessor"),
        "roles/artifactregistry.reader",
    }


def test_the_companions_are_those_of_the_code() -> None:
    text = (GCE / "bigtable.tf").read_text()
    [ends] = re.findall(r"companions = (\[.*\])", text)
    named = {tables.collectors_table("t"), tables.gaps_table("t"), tables.hourly_table("t"), "t"}
    assert {f"t{end}" for end in json.loads(ends)} == named


def test_settings_of_the_machine_are_settings() -> None:
    """What metadata and depth.env set is what is read; PREFECT_ ones are Prefect's."""
    block = (GCE / "machine.tf").read_text().split("depth-settings")[1].split("var.settings")[0]
    names = set(re.findall(r"^\s+([A-Z_]+)\s+=", block, re.MULTILINE))
    names |= set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / "deploy" / "depth.env").read_text(), re.MULTILINE))
    ours = {name for name in names if not name.startswith("PREFECT_")}
    assert ours
    assert ours - {name.upper() for name in Settings.model_fields} == set()


def test_metadata_that_is_read_is_metadata_that_is_set() -> None:
    """Startup script and machine agree on names; the release is set by release.sh."""
    read = set(re.findall(r"metadata (depth-[a-z-]+)", (GCE / "startup.sh").read_text()))
    written = set(re.findall(r"^\s+(depth-[a-z-]+)\s+=", (GCE / "machine.tf").read_text(), re.MULTILINE))
    assert read - written == {"depth-release"}
    assert "depth-release=" in (GCE / "release.sh").read_text()


def test_the_units_of_the_default_are_there() -> None:
    """Services that a machine starts are units of this repository."""
    services = re.findall(r'"(depth-[a-z]+)(?:@\w+)?"', (GCE / "variables.tf").read_text())
    assert services
    for service in services:
        units = [path.name for path in (ROOT / "deploy" / "systemd").glob(f"{service}*.service")]
        assert units, service


def test_the_log_agent_s_configuration_is_yaml() -> None:
    pipelines = yaml.safe_load((GCE / "ops-agent.yaml").read_text())["logging"]["service"]["pipelines"]
    assert pipelines["depth"]["receivers"] == ["journal"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_install_makes_a_release_that_collects(tmp_path: Path) -> None:
    """Into another root: lock, code, units; a second release goes beside, and the first stays to go back to."""
    script = str(ROOT / "deploy" / "install.sh")
    told = {"PATH": "/usr/bin:/bin", "DEPTH_ROOT": str(tmp_path), "PYTHON": shutil.which("python3.11") or "python3"}
    network = {name: text for name, text in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_"))}
    for name in ("one", "two"):
        done = subprocess.run([script, name], env=told | network, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    current = tmp_path / "opt/depth/current"
    assert current.readlink() == Path("releases/two")
    assert sorted(path.name for path in (tmp_path / "opt/depth/releases").iterdir()) == ["one", "two"]
    smoke = subprocess.run(
        [current / ".venv/bin/python", current / "deploy/smoke.py"], capture_output=True, text=True, check=False
    )
    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    assert {path.name for path in (tmp_path / "etc/systemd/system").iterdir()} == {
        path.name for path in (ROOT / "deploy" / "systemd").glob("*.service")
    }
    again = subprocess.run([script, "two"], env=told, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "is there already" in again.stderr
