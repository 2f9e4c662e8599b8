"""What an SRE sees: Prometheus metrics of one gateway. Counted per stream, never per token on the hot path."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """All metrics of a gateway, in a registry of its own so that tests can make many."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted = Counter(
            "tailrace_gateway_streams_accepted", "Streams accepted.", ["model", "kind"], registry=self.registry
        )
        self.refused = Counter(
            "tailrace_gateway_requests_refused", "Requests refused, by error code.", ["code"], registry=self.registry
        )
        self.ended = Counter(
            "tailrace_gateway_streams_ended",
            "Responses that came to their end, by outcome: failed ones broke, refused ones were the request's fault.",
            ["model", "outcome"],
            registry=self.registry,
        )
        self.resumed = Counter("tailrace_gateway_resumes", "Reads of GET /v1/streams/{id}.", registry=self.registry)
        self.attached = Counter(
            "tailrace_gateway_idempotent_attaches", "POSTs that attached to a stream by key.", registry=self.registry
        )
        self.first_event = Histogram(
            "tailrace_gateway_first_worker_event_seconds",
            "From acceptance to the first event of a worker.",
            ["model"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.readers = Gauge("tailrace_gateway_open_readers", "Clients being served now.", registry=self.registry)
        self.streams = Gauge("tailrace_gateway_own_streams", "Unfinished own streams.", registry=self.registry)
        self.handed_back = Gauge(
            "tailrace_gateway_requests_handed_back", "Requests of dead workers given back.", registry=self.registry
        )
        self.draining = Gauge(
            "tailrace_gateway_draining", "1 once it was told to stop: it serves what is open.", registry=self.registry
        )
        self.connections = Gauge("tailrace_gateway_connections", "Open client connections.", registry=self.registry)
        self.responses = Gauge(
            "tailrace_gateway_open_responses", "Requests that are not answered to the end.", registry=self.registry
        )
