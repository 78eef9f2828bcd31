"""What a fault is, and what is found when it happens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


class NotPlayed(Exception):
    """A fault cannot be played on this machine; its text says why, and the page repeats it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What happened.

    Attributes:
        happened: in a few words, for the page.
        figures: what was counted and measured, by name.
        broken: what should have been and was not; empty where all is well.
    """

    happened: str
    figures: Mapping[str, int | float | str] = field(default_factory=dict)
    broken: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether everything was as it must be."""
        return not self.broken


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table.

    Attributes:
        section: of the page.
        name: what is done.
        must: what must happen.
        play: does it, in an empty folder.
        quick: does it once and quickly, about a second of processor time, as a part of `make test`; None where it
            takes longer.
        alone: wants the machine to itself, for its figures.
        idle: mostly waits, in real time; several may be played at once.
    """

    section: str
    name: str
    must: str
    play: Callable[[Path], Finding]
    quick: Callable[[Path], Finding] | None = None
    alone: bool = False
    idle: bool = False
