"""Ours with a short forecast on top, to see what that brings: load that grows steadily is met a cold start ahead."""

from collections import deque
from math import ceil, sqrt

from bench.scaling.autoscaler import View
from bench.scaling.policies.tailrace import Tailrace

#: A trend is believed when it differs from none by so many standard deviations of a Poisson count.
_SIGNIFICANT = 2.0
_SHORTEST_WINDOW_S = 60.0


class TailraceForecast(Tailrace):
    """Adds the workers that the arrivals' trend calls for when a worker ordered now will serve."""

    def __init__(self, utilization: float, slots: int) -> None:
        super().__init__(utilization, slots)
        self._looks: deque[View] = deque()

    def size(self, view: View, present: int) -> int:
        """What ours would ask for, or what the trend calls for if that is more."""
        self._looks.append(view)
        half_s = max(_SHORTEST_WINDOW_S, view.cold_start_s / 2)
        while view.at - self._looks[0].at > 2 * half_s:
            self._looks.popleft()
        return max(super().size(view, present), self._foreseen(view, half_s))

    def _foreseen(self, view: View, half_s: float) -> int:
        """Workers for the load one cold start from now, by the difference of two halves of a window."""
        service_s = self._state.history.mean_service_s()
        oldest, middle = self._looks[0], next(look for look in self._looks if view.at - look.at <= half_s)
        if service_s is None or view.at - oldest.at < 1.8 * half_s:
            return 0
        before, after = middle.accepted - oldest.accepted, view.accepted - middle.accepted
        if after - before <= _SIGNIFICANT * sqrt(before + after):
            return 0
        rate = after / half_s + (after - before) / half_s**2 * (half_s / 2 + view.cold_start_s)
        return ceil(rate * service_s / self._policy.streams_per_worker)
