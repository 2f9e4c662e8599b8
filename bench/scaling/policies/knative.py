"""Knative's pod autoscaler, from `knative/serving`: pkg/autoscaler/scaling/autoscaler.go, with its defaults."""

from collections import deque
from math import ceil, floor

from bench.scaling.autoscaler import Autoscaler, View

_STABLE_WINDOW_S, _PANIC_WINDOW_S = 60.0, 6.0
_PANIC_THRESHOLD = 2.0
_MAX_SCALE_UP_RATE, _MAX_SCALE_DOWN_RATE = 1_000, 2
_ZERO_GRACE_S = 30.0


class KnativeKpa(Autoscaler):
    """Two windows of concurrency; in panic never down. Its activator holds requests while there is no worker."""

    interval_s = 2.0
    #: A revision's `timeoutSeconds`, after which a pod that goes is killed.
    drain_s = 300.0

    def __init__(self, utilization: float, slots: int) -> None:
        self._target = utilization * slots
        self._seen: deque[tuple[float, float]] = deque()
        self._panic_since: float | None = None
        self._panic_size = 0
        self._idle_since: float | None = None

    def size(self, view: View, present: int) -> int:
        """The larger of the two windows' wishes while in panic, else the stable one's."""
        self._seen.append((view.at, view.in_flight_mean))
        while self._seen[0][0] <= view.at - _STABLE_WINDOW_S:
            self._seen.popleft()
        ready = max(1, view.ready)
        stable = self._wanted(view.at - _STABLE_WINDOW_S, ready)
        panic = self._wanted(view.at - _PANIC_WINDOW_S, ready)
        self._watch_for_panic(view.at, panic.raw / ready >= _PANIC_THRESHOLD)
        return self._zero_grace(view, present, self._in_panic(max(stable.bounded, panic.bounded), stable.bounded))

    def _wanted(self, since: float, ready: int) -> "_Wish":
        values = [value for at, value in self._seen if at > since]
        raw = ceil(sum(values) / len(values) / self._target)
        return _Wish(raw, min(max(raw, floor(ready / _MAX_SCALE_DOWN_RATE)), _MAX_SCALE_UP_RATE * ready))

    def _watch_for_panic(self, now: float, over: bool) -> None:
        if over:
            self._panic_since = now
        elif self._panic_since is not None and self._panic_since + _STABLE_WINDOW_S < now:
            self._panic_since, self._panic_size = None, 0

    def _in_panic(self, larger: int, stable: int) -> int:
        if self._panic_since is None:
            return stable
        self._panic_size = max(self._panic_size, larger)
        return self._panic_size

    def _zero_grace(self, view: View, present: int, wanted: int) -> int:
        if wanted > 0 or present == 0:
            self._idle_since = None
            return max(wanted, 1 if view.queued else 0)
        self._idle_since = view.at if self._idle_since is None else self._idle_since
        return 1 if view.at - self._idle_since < _ZERO_GRACE_S else 0


class _Wish:
    def __init__(self, raw: int, bounded: int) -> None:
        self.raw = raw
        self.bounded = bounded
