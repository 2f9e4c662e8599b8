"""How many workers the present load needs, without a thought for those that are idle.

Two questions. What arrives (rate times mean time of service, by Little's law) needs its share of slots for ever. What
waits already needs a worker only if it would still wait once that worker serves: a queue that those who are starting
will have emptied by then asks for nobody. Counting the queue as if it were load, as averages of concurrency do, orders
many times too much where a cold start takes minutes.
"""

from dataclasses import dataclass
from math import ceil

from tailrace_operator.scaling.history import History
from tailrace_operator.scaling.policy import Policy
from tailrace_operator.scaling.sample import Sample

#: A worker that starts within seconds is ordered as if it took this long, or one request in the queue would order many.
_SHORTEST_HORIZON_S = 10.0
#: Rounding errors are no load.
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Need:
    """Workers, and why."""

    workers: int
    reason: str
    by: str = ""
    """What keeps the size from what the load asks for, in a word for programs; nothing where nothing does."""


def needed(history: History, sample: Sample, policy: Policy) -> Need:
    """Workers for the load at `sample`, whose course `history` tells. At least one while anything is in flight."""
    now = history.mean_in_flight(_panic_window_s(sample))
    enough = max(_workers(now, policy), 1 if sample.in_flight else 0)
    service_s = history.mean_service_s()
    if service_s is None:
        return Need(enough, f"{now:.1f} streams in flight")
    offered = history.arrivals_per_s(_stable_window_s(sample)) * service_s
    steady, backlog = _workers(offered, policy), _for_backlog(offered, service_s, sample, policy)
    if max(steady, backlog) >= enough:
        return Need(enough, f"{now:.1f} streams in flight")
    if backlog > steady:
        return Need(max(backlog, 1), f"{sample.queued} requests wait longer than a worker takes to start")
    return Need(max(steady, 1 if sample.in_flight else 0), f"{offered:.1f} streams at a time arrive")


def _for_backlog(offered: float, service_s: float, sample: Sample, policy: Policy) -> int:
    """Workers so that the queue is empty one horizon after those that were asked for serve; 0 if it will be anyway."""
    if not sample.queued:
        return 0
    horizon_s = max(sample.start_s, _SHORTEST_HORIZON_S) / policy.eagerness
    left = sample.queued * service_s + (offered - sample.workers * policy.slots) * horizon_s
    if left <= 0:
        return 0
    return sample.workers + ceil(left / (policy.streams_per_worker * horizon_s) - _EPSILON)


def _workers(streams: float, policy: Policy) -> int:
    return max(0, ceil(streams / policy.streams_per_worker - policy.tolerance - _EPSILON))


def _stable_window_s(sample: Sample) -> float:
    """A burst that ends before a worker could serve it is not worth one."""
    return min(120.0, max(5.0, sample.start_s / 4))


def _panic_window_s(sample: Sample) -> float:
    return min(15.0, max(2.0, sample.start_s / 15))
