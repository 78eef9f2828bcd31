"""What is deployed: names, entry points, schedules and parameters cannot change unnoticed."""

import importlib
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel, RawScheduleConfig, WorkPoolConfig
from pydantic import BaseModel

from deploy.local import deployments
from tests import commands

FILE = commands.ROOT / "prefect.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
DEPLOYED: list[dict[str, Any]] = DOCUMENT["deployments"]
ENV = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


def flow_of(deployment: dict[str, Any]) -> Flow[Any, Any]:
    """Import what a deployment runs."""
    path, name = deployment["entrypoint"].split(":")
    found: Flow[Any, Any] = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    return found


def options_of(deployment: dict[str, Any]) -> BaseModel:
    """Read its parameters as the flow will."""
    model: type[BaseModel] = get_type_hints(flow_of(deployment).fn)["options"]
    return model.model_validate(deployment["parameters"]["options"])


def strangers(given: dict[str, Any], model: type[BaseModel]) -> set[str]:
    """Name the keys that Prefect would silently pass over."""
    known = {field.alias or name for name, field in model.model_fields.items()}
    return given.keys() - known


def test_what_is_deployed() -> None:
    """The snapshot: change it together with README.md."""
    found = [
        (
            each["name"],
            each["entrypoint"],
            [(schedule["cron"], schedule["timezone"]) for schedule in each["schedules"]],
            each["parameters"],
            each["tags"],
            each["work_pool"],
        )
        for each in DEPLOYED
    ]
    collector = {"symbols": ["BTC/USDT"], "duration": 3600, "relay": True, "replicas": 1}
    recent, daily = {"window": 900, "period": 300}, {"window": 90000, "period": 86400, "expire": True}
    first = {"name": "depth-pool", "job_variables": {"env": ENV}}
    then = first | {"work_queue_name": "checks"}
    verify, rollup = "flows/verify.py:verify", "flows/rollup.py:rollup"
    export, exported = "flows/export.py:export", {"out": "data/export", "days": 3}
    assert found == [
        (
            "collect",
            "flows/collect.py:collect",
            [("0 * * * *", "UTC")],
            {"options": collector},
            ["depth", "collect"],
            first,
        ),
        ("verify-recent", verify, [("*/5 * * * *", "UTC")], {"options": recent}, ["depth", "verify"], then),
        ("verify-daily", verify, [("20 0 * * *", "UTC")], {"options": daily}, ["depth", "verify"], then),
        ("rollup-hourly", rollup, [("2 * * * *", "UTC")], {"options": {}}, ["depth", "rollup"], then),
        ("export-daily", export, [("40 0 * * *", "UTC")], {"options": exported}, ["depth", "export"], then),
    ]


def test_every_key_is_known_to_prefect() -> None:
    """It passes over others without a word: a misspelt schedule would be none."""
    assert strangers(DOCUMENT, PrefectYamlModel) == set()
    for each in DEPLOYED:
        assert strangers(each, DeploymentConfig) == set()
        assert strangers(each["work_pool"], WorkPoolConfig) == set()
        for schedule in each["schedules"]:
            assert strangers(schedule, RawScheduleConfig) == set()


def test_a_key_that_prefect_does_not_know_is_found() -> None:
    """The check above finds what it looks for."""
    assert strangers({"name": "x", "shedules": [], "prefect-version": ""}, DeploymentConfig) == {
        "shedules",
        "prefect-version",
    }


@pytest.mark.parametrize("deployment", DEPLOYED, ids=lambda each: each["name"])
def test_the_options_accept_the_parameters(deployment: dict[str, Any]) -> None:
    """A wrong name or type would fail each run; the form in the UI shows what is given."""
    assert set(deployment["parameters"]) == {"options"}
    given = deployment["parameters"]["options"]
    assert options_of(deployment).model_dump(include=set(given)) == given


@pytest.mark.parametrize("deployment", DEPLOYED, ids=lambda each: each["name"])
def test_each_has_a_description_and_no_limit(deployment: dict[str, Any]) -> None:
    """A concurrency limit takes a lease, which kills the run when the server restarts."""
    assert deployment["description"]
    assert "concurrency_limit" not in deployment


def test_a_run_that_ends_badly_is_told() -> None:
    """Every flow has its hooks; those of collect ask for a new run first."""
    for each in DEPLOYED:
        flow = flow_of(each)
        crashed, failed = (
            [hook.__name__ for hook in hooks] for hooks in (flow.on_crashed_hooks, flow.on_failure_hooks)
        )
        assert crashed == failed == (["ask_again", "tell"] if each["name"] == "collect" else ["tell"])


def test_fast_schedules_change_the_one_copy(tmp_path: Path) -> None:
    """Collectors relay every 2 minutes, verify runs each 30 s, roll-ups on demand; the rest is as it was."""
    fast = yaml.safe_load(deployments.write_fast(FILE, tmp_path / "prefect.yaml").read_text())["deployments"]
    changed = {each["name"]: each for each, before in zip(fast, DEPLOYED, strict=True) if each != before}
    assert set(changed) == {"collect", "verify-recent", "rollup-hourly"}
    assert changed["collect"]["schedules"] == [{"cron": "*/2 * * * *", "timezone": "UTC"}]
    assert changed["collect"]["parameters"]["options"]["duration"] == 120
    assert changed["verify-recent"]["schedules"] == [{"interval": 30}]
    assert changed["verify-recent"]["parameters"]["options"]["period"] == 30
    assert changed["rollup-hourly"]["schedules"] == []
    for each in changed.values():
        options_of(each)
