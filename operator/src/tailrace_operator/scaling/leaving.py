"""Who goes when there are too many: the workers with the fewest and youngest streams, which cost least to move."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Carrier:
    """A worker that serves, and what it carries."""

    pod: str
    worker: str
    streams: int
    oldest_s: float = 0.0
    """Age of its oldest stream, in seconds."""
    empty: bool = False
    """It takes nothing new and has nothing left."""


def leaving(surplus: int, carriers: Iterable[Carrier], before: Collection[str]) -> list[Carrier]:
    """Which `surplus` of them go. Who was to go `before` still is: streams are not to be moved to and fro."""

    def cost(carrier: Carrier) -> tuple[bool, int, float, str]:
        return carrier.pod not in before, carrier.streams, carrier.oldest_s, carrier.pod

    return sorted(carriers, key=cost)[: max(0, surplus)]
