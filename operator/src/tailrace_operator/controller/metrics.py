"""The operator's own numbers, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tailrace_operator.controller.scaling_metrics import ScalingMetrics


class Metrics:
    """One object per process, so that tests do not share numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "tailrace_operator_reconciles",
            "Looks at an object, by kind and result (done, failed)",
            ["kind", "result"],
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "tailrace_operator_reconcile_seconds",
            "Time of one look at an object",
            ["kind"],
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10),
            registry=self.registry,
        )
        self.api_requests = Counter(
            "tailrace_operator_api_requests",
            "Requests to the Kubernetes API, by verb and kind; get and list are reads",
            ["verb", "kind"],
            registry=self.registry,
        )
        self.waiting = Gauge(
            "tailrace_operator_waiting_objects", "Objects that wait for a look or have one", registry=self.registry
        )
        self.broker_connected = Gauge(
            "tailrace_operator_broker_connected", "1 while the operator is connected to NATS", registry=self.registry
        )
        self.scaling = ScalingMetrics(self.registry)
        self.conditions = Gauge(
            "tailrace_operator_condition",
            "Each condition of each resource: 1 true, 0 false, -1 unknown",
            ["kind", "namespace", "name", "condition"],
            registry=self.registry,
        )
