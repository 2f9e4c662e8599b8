"""The numbers that an SRE sees are those of the worker, and nobody else's."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tailrace_worker.metrics import Metrics
from tailrace_worker.status import Status


def samples(metrics, status):
    page = metrics.page(status).decode()
    return {(s.name, *s.labels.values()): s.value for f in text_string_to_metric_families(page) for s in f.samples}


def test_exactly_one_state_is_the_workers():
    found = samples(Metrics("m"), Status(8, "draining"))
    states = {labels[-1]: value for labels, value in found.items() if labels[0] == "tailrace_worker_state"}
    assert states.pop("draining") == 1
    assert set(states) == {"starting", "loading", "ready", "failed"}
    assert set(states.values()) == {0}


def test_capacity_and_active_streams_are_those_of_the_status():
    found = samples(Metrics("m"), Status(8, "ready", active=3))
    assert found["tailrace_worker_capacity_streams", "m"] == 8
    assert found["tailrace_worker_active_streams", "m"] == 3


@pytest.mark.parametrize("outcome", ["finished", "failed", "cancelled", "handed_over", "superseded"])
def test_every_outcome_is_counted_from_zero_for_itself(outcome):
    metrics = Metrics("m")
    assert samples(metrics, Status(8))["tailrace_worker_streams_total", "m", outcome] == 0
    metrics.ended(outcome)
    counts = {k: v for k, v in samples(metrics, Status(8)).items() if k[0] == "tailrace_worker_streams_total"}
    assert {key[-1] for key, value in counts.items() if value} == {outcome}


def test_the_page_holds_what_others_in_the_process_registered():
    """vLLM registers its metrics there."""
    assert "python_info" in {name for name, *_ in samples(Metrics("m"), Status(8))}
