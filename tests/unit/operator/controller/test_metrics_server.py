"""What scalers of others read."""

import json
import socket
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge
from tailrace_operator.controller.metrics import Metrics
from tailrace_operator.controller.metrics_server import application, start
from tailrace_operator.controller.world import Key

KNOWN: dict[tuple[str, str], dict[str, Any]] = {("a", "echo"): {"inFlight": 7, "queued": 3}, ("a", "unknown"): {}}


def get(path: str) -> tuple[str, str]:
    registry = CollectorRegistry()
    Gauge("some_number", "A number.", registry=registry).set(4)
    said: list[str] = []
    app = application(registry, lambda namespace, name: KNOWN.get((namespace, name)))
    body = app({"PATH_INFO": path, "REQUEST_METHOD": "GET"}, lambda status, headers: said.append(status))
    return said[0], b"".join(body).decode()


def test_prometheus_reads_its_page() -> None:
    status, body = get("/metrics")
    assert status == "200 OK"
    assert "some_number 4.0" in body


def test_a_scaler_reads_one_model() -> None:
    status, body = get("/scaling/a/echo")
    assert (status, json.loads(body)) == ("200 OK", {"inFlight": 7, "queued": 3})


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/scaling/a/unknown", "503 Service Unavailable", "not known now"),
        ("/scaling/b/echo", "404 Not Found", "there is no StreamingModel b/echo"),
        ("/scaling", "404 Not Found", "/scaling/<namespace>/<model>"),
        ("/scaling/a/echo/x", "404 Not Found", "/scaling/<namespace>/<model>"),
    ],
)
def test_what_is_not_known_is_no_zero(path: str, status: str, told: str) -> None:
    said, body = get(path)
    assert said == status
    assert told in json.loads(body)["error"]


def test_answers_come_whole_over_a_connection() -> None:
    """One after the other, of other lengths: headers of one are not those of the next."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = start(port, CollectorRegistry(), lambda namespace, name: KNOWN.get((namespace, name)))
    try:
        for name, status in (("echo", 200), ("unknown", 503), ("echo", 200), ("nobody", 404)):
            answer = httpx.get(f"http://127.0.0.1:{port}/scaling/a/{name}")
            assert (answer.status_code, type(answer.json())) == (status, dict)
    finally:
        stop()


def test_a_model_that_cannot_be_counted_has_no_number() -> None:
    metrics, key = Metrics(), Key("StreamingModel", "a", "echo")
    labels = {"namespace": "a", "name": "echo"}

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(f"tailrace_operator_{name}", labels)

    metrics.scaling.measure(key, (4, 3))
    metrics.scaling.decided(key, 2, "")
    assert (value("streams_in_flight"), value("requests_queued"), value("scaling_desired_replicas")) == (7, 3, 2)
    metrics.scaling.measure(key, None)
    metrics.scaling.measure(key, None)
    assert (value("streams_in_flight"), value("requests_queued")) == (None, None)
    metrics.scaling.forget(key)
    assert value("scaling_desired_replicas") is None
