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
    """It takes nothing new and has nothing left, or cannot be told anything any more."""


def leaving(surplus: int, carriers: Iterable[Carrier], before: Collection[str]) -> list[Carrier]:
    """Which of them go now, `surplus` at most.

    Who was to go `before` still is: streams are not to be moved to and fro. Of those with streams one begins at a time:
    two would hand theirs over to the same free slots.
    """

    def cost(carrier: Carrier) -> tuple[bool, bool, int, float, str]:
        return carrier.pod not in before, not carrier.empty, carrier.streams, carrier.oldest_s, carrier.pod

    order = sorted(carriers, key=cost)[: max(0, surplus)]
    full = [carrier for carrier in order if carrier.streams]
    later = [carrier for carrier in full[1:] if carrier.pod not in before]
    return [carrier for carrier in order if carrier not in later]
