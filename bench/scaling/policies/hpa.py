"""The HorizontalPodAutoscaler, alone on the engine's use and with KEDA in front of it on the streams in flight.

From `kubernetes/kubernetes`: pkg/controller/podautoscaler (replica_calculator.go, horizontal.go) and the defaults of
autoscaling/v2; from `kedacore/keda`: pkg/scaling, with the defaults of a ScaledObject.
"""

from abc import abstractmethod
from collections import deque
from math import ceil

from bench.scaling.autoscaler import Autoscaler, View

_TOLERANCE = 0.1
_STABILIZATION_S = 300.0
_UP_PERIOD_S = 15.0
_UP_FACTOR, _UP_PODS = 2, 4
_KEDA_POLL_S = 30.0
_KEDA_COOLDOWN_S = 300.0


class _Hpa(Autoscaler):
    interval_s = 15.0

    def __init__(self) -> None:
        self._wishes: deque[tuple[float, int]] = deque()
        self._ups: deque[tuple[float, int]] = deque()

    def size(self, view: View, present: int) -> int:
        return self._behaved(view.at, present, self._wish(view, present))

    @abstractmethod
    def _wish(self, view: View, present: int) -> int: ...

    def _behaved(self, now: float, present: int, wish: int) -> int:
        """Down to the highest wish of five minutes; up by twice or four pods in fifteen seconds."""
        self._wishes.append((now, wish))
        while self._wishes[0][0] < now - _STABILIZATION_S:
            self._wishes.popleft()
        if wish <= present:
            return min(present, max(size for _, size in self._wishes))
        while self._ups and self._ups[0][0] <= now - _UP_PERIOD_S:
            self._ups.popleft()
        before = present - sum(added for _, added in self._ups)
        size = max(present, min(wish, max(before * _UP_FACTOR, before + _UP_PODS)))
        self._ups.append((now, size - present))
        return size


class KedaHpa(_Hpa):
    """KEDA decides between zero and one, every thirty seconds; the HPA the rest."""

    def __init__(self, utilization: float, slots: int) -> None:
        super().__init__()
        self._target = utilization * slots
        self._polled_at: float | None = None
        self._active_at: float | None = None
        self._is_active = False

    def on_request_at_zero(self) -> int:
        """Nobody tells KEDA: it polls."""
        return 0

    def size(self, view: View, present: int) -> int:
        """From zero by KEDA's poll, to zero after its cooldown."""
        if self._polled_at is None or view.at - self._polled_at >= _KEDA_POLL_S:
            self._polled_at, self._is_active = view.at, view.in_flight > 0
            self._active_at = view.at if self._is_active else self._active_at
        if present == 0:
            return 1 if self._is_active else 0
        cooled = self._active_at is None or view.at - self._active_at >= _KEDA_COOLDOWN_S
        return 0 if cooled and not view.in_flight else super().size(view, present)

    def _wish(self, view: View, present: int) -> int:
        if abs(view.in_flight / (self._target * present) - 1) <= _TOLERANCE:
            return present
        return max(1, ceil(view.in_flight / self._target))


class HpaUtilization(_Hpa):
    """On the share of busy slots of the workers that serve; it cannot go to zero."""

    def __init__(self, utilization: float) -> None:
        super().__init__()
        self._utilization = utilization

    def _wish(self, view: View, present: int) -> int:
        """Pods that do not serve yet count as idle on the way up, so that it does not order again what is coming."""
        if not view.ready:
            return max(1, present)
        ratio = view.active / (view.ready * view.slots) / self._utilization
        if abs(ratio - 1) <= _TOLERANCE:
            return max(1, present)
        if ratio < 1 or not view.starting:
            return max(1, ceil(ratio * view.ready))
        pods = view.ready + view.starting
        with_starting = view.active / (pods * view.slots) / self._utilization
        return max(present, ceil(with_starting * pods)) if with_starting > 1 + _TOLERANCE else present
