"""Stands in for `docker` where none runs: keeps containers as JSON in DOCKER_STATE, and notes every call.

A container is well after the health check was asked for as often as its image's name says: ``well-after-2``, ``never``,
or ``ends`` for one that has ended by itself. Run as a program by the tests of run.sh.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

STATE = Path(os.environ["DOCKER_STATE"])
_TAKES_VALUE = {"--name", "--restart", "--stop-timeout", "--memory", "--volume", "--env", "--env-file"}


def main(arguments: list[str]) -> int:
    """Do what `docker` would; give its exit code."""
    state: dict[str, Any] = json.loads(STATE.read_text()) if STATE.exists() else {"calls": [], "containers": {}}
    state["calls"].append(arguments)
    code = _do(arguments, state["containers"])
    STATE.write_text(json.dumps(state))
    return code


def _do(arguments: list[str], containers: dict[str, Any]) -> int:
    command, *rest = arguments
    return {"build": _build, "container": _inspect, "run": _run, "exec": _exec, "logs": _logs}.get(command, _end)(
        rest if command in {"build", "container", "run", "exec", "logs"} else arguments, containers
    )


def _build(arguments: list[str], containers: dict[str, Any]) -> int:
    del containers
    return 0 if (Path(arguments[-1]) / "Dockerfile").exists() else 1


def _inspect(arguments: list[str], containers: dict[str, Any]) -> int:
    name = arguments[-1]
    if name not in containers:
        return 1
    if "--format" in arguments:
        sys.stdout.write(f"{str(containers[name]['running']).lower()} 0\n")
    return 0


def _run(arguments: list[str], containers: dict[str, Any]) -> int:
    values = {option: arguments[index + 1] for index, option in enumerate(arguments) if option in _TAKES_VALUE}
    if values["--name"] in containers:
        return 125
    image = next(word for word in arguments if ":" in word and "/" not in word)
    containers[values["--name"]] = {"image": image, "asked": 0, "running": not image.startswith("ends")}
    return 0


def _exec(arguments: list[str], containers: dict[str, Any]) -> int:
    container = containers[arguments[0]]
    container["asked"] += 1
    image = container["image"].partition(":")[0]
    return 0 if image.startswith("well-after-") and container["asked"] > int(image[11:]) else 1


def _logs(arguments: list[str], containers: dict[str, Any]) -> int:
    if arguments[-1] not in containers:
        return 1
    sys.stdout.write(f"the log of {arguments[-1]}\n")
    return 0


def _end(arguments: list[str], containers: dict[str, Any]) -> int:
    match arguments:
        case ["stop", name]:
            containers[name]["running"] = False
        case ["rm", *force, name] if force or not containers[name]["running"]:
            del containers[name]
        case ["rename", old, new] if new not in containers:
            containers[new] = containers.pop(old)
        case _:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
