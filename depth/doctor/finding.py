"""One line of the doctor."""

from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name, one word.
        level: ``ok``; ``warn``: it collects, but look at it; ``fail``: it does not, or not for long.
        text: what is so; for a warning or failure it ends with the remedy.
    """

    check: str
    level: Level
    text: str

    def line(self) -> str:
        """Write it for a person."""
        return f"{self.level:<5} {self.check:<9} {self.text}"

    def fields(self) -> dict[str, str]:
        """Write it for a program."""
        return asdict(self)


def ok(check: str, text: str) -> Finding:
    """Find nothing amiss."""
    return Finding(check, "ok", text)


def warn(check: str, text: str) -> Finding:
    """Find something that a person should look at."""
    return Finding(check, "warn", text)


def fail(check: str, text: str) -> Finding:
    """Find what keeps the collector from collecting."""
    return Finding(check, "fail", text)


def skipped(*checks: str, why: str) -> list[Finding]:
    """Say of checks that they could not be made."""
    return [warn(check, f"not checked: {why}") for check in checks]
