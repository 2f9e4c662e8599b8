"""What an SRE sees of one worker: Prometheus metrics. vLLM's own (`vllm:...`) are in the same process and page."""

from typing import Literal, get_args

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, generate_latest
from tailrace_protocol.reports import WorkerState

from tailrace_worker.status import Status

#: How an attempt at a stream ended here. A stream that is handed over goes on elsewhere, with another attempt.
Outcome = Literal["finished", "failed", "cancelled", "handed_over", "superseded"]


class Metrics:
    """All metrics of a worker, in a registry of its own so that tests can make many."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self._streams = self._counter("streams", "Attempts at streams that ended here, by outcome.", "outcome")
        self._streams_by = {outcome: self._streams.labels(model, outcome) for outcome in get_args(Outcome)}
        self._tokens = self._counter("tokens", "Tokens generated here; what was replayed is not counted.")
        self.tokens = self._tokens.labels(model)
        self._continuations = self._counter("continuations", "Attempts that continued what was in the log already.")
        self.continuations = self._continuations.labels(model)
        self._capacity = self._gauge("capacity_streams", "Streams that this worker can run at once.").labels(model)
        self._active = self._gauge("active_streams", "Streams that run here now.").labels(model)
        state = self._gauge("state", "1 for the state that the worker is in, 0 for the others.", "state")
        self._states = {name: state.labels(model, name) for name in get_args(WorkerState)}

    def tokens_so_far(self) -> float:
        """Tokens that were ever generated here."""
        samples = (sample for metric in self._tokens.collect() for sample in metric.samples)
        return float(sum(sample.value for sample in samples if sample.name.endswith("_total")))

    def ended(self, outcome: Outcome) -> None:
        """An attempt at a stream ended here."""
        self._streams_by[outcome].inc()

    def page(self, status: Status) -> bytes:
        """Everything as Prometheus reads it, the engine's and the process's own metrics included."""
        self._capacity.set(status.capacity)
        self._active.set(status.active)
        for name, gauge in self._states.items():
            gauge.set(name == status.state)
        return generate_latest(self.registry) + generate_latest(REGISTRY)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"tailrace_worker_{name}", text, ["model", *labels], registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"tailrace_worker_{name}", text, ["model", *labels], registry=self.registry)
