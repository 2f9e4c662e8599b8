"""The limit: who knows the future has each worker serve in the moment that it is needed, and not a second longer.

It makes nobody wait, whatever that costs. A policy may spend less by letting requests wait.
"""

import math
from collections.abc import Sequence

from bench.scaling.autoscaler import Autoscaler, View
from bench.scaling.request import Request


class Oracle(Autoscaler):
    """Starts a worker one cold start before it is needed; keeps it over pauses that are shorter than a cold start."""

    hands_over = True
    starts_warm = False

    def __init__(self, utilization: float, slots: int, requests: Sequence[Request], cold_start_s: float) -> None:
        self._lead_s = cold_start_s
        self._changes = _changes(requests, utilization * slots, cold_start_s)
        self._done = 0
        self._size = 0

    @property
    def first_look(self) -> float:
        """Before the first request comes."""
        return -self._lead_s

    def on_request_at_zero(self) -> int:
        """It is never surprised."""
        return 0

    def size(self, view: View, present: int) -> int:
        """What the plan says for now."""
        while self._done < len(self._changes) and self._changes[self._done][0] <= view.at:
            self._size += self._changes[self._done][1]
            self._done += 1
        return self._size

    def next_look(self, now: float) -> float:
        """At the next change of the plan."""
        return self._changes[self._done][0] if self._done < len(self._changes) else math.inf


def _changes(requests: Sequence[Request], streams_per_worker: float, cold_start_s: float) -> list[tuple[float, int]]:
    """When to add and to take a worker: each level's times of need, pauses bridged that are cheaper than a start."""
    changes: list[tuple[float, int]] = []
    for times in _times_needed(requests, streams_per_worker).values():
        for start, end in _bridged(times, cold_start_s):
            changes += [(start - cold_start_s, 1), (end, -1)]
    return sorted(changes, key=lambda change: (change[0], -change[1]))


def _times_needed(requests: Sequence[Request], streams_per_worker: float) -> dict[int, list[tuple[float, float]]]:
    """From when to when each level, the first worker being 1, is needed for nobody to wait."""
    edges = sorted([(at, 1) for at, _ in requests] + [(at + seconds, -1) for at, seconds in requests])
    times: dict[int, list[tuple[float, float]]] = {}
    since: list[float] = []
    streams = 0
    for at, change in edges:
        streams += change
        wanted = math.ceil(streams / streams_per_worker - 1e-9)
        while len(since) < wanted:
            since.append(at)
        while len(since) > wanted:
            times.setdefault(len(since), []).append((since.pop(), at))
    return times


def _bridged(times: Sequence[tuple[float, float]], cold_start_s: float) -> list[tuple[float, float]]:
    joined = [times[0]]
    for start, end in times[1:]:
        if start - joined[-1][1] <= cold_start_s:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
