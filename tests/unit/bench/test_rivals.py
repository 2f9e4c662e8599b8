"""The rivals do what their code does: each by the cases that their own documentation or tests tell of."""

import itertools

import pytest

from bench.scaling.autoscaler import View
from bench.scaling.policies.hpa import HpaUtilization, KedaHpa
from bench.scaling.policies.knative import KnativeKpa
from bench.scaling.policies.kubeai import KubeAi


def view(at, in_flight, ready=1, starting=0, mean=None, slots=10):
    active = min(in_flight, ready * slots)
    mean = in_flight if mean is None else mean
    return View(at, in_flight, active, in_flight - active, ready, starting, slots, 60.0, mean, mean)


def course(policy, steps, present=1):
    """The sizes that a policy asks for while (seconds, in flight) go by, every worker serving at once."""
    now, sizes = 0.0, []
    for seconds, in_flight in steps:
        for _ in range(int(seconds / policy.interval_s)):
            present = policy.size(view(now, in_flight, ready=present), present)
            sizes.append(present)
            now += policy.interval_s
    return sizes


def test_knative_asks_for_concurrency_over_target():
    assert course(KnativeKpa(0.7, 10), [(120, 35)])[-1] == 5


def test_knative_goes_up_at_once_in_panic_and_not_down_while_it_lasts():
    sizes = course(KnativeKpa(1.0, 10), [(60, 5), (12, 100), (40, 5)])
    assert 10 in sizes[30:36]
    assert sizes[-1] == 10


def test_knative_never_more_than_halves_in_one_look():
    policy = KnativeKpa(1.0, 10)
    sizes = course(policy, [(200, 80), (200, 1)])
    assert all(after * 2 >= before - 1 for before, after in itertools.pairwise(sizes))
    assert sizes[-1] == 1


def test_knative_goes_to_zero_after_a_window_and_a_grace():
    sizes = course(KnativeKpa(1.0, 10), [(60, 5), (200, 0)])
    idle = sizes[30:].index(0) * 2
    assert 60 + 30 <= idle + 2 <= 60 + 30 + 6


def test_kubeai_dilutes_a_burst_sixty_times():
    policy = KubeAi(1.0, 10)
    assert course(policy, [(10, 100)]) == [1]
    assert course(KubeAi(1.0, 10), [(600, 100)])[-1] == 10


def test_kubeai_goes_down_after_three_looks_in_a_row_were_for_it():
    policy = KubeAi(1.0, 10)
    assert [policy.size(view(10.0 * i, 0), 2) for i in range(5)] == [2, 2, 2, 0, 0]


def test_the_hpa_goes_up_by_twice_or_four_in_fifteen_seconds():
    assert course(KedaHpa(1.0, 10), [(45, 1_000)]) == [5, 10, 20]


def test_the_hpa_holds_the_highest_wish_of_five_minutes():
    sizes = course(KedaHpa(1.0, 10), [(60, 50), (285, 10)])
    assert sizes[-1] == 5
    assert course(KedaHpa(1.0, 10), [(60, 50), (330, 10)])[-1] == 1


@pytest.mark.parametrize(("in_flight", "size"), [(21, 2), (23, 3), (19, 2), (8, 1)])
def test_the_hpa_tolerates_a_tenth(in_flight, size):
    policy = KedaHpa(1.0, 10)
    assert policy.size(view(0.0, in_flight, ready=2), 2) == size


def test_keda_sees_the_first_request_at_its_next_poll_and_goes_to_zero_after_its_cooldown():
    policy = KedaHpa(1.0, 10)
    assert policy.on_request_at_zero() == 0
    assert [policy.size(view(t, 1 if t else 0, ready=0), 0) for t in (0.0, 15.0, 30.0)] == [0, 0, 1]
    idle = KedaHpa(1.0, 10)
    sizes = course(idle, [(60, 5), (400, 0)])
    assert 255 <= sizes[4:].index(0) * 15 <= 300


def test_the_hpa_on_utilization_does_not_see_the_queue_and_never_goes_to_zero():
    policy = HpaUtilization(0.5)
    assert policy.size(view(0.0, 1_000, ready=1), 1) == 2
    assert course(HpaUtilization(0.5), [(2_000, 0)])[-1] == 1


def test_the_hpa_counts_starting_pods_as_idle_on_the_way_up():
    policy = HpaUtilization(0.5)
    assert policy.size(view(0.0, 10, ready=1, starting=1), 2) == 2
