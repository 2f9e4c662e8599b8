"""A waiting client is told why, by what the workers report."""

from tailrace_gateway.workers import describe
from tailrace_protocol.reports import WorkerReport
from tailrace_protocol.subjects import ModelKey

MODEL = ModelKey("default", "m")


def report(state, model="m", progress="", active=0):
    return WorkerReport(f"w-{state}", "default", model, state, capacity=4, active=active, progress=progress)


def test_without_a_worker_it_says_so():
    assert describe(MODEL, [])["state"] == "no_worker"
    assert describe(MODEL, [report("ready", model="other"), report("draining")])["state"] == "no_worker"


def test_a_loading_worker_passes_its_progress_on():
    told = describe(MODEL, [report("loading", progress="loading weights: 42 %")])
    assert told == {"state": "loading", "detail": "loading weights: 42 %"}


def test_a_ready_worker_means_waiting_for_a_slot_whatever_else_loads():
    told = describe(MODEL, [report("loading"), report("ready", active=4)])
    assert told["state"] == "queued"
    assert "4 streams on 1 workers" in told["detail"]
