"""Does Prefect answer, and are the versions those that are known to work. Prefect itself stays out of this process."""

import asyncio
import importlib.metadata
import json
import sys
from collections.abc import Sequence

import httpx
from packaging.requirements import Requirement

from depth.doctor.finding import Finding, fail, ok, warn

_ANSWER_SECONDS = 5.0
_SETTINGS_SECONDS = 60.0  # Prefect is imported for them: half a minute where little is left of a small machine
_DISTRIBUTION = "depth-collector"

# Prefect knows its address from the environment, a profile or a file: it is asked in a process of its own.
_SETTINGS = """
import json
from prefect.settings import get_current_settings
api = get_current_settings().api
secret = lambda value: value.get_secret_value() if value else None
print(json.dumps({"url": api.url, "auth": secret(api.auth_string), "key": secret(api.key)}))
"""


async def check() -> Sequence[Finding]:
    """Look at the installed versions and ask the Prefect server."""
    versions = _versions()
    return [versions, await _prefect()]


def _versions() -> Finding:
    """Hold what is installed against what this package pins."""
    try:
        wanted = [Requirement(text) for text in importlib.metadata.requires(_DISTRIBUTION) or ()]
        pinned = [each for each in wanted if str(each.specifier).startswith("==")]
        there = {each.name: importlib.metadata.version(each.name) for each in pinned}
    except importlib.metadata.PackageNotFoundError as error:
        return fail("versions", f"{error.name} is not installed: make setup")
    wrong = [
        f"{each.name} {there[each.name]} (not {each.specifier})"
        for each in pinned
        if there[each.name] not in each.specifier
    ]
    if wrong:
        return fail("versions", f"not known to work: {', '.join(wrong)}: make setup")
    return ok("versions", ", ".join(f"{name} {version}" for name, version in there.items()))


async def _prefect() -> Finding:
    asking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SETTINGS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SETTINGS_SECONDS):
            said, complaint = await asking.communicate()
    except TimeoutError:
        asking.kill()
        await asking.wait()
        return warn("prefect", f"its settings cannot be read within {_SETTINGS_SECONDS:g} s: try `prefect config view`")
    if asking.returncode:
        why = complaint.decode(errors="replace").strip().splitlines()[-1:] or ["no reason"]
        return fail("prefect", f"its settings cannot be read ({why[0][:200]}): try `prefect config view`")
    settings = json.loads(said.splitlines()[-1])
    if not settings["url"]:
        return ok("prefect", "PREFECT_API_URL is not set: commands run without Prefect")
    return await _server(settings["url"], settings["auth"], settings["key"])


async def _server(url: str, auth: str | None, key: str | None) -> Finding:
    user, _, password = (auth or "").partition(":")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, auth=(user, password) if auth else None) as client:
            answer = await client.get(f"{url}/admin/version", headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return fail(
            "prefect",
            f"{url} does not answer ({str(error) or type(error).__name__}): start the server, or correct or unset "
            "PREFECT_API_URL",
        )
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return fail("prefect", f"{url} wants another password: set PREFECT_API_AUTH_STRING to the server's")
    mine = importlib.metadata.version("prefect")
    try:
        theirs = answer.raise_for_status().json()
    except (httpx.HTTPStatusError, ValueError):
        return fail("prefect", f"{url} is no Prefect API (HTTP {answer.status_code}): correct PREFECT_API_URL")
    if theirs != mine:
        return warn("prefect", f"{url} runs {theirs}, this client is {mine}: give both the same version")
    return ok("prefect", f"{url} answers, version {theirs}")
