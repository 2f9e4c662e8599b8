"""A gateway that leaves goes neither too early, when requests are still on their way, nor never."""

import pytest
from tailrace_gateway.drain import plan


@pytest.mark.parametrize(("elapsed", "over"), [(0.0, False), (4.9, False), (5.0, True), (60.0, True)])
def test_an_idle_gateway_waits_until_everybody_knows(elapsed, over):
    assert plan(0, elapsed, drain_s=300, quiet_s=5).over is over


@pytest.mark.parametrize(("elapsed", "over"), [(5.0, False), (299.9, False), (300.0, True), (301.0, True)])
def test_an_open_response_is_waited_for_until_the_deadline(elapsed, over):
    assert plan(1, elapsed, drain_s=300, quiet_s=5).over is over


@pytest.mark.parametrize("open_responses", [0, 3])
def test_the_deadline_counts_even_when_the_quiet_time_is_longer(open_responses):
    assert plan(open_responses, 2.0, drain_s=2, quiet_s=5).over


def test_the_reason_is_told():
    assert plan(3, 1, 300, 5).reason == "3 responses are open"
    assert plan(3, 300, 300, 5).reason == "the drain deadline of 300 s has come: 3 responses are open"
    assert plan(0, 1, 300, 5).reason == "requests may still arrive: waiting for 4 s more"
    assert plan(0, 6, 300, 5).reason == "no response is open"
