"""prefect.yaml with other schedules, for trying out and for tests: the one copy is changed, not repeated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

_FAST: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "collect": ({"cron": "*/2 * * * *", "timezone": "UTC"}, {"duration": 120}),
    "verify-recent": ({"interval": 30}, {"period": 30}),
    "rollup-hourly": (None, {}),
}


def write_fast(source: Path, target: Path) -> Path:
    """Write the deployments with compressed schedules.

    Collectors relay every 2 minutes, verify runs each 30 s, roll-ups on demand.

    Args:
        source: prefect.yaml.
        target: where the changed one goes.

    Returns:
        `target`.
    """

    def hasten(deployment: dict[str, Any]) -> None:
        if deployment["name"] in _FAST:
            schedule, options = _FAST[deployment["name"]]
            deployment["schedules"] = [schedule] if schedule else []
            deployment["parameters"]["options"] |= options

    return _write(source, target, hasten)


def write_unscheduled(source: Path, target: Path) -> Path:
    """Write the deployments without schedules: nothing runs but what is asked for.

    Args:
        source: prefect.yaml.
        target: where the changed one goes.

    Returns:
        `target`.
    """
    return _write(source, target, lambda deployment: deployment.update(schedules=[]))


def _write(source: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    document = yaml.safe_load(source.read_text())
    for deployment in document["deployments"]:
        change(deployment)
    target.write_text(yaml.safe_dump(document, sort_keys=False))
    return target
