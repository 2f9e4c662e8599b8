"""How hard the engine works: tokens a second, the time between a stream's tokens, and what vLLM tells of its cache."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry

_KV_USE = "vllm:kv_cache_usage_perc"
_WAITING = "vllm:num_requests_waiting"
#: Shorter than this, a look says more of chunking than of the engine.
_SHORTEST_LOOK_S = 0.4


@dataclass(frozen=True, slots=True)
class Load:
    """One look. Zeros stand for what is not known."""

    tokens_per_s: float = 0.0
    inter_token_s: float = 0.0
    """Seconds between two tokens of one stream, the mean over those that generate."""
    kv_use: float = 0.0
    """The share of the engine's cache that is in use, from 0 to 1."""
    waiting: int = 0
    """Requests that the engine has accepted and not begun."""


class LoadMeter:
    """Looks at a counter of tokens, and at vLLM's own metrics where they are."""

    def __init__(
        self,
        tokens: Callable[[], float],
        registry: CollectorRegistry = REGISTRY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens, self._registry, self._clock = tokens, registry, clock
        self._at, self._counted = clock(), tokens()
        self._last = Load()

    def look(self, active: int) -> Load:
        """The load since the last look, while `active` streams ran."""
        now, counted = self._clock(), self._tokens()
        elapsed = now - self._at
        if elapsed < _SHORTEST_LOOK_S:
            return self._last
        rate = (counted - self._counted) / elapsed
        self._at, self._counted = now, counted
        found = self._vllm()
        kv_use, waiting = found.get(_KV_USE, 0.0), int(found.get(_WAITING, 0))
        generating = max(0, active - waiting)
        self._last = Load(round(rate, 1), round(generating / rate, 6) if rate > 0 else 0.0, kv_use, waiting)
        return self._last

    def _vllm(self) -> dict[str, float]:
        """vLLM's gauges by name, of all engines of this process together."""
        found: dict[str, float] = {}
        for metric in self._registry.restricted_registry([_KV_USE, _WAITING]).collect():
            values = [sample.value for sample in metric.samples]
            if values:
                found[metric.name] = max(values) if metric.name == _KV_USE else sum(values)
        return found
