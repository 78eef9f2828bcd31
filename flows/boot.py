"""Ask for a collector at the start of a machine or of a worker, if one is wanted: a command, and no deployment.

`python -m flows.boot` prints one line and exits 0 whatever it did, so that a unit may run it before its worker: with
the API away the schedule collects. It decides with the settings of the run, the deployment's job variables included.
"""

import asyncio
import os
import sys

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from depth import command
from depth.errors import DepthError, UsageError
from depth.options import CollectOptions
from depth.wanted import Order
from flows import _runs
from flows._wanted import is_wanted


class BootOptions(BaseModel):
    """Options of `boot`."""

    model_config = ConfigDict(extra="forbid")

    deployment: str = Field("collect/collect", description="flow and deployment, as `prefect deployment ls` names them")


async def boot(name: str) -> str:
    """Ask for a run of a deployment, if one is wanted.

    Args:
        name: flow and deployment.

    Returns:
        What was done, in one line.
    """
    api = get_current_settings().api.url
    if not api:
        return "PREFECT_API_URL is not set: no run is asked for"
    try:
        return await _ask(name)
    except ObjectNotFound:
        return f"Prefect at {api} has no deployment {name}: no run is asked for; run `prefect --no-prompt deploy --all`"
    except httpx.HTTPError as error:
        said = str(error) or type(error).__name__
        return f"Prefect at {api} does not answer ({said}): no run is asked for, the next of the schedule collects"
    except DepthError as error:
        return f"no run is asked for: {error}"


async def _ask(name: str) -> str:
    async def look(client: PrefectClient) -> tuple[DeploymentResponse, CollectOptions, list[Order]]:
        deployment = await client.read_deployment_by_name(name)
        try:
            options = CollectOptions.model_validate(deployment.parameters.get("options", {}))
        except ValidationError as error:
            raise UsageError(f"deployment {name} is not of collect: {command.describe(error)}") from None
        due = await _runs.due(client, deployment.id, options)
        # What a worker was starting died with it, or is live by now.
        return deployment, options, [_runs.order(run) for run in due if _runs.waits(run)]

    deployment, options, coming = await _runs.patiently(look)
    os.environ.update({name: str(value) for name, value in deployment.job_variables.get("env", {}).items()})
    answer = await is_wanted(options, coming)
    if not answer.wanted:
        return f"no run of {name} is asked for: {answer.why}"
    run = await _runs.patiently(lambda client: _runs.ask(client, deployment.id, deployment.parameters))
    return f"run {run} of {name} is asked for: {answer.why}"


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; give its exit code: 0, or 2 for bad usage."""

    def run() -> int:
        options = command.parse(BootOptions, arguments)
        sys.stdout.write(asyncio.run(boot(options.deployment)) + "\n")
        return 0

    return command.answer(run)


if __name__ == "__main__":
    sys.exit(main())
