"""A waiting client is told why, by what the workers and the operator report."""

from tailrace_gateway.outlook import Outlook, describe
from tailrace_protocol.reports import ModelReport, WorkerReport
from tailrace_protocol.subjects import ModelKey

MODEL = ModelKey("default", "m")


def report(state, model="m", progress="", active=0):
    return WorkerReport(f"w-{state}", "default", model, state, capacity=4, active=active, progress=progress)


def about(state="NoGPUFree", model="m", **fields):
    return ModelReport("default", model, state, "no node has a free GPU", **fields)


def outlook(*workers, model=None, now=0.0):
    made = Outlook()
    for worker in workers:
        made.workers.take(worker, now)
    if model:
        made.take(model, now)
    return made


def test_without_a_worker_it_says_so():
    assert describe([], None)["state"] == "no_worker"
    others = outlook(report("ready", model="other"), report("draining"), model=about(model="other"))
    assert others.describe(MODEL, 0.5)["state"] == "no_worker"


def test_a_loading_worker_passes_its_progress_on():
    told = describe([report("loading", progress="loading weights: 42 %")], about())
    assert told == {"state": "loading", "detail": "loading weights: 42 %"}


def test_a_ready_worker_means_waiting_for_a_slot_whatever_else_loads():
    told = describe([report("loading"), report("ready", active=4)], about())
    assert told["state"] == "queued"
    assert "4 streams on 1 workers" in told["detail"]


def test_without_workers_the_operator_has_the_word_for_as_long_as_its_lease_runs():
    made = outlook(model=about(lease_s=4.0))
    assert made.describe(MODEL, 3.9) == {"state": "NoGPUFree", "detail": "no node has a free GPU"}
    assert made.describe(MODEL, 4.0)["state"] == "no_worker"


def test_nobody_despairs_while_a_worker_lives_or_the_operator_has_hope_or_is_silent():
    assert outlook(model=about(hopeless=True)).despair(MODEL, 1.0) == "no node has a free GPU"
    assert outlook(model=about(hopeless=True, lease_s=4.0)).despair(MODEL, 4.0) == ""
    assert outlook(model=about()).despair(MODEL, 1.0) == ""
    for state in ("starting", "loading", "ready"):
        assert outlook(report(state), model=about(hopeless=True)).despair(MODEL, 1.0) == ""
    assert outlook(report("draining"), model=about(hopeless=True)).despair(MODEL, 1.0)


def test_only_a_live_ready_worker_serves():
    assert outlook(report("ready")).is_served(MODEL, 1.9)
    assert not outlook(report("ready")).is_served(MODEL, 2.0)
    assert not outlook(report("loading"), report("draining")).is_served(MODEL, 1.0)
