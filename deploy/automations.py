"""Create or renew the automations of `automations.yaml` on the server at PREFECT_API_URL.

`python -m deploy.automations` leaves out what needs a notification block that is not there, and says so. Make such a
block in the UI (Blocks: Slack, Teams, Discord, a custom webhook and others), named `depth-alerts`, or let
`--webhook URL` make one that posts `{"text": ...}`, as Slack and others take it.
"""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import PrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.types import SecretDict
from pydantic import BaseModel, ConfigDict, Field

from depth import command
from depth.errors import TransientError

BLOCK = "depth-alerts"
_FILE = Path(__file__).with_suffix(".yaml")


class AutomationOptions(BaseModel):
    """Options of this command."""

    model_config = ConfigDict(extra="forbid")

    webhook: str | None = Field(None, pattern="^https?://", description=f"address that the block {BLOCK} posts to")


async def create(webhook: str | None = None) -> list[str]:
    """Create or renew them.

    Args:
        webhook: where the block `depth-alerts` posts to, None to leave the block as it is.

    Returns:
        A line for each automation.
    """
    if webhook is not None:
        block = CustomWebhookNotificationBlock(
            name=BLOCK,
            url="{{webhook}}",
            json_data={"text": "{{subject}}\n{{body}}"},
            secrets=SecretDict({"webhook": webhook}),
        )
        await block.asave(BLOCK, overwrite=True)
    async with get_client() as client:
        blocks = {document.name: document.id for document in await client.read_block_documents() if document.name}
        return [await _renew(client, each, blocks) for each in yaml.safe_load(_FILE.read_text())["automations"]]


async def _renew(client: PrefectClient, automation: dict[str, Any], blocks: Mapping[str, UUID]) -> str:
    name = automation["name"]
    actions = [_with_block(action, blocks) for action in automation["actions"]]
    for old in await client.read_automations_by_name(name):
        await client.delete_automation(old.id)
    if None in actions:
        return f"{name}: left out, there is no notification block {BLOCK}"
    await client.create_automation(AutomationCore.model_validate(automation | {"actions": actions}))
    return f"{name}: {automation['description']}"


def _with_block(action: dict[str, Any], blocks: Mapping[str, UUID]) -> dict[str, Any] | None:
    """Put the id of a block in the place of its name; None where there is no such block."""
    if "block" not in action:
        return action
    named = {key: value for key, value in action.items() if key != "block"}
    block = blocks.get(action["block"])
    return None if block is None else named | {"block_document_id": block}


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; give its exit code."""

    def run() -> int:
        options = command.parse(AutomationOptions, arguments)
        try:
            lines = asyncio.run(create(options.webhook))
        except httpx.HTTPError as error:
            raise TransientError(f"the Prefect server does not answer: {str(error) or type(error).__name__}") from None
        sys.stdout.write("\n".join(lines) + "\n")
        return 0

    return command.answer(run)


if __name__ == "__main__":
    sys.exit(main())
