"""Who gives a GPU to whom when there are too few.

A model that is below its minimum, or at zero with requests waiting, gets the idle worker of one that is above its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """One model's stake in GPUs of one kind. Numbers are workers."""

    name: str
    priority: int
    kind: str
    """The resource that its workers ask for."""
    minimum: int
    """What it is to have at least: its minimum, and one while anything is in flight."""
    needed: int
    size: int
    placed: int
    """Workers that have a node."""
    starving: bool
    """Some find none."""

    @property
    def is_short(self) -> bool:
        """Whether it may ask others to give."""
        return self.starving and self.placed < self.minimum

    @property
    def idle(self) -> int:
        """Workers that it could give."""
        return self.size - max(self.needed, self.minimum) if not self.starving else 0


def donors(claims: Iterable[Claim]) -> dict[str, str]:
    """Who gives one worker, and to whom: the lowest priority gives first, the highest gets first. By name."""
    all_claims = list(claims)
    givers = sorted((c for c in all_claims if c.idle > 0), key=lambda c: (c.priority, -c.idle, c.name))
    takers = sorted((c for c in all_claims if c.is_short), key=lambda c: (-c.priority, c.name))
    found: dict[str, str] = {}
    for taker in takers:
        giver = next((c for c in givers if c.kind == taker.kind and c.name not in found), None)
        if giver is not None:
            found[giver.name] = taker.name
    return found
