"""What a machine of Google Cloud does at each boot, and how a release gets there; the cloud's part is stood in for.

The start-up script is run as it stands, by root in a copy-on-write view of this machine's files.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ROOT

pytestmark = pytest.mark.commands

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SETTINGS = "DB_BACKEND=bigtable\nSPOOL_PATH=/var/lib/depth/spool.db"
# A view of all files in which whatever is written stays in one folder; $1 is the folder, $2 the script.
_IN_A_VIEW = """
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
[ -z "${2:-}" ] || {
    mount --rbind /dev "$1/root/dev"
    mount --rbind /proc "$1/root/proc"
    mount --bind "$1/cloud" "$1/root/$1/cloud"
    exec env -i PATH="$1/cloud/bin:$PATH" CLOUD="$1/cloud" chroot "$1/root" /bin/bash "$2"
}
"""
_INSTALL = """#!/bin/sh
set -e
id depth >/dev/null 2>&1 || useradd --system --user-group --no-create-home depth
mkdir -p "/opt/depth/releases/$1/deploy/gce"
touch "/opt/depth/releases/$1/deploy/gce/ops-agent.yaml"
printf '#!/bin/sh\\nexec systemd-run "$@"\\n' >"/opt/depth/releases/$1/deploy/as-depth.sh"
chmod +x "/opt/depth/releases/$1/deploy/as-depth.sh"
ln -sfn "releases/$1" /opt/depth/current
echo "$0 $1" >>/installed
"""


@dataclass
class Machine:
    """A machine, and the cloud that it is in."""

    folder: Path

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "cloud" / "state.json").read_text())
        return found

    def change(self, **parts: Any) -> None:
        """Change what the cloud holds."""
        (self.folder / "cloud" / "state.json").write_text(json.dumps(self.state | parts))

    def tell(self, **metadata: str) -> None:
        """Set metadata of the instance."""
        told = {f"depth-{name.replace('_', '-')}": text for name, text in metadata.items()}
        self.change(metadata=self.state["metadata"] | told)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.folder / 'cloud' / 'bin'}:{_PATH}"
        return {"PATH": path, "CLOUD": str(self.folder / "cloud")}

    def boot(self) -> "subprocess.CompletedProcess[str]":
        """Switch it on: nothing is mounted, no call was made."""
        self.change(mounted=[], calls=[])
        return self.view(str(ROOT / "deploy" / "gce" / "startup.sh"))

    def view(self, *script: str) -> "subprocess.CompletedProcess[str]":
        """Run a script in the view, or look whether there can be one."""
        unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _IN_A_VIEW, "sh"]
        return subprocess.run(
            [*unshare, str(self.folder), *script],
            env={"PATH": _PATH},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def read(self, path: str) -> str:
        """Read a file that the machine has written."""
        return (self.folder / "upper" / path).read_text()

    def called(self, name: str) -> list[str]:
        """Give the calls of one program since the boot, each a line without its name."""
        return [" ".join(call[1:]) for call in self.state["calls"] if call[0] == name]

    def release(self, name: str) -> None:
        """Put a release where machines look for it, and name it; its scripts stand in for the installation."""
        folder = self.folder / "cloud" / "releases" / "depth" / name
        folder.mkdir(parents=True)
        with tarfile.open(folder / "depth.tar.gz", "w:gz") as archive:
            for script in ("install.sh", "upgrade.sh"):
                about = tarfile.TarInfo(f"deploy/{script}")
                about.size, about.mode = len(_INSTALL), 0o755
                archive.addfile(about, io.BytesIO(_INSTALL.encode()))
        self.tell(release=name)


@pytest.fixture
def cloud(tmp_path: Path) -> Machine:
    """A machine as Terraform has made it: no release was sent yet."""
    for name in ("upper", "work", "root", "cloud/bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in standins():
        program = tmp_path / "cloud" / "bin" / name
        program.write_text(
            f'#!/bin/sh\nexec {sys.executable} -I -S {Path(__file__).with_name("cloud.py")} {name} "$@"\n'
        )
        program.chmod(0o755)
    state: dict[str, Any] = {name: [] for name in ("calls", "formatted", "mounted", "packages")}
    (tmp_path / "cloud" / "state.json").write_text(json.dumps(state | {"metadata": {}, "secrets": {}}))
    machine = Machine(tmp_path)
    machine.tell(settings=SETTINGS, secrets="ALERT_URLS HEARTBEAT_URL", releases="releases", region="asia-southeast1")
    machine.tell(services="depth-collect@a depth-worker", ops_agent="false")
    return machine


def standins() -> list[str]:
    """Name the programs that are stood in for."""
    program = [sys.executable, "-c", "from tests.deploy.cloud import NAMES; print(*NAMES)"]
    told = subprocess.run(program, env=os.environ | {"CLOUD": ""}, cwd=ROOT, capture_output=True, text=True, check=True)
    return told.stdout.split()


@pytest.fixture
def machine(cloud: Machine) -> Machine:
    """The same where this user may give it a view of the files."""
    if os.geteuid() != 0 or (said := cloud.view()).returncode:
        why = "not root" if os.geteuid() != 0 else said.stderr.strip()
        pytest.skip(f"THE START-UP SCRIPT IS NOT RUN: no copy-on-write view of the files ({why})")
    return cloud


def test_the_first_boot_waits_for_a_release(machine: Machine) -> None:
    """Swap, disk and settings are there; nothing is started."""
    done = machine.boot()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "depth: no release yet: send one with deploy/gce/release.sh\n"
    assert machine.read("etc/depth/depth.env") == f"{SETTINGS}\n"
    assert "LABEL=depth-data /var/lib/depth ext4" in machine.read("etc/fstab")
    assert machine.state["formatted"] == ["/dev/disk/by-id/google-depth-data"]
    assert machine.state["mounted"] == ["/var/lib/depth"]
    assert machine.called("systemctl") == []


def test_a_release_is_installed_once_and_started_at_each_boot(machine: Machine) -> None:
    """The flows are deployed before the first start of a worker; the disk is formatted once."""
    machine.release("one")
    for _ in range(2):
        done = machine.boot()
        assert (done.returncode, done.stderr) == (0, "")
        assert machine.called("systemctl") == ["enable --now depth-collect@a", "enable --now depth-worker"]
        assert machine.state["mounted"] == ["/var/lib/depth"]
    assert [line.split("/")[-1] for line in machine.read("installed").splitlines()] == ["install.sh one"]
    assert len(machine.state["formatted"]) == 1
    assert machine.read("etc/fstab").count("/var/lib/depth") == 1
    assert machine.read("etc/fstab").count("/swapfile") == 1
    assert machine.called("systemd-run") == []
    environment = machine.folder / "upper" / "etc" / "depth" / "depth.env"
    assert environment.stat().st_mode & 0o777 == 0o640
    assert environment.stat().st_gid == (machine.folder / "upper" / "var" / "lib" / "depth").stat().st_gid != 0


def test_another_release_goes_over_without_a_lost_second(machine: Machine) -> None:
    """By upgrade.sh of the new one; the flows of the new one are deployed."""
    machine.release("one")
    assert machine.boot().returncode == 0
    assert machine.called("systemd-run") == ["deploy/flows.sh"]
    machine.release("two")
    assert machine.boot().returncode == 0
    assert [line.split("/")[-1] for line in machine.read("installed").splitlines()] == [
        "install.sh one",
        "upgrade.sh two",
    ]
    assert (machine.folder / "upper/opt/depth/current").readlink() == Path("releases/two")


def test_secrets_are_read_at_each_boot_and_kept_where_they_cannot_be(machine: Machine) -> None:
    """One that has no version yet is left out; one that cannot be read today is what it was, and that is said."""
    name = f"{os.uname().nodename.partition('.')[0]}-ALERT_URLS"
    machine.change(secrets={name: "tgram://a/b"})
    assert machine.boot().returncode == 0
    assert machine.read("etc/depth/depth.env") == f"{SETTINGS}\nALERT_URLS=tgram://a/b\n"
    machine.change(secrets={})
    done = machine.boot()
    assert "depth: ALERT_URLS cannot be read: it stays as it was\n" in done.stdout
    assert "HEARTBEAT_URL" not in done.stdout
    assert machine.read("etc/depth/depth.env") == f"{SETTINGS}\nALERT_URLS=tgram://a/b\n"


def test_settings_stay_where_metadata_do_not_answer(machine: Machine) -> None:
    """Without them a collector would write elsewhere: the boot fails, and what runs goes on."""
    assert machine.boot().returncode == 0
    machine.change(metadata={})
    done = machine.boot()
    assert done.returncode == 1
    assert done.stdout == "depth: the metadata have no depth-settings: nothing is changed\n"
    assert machine.read("etc/depth/depth.env") == f"{SETTINGS}\n"


def test_the_log_agent_is_installed_where_it_is_wanted(machine: Machine) -> None:
    machine.release("one")
    machine.tell(ops_agent="true")
    for _ in range(2):
        assert machine.boot().returncode == 0
    assert machine.read("etc/google-cloud-ops-agent/config.yaml") == ""
    assert "restart google-cloud-ops-agent" not in machine.called("systemctl")


def test_release_sends_the_last_commit_and_lets_the_machine_go_over(cloud: Machine) -> None:
    """What is downloaded there is what is uploaded here; ssh goes through Identity-Aware Proxy."""
    done = subprocess.run(
        [ROOT / "deploy/gce/release.sh", "my-project", "asia-southeast1", "asia-southeast1-b"],
        env=cloud.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    release = cloud.state["metadata"]["depth-release"]
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert len(release) == 12
    assert head.stdout.startswith(release)
    with tarfile.open(cloud.folder / "cloud/binance-collector-releases/depth" / release / "depth.tar.gz") as archive:
        assert {"deploy/install.sh", "deploy/upgrade.sh", "requirements.lock"} <= set(archive.getnames())
    ssh = cloud.called("gcloud")[-1]
    assert ssh.startswith("compute ssh binance-collector --project=my-project --zone=asia-southeast1-b")
    assert "--tunnel-through-iap" in ssh
    assert ssh.endswith("--command=sudo google_metadata_script_runner startup")


def test_release_without_arguments_says_how() -> None:
    done = subprocess.run([ROOT / "deploy/gce/release.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "release.sh PROJECT REGION ZONE [MACHINE]" in done.stderr
