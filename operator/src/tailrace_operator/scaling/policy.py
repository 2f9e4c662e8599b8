"""What an admin asks of a model's size.

One setting, `utilization`, says what share of the slots that are paid for should be in use. Three things follow from
it, found by search on made-up traces (`bench/scaling`):

* the lower it is, the longer idle workers are kept: from seconds to an hour, the first one to hours;
* below 0.6, slots of needed workers are left free, too, and a queue orders more workers;
* above 1, requests are meant to wait.
"""

from dataclasses import dataclass
from math import exp

from tailrace_operator.scaling.pace import Pace
from tailrace_operator.scaling.schedule import Scheduled

#: The setting that a model has when its admin says nothing.
DEFAULT_UTILIZATION = 0.8
#: Where free slots begin to serve better than idle workers.
_FREE_SLOTS_BELOW = 0.6
#: What sparing one cold start is worth at the default, in cold starts; it halves with each 3.2 points of utilisation.
_WORTH_AT_DEFAULT = 1.5
_WORTH_FALL = 22.0
#: A worker that starts faster than this is kept as if it took this long.
_SHORTEST_START_S = 15.0
#: The longest that any worker's cold start is worth; every request may need the first one, so its is worth more.
_MOST_WORTH_S = 4_000.0
_MOST_WORTH_OF_FIRST_S = 12_000.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of a model's size, and how much idle capacity shorter waits are worth."""

    slots: int
    """Streams that one worker generates at once."""
    min_workers: int = 0
    max_workers: int = 64
    utilization: float = DEFAULT_UTILIZATION
    """The share of the slots to be in use."""
    zero_grace_s: float | None = None
    """With nothing in flight, the last worker goes after so long; `None`: when keeping it does not pay any more."""
    target_streams: int | None = None
    """Streams that one worker carries with the inter-token latency that is wanted; `None`: as many as it has slots."""
    tolerance: float = 0.05
    """The share of one worker's streams by which the load may exceed what the workers are meant to carry."""
    scale_down_delay_s: float = 0.0
    """The size falls to the highest that was right within so long."""
    up: Pace | None = None
    down: Pace | None = None
    schedule: tuple[Scheduled, ...] = ()
    ceiling: int | None = None
    """Workers that can be had at most, for a reason outside the policy: `ceiling_reason`. The minimum is above it."""
    ceiling_reason: str = ""

    @property
    def streams_per_worker(self) -> float:
        """The load that one worker is meant to carry while it is needed."""
        fill = min(1.0, self.utilization / _FREE_SLOTS_BELOW) if self.utilization < 1 else self.utilization
        return fill * min(self.slots, self.target_streams or self.slots)

    def worth_s(self, number: int, start_s: float) -> float:
        """Seconds of idling that one cold start of `start_s` is worth for the worker of this number, from 1.

        Every request may need the first worker, few the tenth: the worth falls as the number grows.
        """
        starts = _WORTH_AT_DEFAULT * exp(_WORTH_FALL * (DEFAULT_UTILIZATION - self.utilization))
        most_s = _MOST_WORTH_OF_FIRST_S if number == 1 else _MOST_WORTH_S
        return min(most_s, starts * max(start_s, _SHORTEST_START_S)) / number

    @property
    def eagerness(self) -> float:
        """How much sooner than one cold start after it serves an ordered worker should have emptied the queue."""
        return max(1.0, _FREE_SLOTS_BELOW / self.utilization)
