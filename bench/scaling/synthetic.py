"""Arrivals made up to be hard in one way each: Poisson, with a rate that changes.

Tuned on are `step`, `spikes` and `daynight`; the others judge.
"""

import math
import random
from collections.abc import Callable

from bench.scaling.request import Request, service_s

_MINUTE_S = 60.0
_CONTEXT_TOKENS = 1_000
_MEAN_GENERATED_TOKENS = 200
#: The mean time of service of these requests: a load of so many streams at a time is this many times the rate.
_MEAN_SERVICE_S = service_s(_CONTEXT_TOKENS, _MEAN_GENERATED_TOKENS)

#: Each: streams at a time as a function of seconds, length in minutes, seed.
_Load = tuple[Callable[[float], float], float, int]

_LOADS: dict[str, _Load] = {
    "step": (lambda t: 40 if 1_200 <= t < 2_400 else 8, 60, 1),
    "ramp": (lambda t: 2 + 58 * min(t, 3_600 - t) / 1_800, 60, 2),
    "spikes": (lambda t: 60 if t % 600 < 60 else 3, 90, 3),
    "daynight": (lambda t: 20 * (1 - math.cos(2 * math.pi * t / 7_200)), 240, 4),
    "leak": (lambda t: 4 + 20 * t / 7_200, 120, 5),
    "flapping": (lambda t: 20 if int(t / 45) % 2 else 4, 60, 6),
    "sparse": (lambda t: _MEAN_SERVICE_S / 240, 180, 7),
}

NAMES = tuple(_LOADS)
TUNED_ON = ("step", "spikes", "daynight")


def make(name: str) -> list[Request]:
    """The requests of one of `NAMES`: always the same ones."""
    load, minutes, seed = _LOADS[name]
    return _poisson(lambda t: load(t) / _MEAN_SERVICE_S, minutes * _MINUTE_S, random.Random(seed))


def _poisson(rate: Callable[[float], float], length_s: float, draw: random.Random) -> list[Request]:
    """Arrivals by thinning (Lewis and Shedler 1979): drawn at the highest rate, kept by the present one's share."""
    highest = 1.05 * max(rate(length_s * step / 2_000) for step in range(2_001))
    requests, at = [], draw.expovariate(highest)
    while at <= length_s:
        generated = max(1, int(draw.expovariate(1 / _MEAN_GENERATED_TOKENS)))
        if draw.random() * highest < rate(at):
            requests.append(Request(at, service_s(_CONTEXT_TOKENS, generated)))
        at += draw.expovariate(highest)
    return requests
