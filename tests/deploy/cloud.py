"""Stands in for what only a cloud's machine has: metadata, artifacts, secrets, swap, disks, packages, systemd.

Run as a program under the name of each (`gcloud`, `curl`, `mount`, …); keeps what it is told in CLOUD/state.json, and
notes every call.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

CLOUD = Path(os.environ["CLOUD"])
# Told and taken to be done.
_OBEDIENT = {"mkswap", "swapon", "sysctl", "systemctl", "systemd-run"}
_AGENT = "#!/bin/sh\nmkdir /etc/google-cloud-ops-agent\n"


def main(name: str, arguments: list[str]) -> int:
    """Do what the program of this name would; give its exit code."""
    path = CLOUD / "state.json"
    state: dict[str, Any] = json.loads(path.read_text())
    state["calls"].append([name, *arguments])
    try:
        return 0 if name in _OBEDIENT else _PROGRAMS[name](arguments, state)
    finally:
        path.write_text(json.dumps(state))


def _option(arguments: list[str], name: str) -> str:
    return next(each.partition("=")[2] for each in arguments if each.startswith(f"--{name}="))


def _curl(arguments: list[str], state: dict[str, Any]) -> int:
    where, _, attribute = arguments[-1].rpartition("/")
    if "metadata.google.internal" not in where:
        Path(arguments[arguments.index("--output") + 1]).write_text(_AGENT)
        return 0
    if attribute not in state["metadata"]:
        return 22
    sys.stdout.write(state["metadata"][attribute])
    return 0


def _gcloud(arguments: list[str], state: dict[str, Any]) -> int:
    match arguments:
        case ["secrets", "versions", "access", "latest", *rest]:
            value = state["secrets"].get(_option(rest, "secret"))
            sys.stdout.write(value or "")
            return 0 if value else 1
        case ["artifacts", "generic", "upload", *rest]:
            version = CLOUD / _option(rest, "repository") / _option(rest, "package") / _option(rest, "version")
            version.mkdir(parents=True)
            shutil.copy(_option(rest, "source"), version)
        case ["artifacts", "generic", "download", *rest]:
            version = CLOUD / _option(rest, "repository") / _option(rest, "package") / _option(rest, "version")
            for file in version.iterdir():
                shutil.copy(file, _option(rest, "destination"))
        case ["compute", "instances", "add-metadata", *rest]:
            key, _, value = _option(rest, "metadata").partition("=")
            state["metadata"][key] = value
    return 0


def _fallocate(arguments: list[str], state: dict[str, Any]) -> int:
    del state
    Path(arguments[-1]).touch()
    return 0


def _blkid(arguments: list[str], state: dict[str, Any]) -> int:
    return 0 if arguments[0] in state["formatted"] else 2


def _mkfs(arguments: list[str], state: dict[str, Any]) -> int:
    state["formatted"].append(arguments[-1])
    return 0


def _mountpoint(arguments: list[str], state: dict[str, Any]) -> int:
    return 0 if arguments[-1] in state["mounted"] else 32


def _mount(arguments: list[str], state: dict[str, Any]) -> int:
    state["mounted"].append(arguments[0])
    return 0


def _dpkg_query(arguments: list[str], state: dict[str, Any]) -> int:
    return 0 if arguments[-1] in state["packages"] else 1


def _apt_get(arguments: list[str], state: dict[str, Any]) -> int:
    if arguments[0] == "install":
        state["packages"].append(arguments[-1])
    return 0


_PROGRAMS = {
    "curl": _curl,
    "gcloud": _gcloud,
    "fallocate": _fallocate,
    "blkid": _blkid,
    "mkfs.ext4": _mkfs,
    "mountpoint": _mountpoint,
    "mount": _mount,
    "dpkg-query": _dpkg_query,
    "apt-get": _apt_get,
}
NAMES = sorted({*_PROGRAMS, *_OBEDIENT})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
