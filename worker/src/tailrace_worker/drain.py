"""What a worker does with its streams when it is told to stop: a pure decision, taken anew every round."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """How many streams to hand over now, and why."""

    hand_over: int
    reason: str


def plan(running: int, peer_slots: int, seconds_left: float) -> DrainPlan:
    """Hand over what other workers can take; finish the rest here, until the deadline.

    At the deadline, if there is one, everything is handed back: a request in the queue, whose log is kept, is better
    off than one whose worker is killed.
    """
    if running == 0:
        return DrainPlan(0, "nothing is running")
    if seconds_left <= 0:
        return DrainPlan(running, "the drain deadline has come: all streams go back to the queue")
    count = min(running, peer_slots)
    if count == 0:
        how_long = "" if isinf(seconds_left) else f" for {seconds_left:.0f} s more"
        return DrainPlan(0, f"no other worker has room: finishing {running} here{how_long}")
    return DrainPlan(count, f"other workers have {peer_slots} free slots")


def youngest(generations: Sequence[T], count: int) -> list[T]:
    """Which `count` to hand over, of `generations` in order of age: the young have the least to prefill again."""
    return list(generations[len(generations) - count :])
