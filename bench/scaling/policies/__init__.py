"""The policies that are compared, each swept over its own target utilisation."""

from collections.abc import Callable, Sequence

from bench.scaling.autoscaler import Autoscaler
from bench.scaling.policies.forecast import TailraceForecast
from bench.scaling.policies.hpa import HpaUtilization, KedaHpa
from bench.scaling.policies.knative import KnativeKpa
from bench.scaling.policies.kubeai import KubeAi
from bench.scaling.policies.oracle import Oracle
from bench.scaling.policies.tailrace import Tailrace
from bench.scaling.request import Request

#: Makes a policy for a setting, a worker's slots, and what only the oracle looks at: the requests and the cold start.
Maker = Callable[[float, int, Sequence[Request], float], Autoscaler]

MAKERS: dict[str, Maker] = {
    "tailrace": lambda setting, slots, _requests, _cold: Tailrace(setting, slots),
    "tailrace-forecast": lambda setting, slots, _requests, _cold: TailraceForecast(setting, slots),
    "knative-kpa": lambda setting, slots, _requests, _cold: KnativeKpa(setting, slots),
    "kubeai": lambda setting, slots, _requests, _cold: KubeAi(setting, slots),
    "keda-hpa": lambda setting, slots, _requests, _cold: KedaHpa(setting, slots),
    "hpa-utilization": lambda setting, _slots, _requests, _cold: HpaUtilization(setting),
    "oracle": Oracle,
}

_CONCURRENCY = (0.3, 0.5, 0.7, 0.85, 1.0, 1.5)
#: Ours costs nothing to try at more settings: it has one knob, and its curve bends between 0.5 and 0.9.
_UTILIZATION = (
    *(round(0.05 + 0.025 * step, 3) for step in range(18)),
    *(round(0.5 + 0.0125 * step, 4) for step in range(32)),
    *(0.9, 1.0, 1.2, 1.5),
)
SETTINGS: dict[str, tuple[float, ...]] = {
    "tailrace": _UTILIZATION,
    "tailrace-forecast": _UTILIZATION,
    "knative-kpa": _CONCURRENCY,
    "kubeai": _CONCURRENCY,
    "keda-hpa": _CONCURRENCY,
    # The share of busy slots cannot exceed 1, so a target of 1 would never add a worker.
    "hpa-utilization": (0.3, 0.5, 0.7, 0.8, 0.9),
    "oracle": (0.6, 0.7, 0.8, 0.9, 1.0),
}

#: What is compared unless others are asked for: the forecast is an experiment.
COMPARED = tuple(policy for policy in MAKERS if policy != "tailrace-forecast")
