"""The kubelet must tell a worker that starts from one that is dead, and one that drains from one that serves."""

import pytest
from tailrace_worker import probes
from tailrace_worker.status import Status

LOADING = Status(8, "loading", "loading weights: 30 s")
READY = Status(8, "ready", "")
DRAINING = Status(8, "draining", "")
DEAD = Status(8, "draining", "", defect="the engine died: CUDA error")


@pytest.mark.parametrize("status", [Status(8), LOADING, READY, DRAINING])
def test_a_worker_whose_parts_live_is_alive_whatever_it_does(status):
    assert probes.live(status).status == 200


def test_a_worker_whose_engine_died_is_not_and_says_why():
    assert probes.live(DEAD) == probes.Answer(503, "the engine died: CUDA error")


@pytest.mark.parametrize(
    ("status", "code"), [(Status(8), 503), (LOADING, 503), (READY, 200), (DRAINING, 200), (DEAD, 200)]
)
def test_it_has_started_once_its_engine_has_loaded(status, code):
    assert probes.startup(status).status == code


def test_a_starting_worker_says_how_far_it_is():
    assert probes.startup(LOADING).sentence == "loading: loading weights: 30 s"
    assert probes.ready(LOADING).sentence == "loading: loading weights: 30 s"


@pytest.mark.parametrize(
    ("status", "code"), [(Status(8), 503), (LOADING, 503), (READY, 200), (DRAINING, 503), (DEAD, 503)]
)
def test_only_a_worker_that_takes_requests_is_ready(status, code):
    assert probes.ready(status).status == code
