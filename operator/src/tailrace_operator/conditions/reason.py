"""A reason: the one word of a condition that programs match, and what it tells people."""

from dataclasses import dataclass
from enum import Enum


class Tone(Enum):
    """Whether somebody must act."""

    FINE = "fine"
    UNDERWAY = "underway"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Reason:
    """One row of the table of reasons (docs/conditions.md).

    `shown` are the conditions that it appears in, each with its status. `code` is how our own containers begin their
    last words about it.
    """

    name: str
    tone: Tone
    on: tuple[str, ...]
    shown: tuple[str, ...]
    when: str
    remedy: str
    code: str = ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: a reason, and a sentence for people about this one case."""

    reason: Reason
    message: str

    @classmethod
    def with_remedy(cls, reason: Reason, what: str) -> "Finding":
        """What happened, and the reason's own advice."""
        return cls(reason, f"{what} ({reason.remedy})")

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"
