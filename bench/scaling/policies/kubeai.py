"""KubeAI's autoscaler, from `substratusai/kubeai`: internal/modelautoscaler, with its chart's defaults."""

from collections import deque
from math import ceil

from bench.scaling.autoscaler import Autoscaler, View

_SAMPLES = 60
_DOWNS_IN_A_ROW = 3


class KubeAi(Autoscaler):
    """The mean of sixty samples, ten seconds apart, that begin as zeros; its proxy starts the first worker."""

    interval_s = 10.0

    def __init__(self, utilization: float, slots: int) -> None:
        self._target = utilization * slots
        self._seen = deque([0.0] * _SAMPLES, maxlen=_SAMPLES)
        self._downs = 0

    def size(self, view: View, present: int) -> int:
        """The mean over the target; down only when that was so three times before."""
        if present and not view.ready:
            return present
        self._seen.append(view.in_flight)
        wanted = ceil(sum(self._seen) / _SAMPLES / self._target)
        if wanted >= present:
            self._downs = 0
            return wanted
        if self._downs < _DOWNS_IN_A_ROW:
            self._downs += 1
            return present
        return wanted
