"""A Dockerfile, built without Docker: its steps, in order, each in a root file system of its own.

What stands in for the base image is Debian's own minimal system, made by debootstrap, with a CPython of the right
version under /usr/local, as in the official image. A step runs there by chroot; of this machine it has
the network alone.
"""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

_LIBRARIES = (
    "ca-certificates,libssl3,libffi8,libsqlite3-0,libbz2-1.0,liblzma5,zlib1g,libreadline8,libncursesw6,libuuid1"
)
_STEP_SECONDS = 900
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin"
# How this machine reaches the package index.
_NETWORK = re.compile(r"(PIP|UV)_(?!FIND_LINKS).*|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|(https?|no)_proxy", re.IGNORECASE)


@dataclass(slots=True)
class Stage:
    """One stage, or what it has become: the image.

    Attributes:
        root: its file system.
        environment: of its steps and of its command.
        folder: where they run.
        user: ``uid:gid``.
        said: the last ENTRYPOINT, CMD and HEALTHCHECK.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    said: dict[str, list[str]] = field(default_factory=dict)

    def inside(self, path: str) -> Path:
        """Give a place inside: from the root, or from the folder of the steps."""
        return self.root / (Path("/") / self.folder / path).relative_to("/")

    def command(self, command: Sequence[str], **settings: str) -> list[str]:
        """Give what runs a command inside, as the stage's user and in its folder."""
        inside = [f"{name}={value}" for name, value in (self.environment | settings).items()]
        script = f"cd {shlex.quote(self.folder)} && exec {shlex.join(command)}"
        return [
            *("chroot", f"--userspec={self.user}", str(self.root)),
            *("env", "-i", *inside),
            "/bin/sh",
            "-c",
            script,
        ]


def missing() -> str | None:
    """Say what keeps this machine from building; None where nothing does."""
    if os.geteuid() != 0:
        return "not root"
    if shutil.which("debootstrap") is None:
        return "no debootstrap (apt-get install debootstrap)"
    if python_312() is None:
        return "no CPython 3.12"
    return None


def python_312() -> Path | None:
    """Find a CPython 3.12 that can be moved: one of pyenv's."""
    versions = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    found = sorted(path for path in versions.glob("3.12.*") if (path / "bin" / "python3.12").exists())
    return found[-1] if found else None


def make_base(root: Path) -> None:
    """Make what stands in for ``python:3.12-slim-bookworm``; takes some minutes."""
    _run(["debootstrap", "--variant=minbase", f"--include={_LIBRARIES}", "bookworm", str(root)])
    python = python_312()
    assert python is not None
    _run(["cp", "-a", f"{python}/.", str(root / "usr/local")])
    shutil.rmtree(root / "usr/local/lib/python3.12/test", ignore_errors=True)
    _run(["chroot", str(root), "ldconfig"])
    for script in (root / "usr/local/bin").glob("pip*"):
        script.write_text(re.sub(r"\A#!.*", "#!/usr/local/bin/python3.12", script.read_text()))
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)


def build(dockerfile: Path, base: Path, work: Path) -> Stage:
    """Build a Dockerfile whose folder is its context.

    Args:
        dockerfile: the file.
        base: root that stands in for every base image.
        work: folder for the stages' roots.

    Returns:
        The last stage.
    """
    building = _Building(dockerfile.parent, base, work)
    for step in DockerfileParser(str(dockerfile), env_replace=False).structure:
        if step["instruction"] != "COMMENT":
            getattr(building, {"FROM": "from_"}.get(step["instruction"], step["instruction"].lower()))(step["value"])
    return building.stage


@dataclass
class _Building:
    """A build under way: a method for each instruction."""

    context: Path
    base: Path
    work: Path
    arguments: dict[str, str] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        return [*self.stages.values()][-1]

    def from_(self, value: str) -> None:
        name = value.rsplit(maxsplit=1)[-1] if " AS " in value else f"stage{len(self.stages)}"
        self.stages[name] = Stage(self.work / name, {"PATH": _PATH})
        _run(["cp", "-a", "--reflink=auto", str(self.base), str(self.stage.root)])

    def arg(self, value: str) -> None:
        name, _, default = value.partition("=")
        (self.stage.environment if self.stages else self.arguments)[name] = default or self.arguments.get(name, "")

    def env(self, value: str) -> None:
        for pair in shlex.split(value):
            name, _, text = pair.partition("=")
            self.stage.environment[name] = _filled(text, self.stage.environment)

    def workdir(self, value: str) -> None:
        self.stage.folder = value
        self.stage.inside(value).mkdir(parents=True, exist_ok=True)

    def run(self, value: str) -> None:
        network = {name: text for name, text in os.environ.items() if _NETWORK.fullmatch(name)}
        _run(self.stage.command(["/bin/sh", "-c", value], **network))

    def user(self, value: str) -> None:
        self.stage.user = value

    def volume(self, value: str) -> None:
        assert self.stage.inside(value).is_dir(), f"{value} is not there"

    def entrypoint(self, value: str) -> None:
        self.stage.said["ENTRYPOINT"] = json.loads(value)

    def cmd(self, value: str) -> None:
        self.stage.said["CMD"] = json.loads(value)

    def healthcheck(self, value: str) -> None:
        self.stage.said["HEALTHCHECK"] = json.loads(value.partition("CMD ")[2])

    def copy(self, value: str) -> None:
        words = shlex.split(value)
        *sources, target = (word for word in words if not word.startswith("--"))
        into = self.stage.inside(target)
        if words[0].startswith("--from="):
            [source] = sources
            into.parent.mkdir(parents=True, exist_ok=True)
            _run(["cp", "-a", "-T", str(self.stages[words[0][7:]].inside(source)), str(into)])
            return
        for source in sources:
            files = [path for path in context(self.context) if path == Path(source) or Path(source) in path.parents]
            assert files, f"COPY {value}: the context has no {source}"
            for path in files:
                # A folder's content goes into the target, a file into it or under its name.
                below = path.relative_to(source) if path != Path(source) else Path(path.name)
                place = into if path == Path(source) and not target.endswith("/") else into / below
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.context / path, place)


def context(folder: Path) -> list[Path]:
    """List the files that a build is sent, by .dockerignore: the last pattern that matches decides."""
    lines = (folder / ".dockerignore").read_text().splitlines()
    rules = tuple(line for line in map(str.strip, lines) if line and not line.startswith("#"))
    listed = subprocess.run(
        ["git", "-C", str(folder), "ls-files", "--cached", "--others", "-z"], capture_output=True, text=True, check=True
    )
    sent = [Path(name) for name in listed.stdout.split("\0") if name and _sent(name, rules)]
    return [path for path in sent if (folder / path).is_file()]


def _sent(name: str, rules: tuple[str, ...]) -> bool:
    decides = _last(name, rules)
    return decides < 0 or rules[decides].startswith("!")


@functools.cache
def _last(name: str, rules: tuple[str, ...]) -> int:
    """Give the number of the last pattern that matches a path or a folder above it; -1 for none."""
    above = _last(name.rpartition("/")[0], rules) if "/" in name else -1
    own = (number for number in range(len(rules) - 1, above, -1) if _pattern(rules[number]).fullmatch(name))
    return next(own, above)


@functools.cache
def _pattern(rule: str) -> re.Pattern[str]:
    expression = re.escape(rule.removeprefix("!"))
    return re.compile(expression.replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*"))


def _filled(text: str, environment: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: environment.get(found[1], ""), text)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_STEP_SECONDS, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
