"""prefect.yaml with other schedules, for trying out and for tests: the one copy is changed, not repeated."""

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
    document = yaml.safe_load(source.read_text())
    for deployment in document["deployments"]:
        if deployment["name"] in _FAST:
            schedule, options = _FAST[deployment["name"]]
            deployment["schedules"] = [schedule] if schedule else []
            deployment["parameters"]["options"] |= options
    return _write(document, target)


def write_unscheduled(source: Path, target: Path) -> Path:
    """Write the deployments without schedules: nothing runs but what is asked for.

    Args:
        source: prefect.yaml.
        target: where the changed one goes.

    Returns:
        `target`.
    """
    document = yaml.safe_load(source.read_text())
    for deployment in document["deployments"]:
        deployment["schedules"] = []
    return _write(document, target)


def _write(document: dict[str, Any], target: Path) -> Path:
    target.write_text(yaml.safe_dump(document, sort_keys=False))
    return target
