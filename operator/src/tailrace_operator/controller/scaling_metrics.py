"""What is counted of models and decided about them, for Prometheus and for scalers that read it."""

import contextlib
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tailrace_operator.controller.world import Key


class ScalingMetrics:
    """Numbers of each model that is there; what is not known has no number."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.desired = _of_model(registry, "scaling_desired_replicas", "Workers that were decided on, in mode Auto")
        self.in_flight = _of_model(registry, "streams_in_flight", "Streams that run or wait, as the queue counts them")
        self.queued = _of_model(registry, "requests_queued", "Requests that wait for a worker")
        self.limited = Gauge(
            "tailrace_operator_scaling_limited",
            "1 while something keeps a model's size from what is right: `by` says what",
            ["namespace", "name", "by"],
            registry=registry,
        )
        self._limited_by: dict[Key, str] = {}
        self.decisions = Counter(
            "tailrace_operator_scaling_decisions",
            "Changes of a model's size, by direction (up, down)",
            ["direction"],
            registry=registry,
        )
        self.reaction_seconds = Histogram(
            "tailrace_operator_scaling_reaction_seconds",
            "From a gateway's call for workers to the Deployment that has them",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=registry,
        )

    def measure(self, key: Key, load: tuple[int, int] | None) -> None:
        """A model's streams that run and that wait; what could not be counted is told no more, which is not zero."""
        if load is None:
            self._forget((self.in_flight, self.queued), key)
            return
        self.in_flight.labels(key.namespace, key.name).set(sum(load))
        self.queued.labels(key.namespace, key.name).set(load[1])

    def decided(self, key: Key, size: int, by: str) -> None:
        """A model is to have so many workers; kept from more or fewer `by` that, or by nothing."""
        self.desired.labels(key.namespace, key.name).set(size)
        before = self._limited_by.get(key, "")
        if before and before != by:
            self.limited.remove(key.namespace, key.name, before)
        if by:
            self.limited.labels(key.namespace, key.name, by).set(1)
        self._limited_by[key] = by

    def forget(self, key: Key) -> None:
        """The operator does not decide about this model any more."""
        self._forget((self.desired,), key)
        if by := self._limited_by.pop(key, ""):
            self.limited.remove(key.namespace, key.name, by)

    def _forget(self, gauges: Iterable[Gauge], key: Key) -> None:
        for gauge in gauges:
            with contextlib.suppress(KeyError):
                gauge.remove(key.namespace, key.name)


def _of_model(registry: CollectorRegistry, name: str, text: str) -> Gauge:
    return Gauge(f"tailrace_operator_{name}", text, ["namespace", "name"], registry=registry)
