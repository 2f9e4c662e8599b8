"""What every simulated policy is, and what it may see."""

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class View:
    """What a policy may look at. The means are exact ones since its last look: better than a real scraper's."""

    at: float
    accepted: int
    active: int
    queued: int
    ready: int
    starting: int
    slots: int
    cold_start_s: float
    active_mean: float
    in_flight_mean: float

    @property
    def in_flight(self) -> int:
        """Streams that run or wait."""
        return self.active + self.queued


class Autoscaler(ABC):
    """A policy: how many workers there should be, asked every `interval_s`."""

    interval_s = 1.0
    hands_over = False
    """Whether a worker that goes hands its streams to others, with nothing lost."""
    empties_in_turn = False
    """Whether those with streams go by the operator's plan, one after the other; else all at once, fewest first."""
    drain_s = 0.0
    """Otherwise: how long it may go on with them before they are cut."""
    starts_warm = True
    """Whether there is one worker when the trace begins: else one first cold start would decide every percentile."""

    @abstractmethod
    def size(self, view: View, present: int) -> int:
        """The workers wanted, `present` being those asked for now."""

    def on_request_at_zero(self) -> int:
        """The workers wanted at once when a request comes and none were asked for; 0 waits for the next look."""
        return 1

    def next_look(self, now: float) -> float:
        """When to ask again."""
        return now + self.interval_s

    @property
    def first_look(self) -> float:
        """When to ask first, in seconds from the trace's start."""
        return 0.0
