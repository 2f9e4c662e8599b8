"""The simulator: checked by hand on cases small enough for it."""

import itertools

import pytest

from bench.scaling import synthetic
from bench.scaling.autoscaler import Autoscaler
from bench.scaling.policies import MAKERS, SETTINGS
from bench.scaling.policies.oracle import Oracle
from bench.scaling.request import Request, service_s
from bench.scaling.simulation import Setup, Simulation


class Fixed(Autoscaler):
    """So many workers from each moment on."""

    def __init__(self, *sizes, hands_over=False, drain_s=0.0, at_zero=1):
        self.sizes, self.hands_over, self.drain_s, self.at_zero = sizes, hands_over, drain_s, at_zero

    def on_request_at_zero(self):
        return self.at_zero

    def size(self, view, present):
        return [size for since, size in self.sizes if since <= view.at][-1]


def simulated(requests, policy, cold_start_s=10.0, **setup):
    return Simulation([Request(*r) for r in requests], policy, Setup(cold_start_s, **setup)).run()


def test_the_ninth_request_on_eight_slots_waits_for_the_first_to_end():
    outcome = simulated([(0.0, 10.0)] * 9, Fixed((0, 1)))
    assert (outcome.wait_p50_s, outcome.wait_p99_s) == (0.0, 10.0)
    assert (outcome.refused, outcome.streams_cut, outcome.replica_changes) == (0, 0, 0)


def test_every_run_of_a_trace_pays_until_the_same_end():
    one = simulated([(0.0, 10.0)], Fixed((0, 1)), max_wait_s=100)
    two = simulated([(0.0, 10.0)], Fixed((0, 2)), max_wait_s=100)
    assert one.gpu_hours == pytest.approx(100 / 3600, abs=1e-4)
    assert two.gpu_hours == pytest.approx(200 / 3600, abs=1e-4), "what starts costs, too"


def test_a_cold_start_is_waited_for_and_paid():
    outcome = simulated([(50.0, 5.0)], Fixed((0, 0), (50, 1), (56, 0), hands_over=True), cold_start_s=3.0)
    assert outcome.wait_p50_s == 3.0
    assert outcome.gpu_hours == pytest.approx(8 / 3600, abs=1e-4)


def test_who_is_not_told_of_the_first_request_finds_it_at_the_next_look():
    policy = Fixed((0, 0), (51, 1), at_zero=0)
    assert simulated([(50.5, 5.0)], policy, cold_start_s=3.0).wait_p50_s == 3.5


def test_a_worker_that_goes_cuts_its_streams_which_ask_again():
    requests = [(0.0, 30.0)] * 4
    cut = simulated(requests, Fixed((0, 1), (10, 0), (11, 1)), cold_start_s=2.0)
    assert cut.streams_cut == 4
    assert cut.wait_p99_s == 0.0, "what waits after a cut has had its slot once"


def test_a_worker_that_may_drain_cuts_what_lasts_longer():
    requests = [(0.0, 12.0), (0.0, 30.0)]
    assert simulated(requests, Fixed((0, 1), (10, 0), (11, 1), drain_s=5.0)).streams_cut == 1


def test_a_worker_that_hands_over_cuts_nothing_and_waits_for_room():
    requests = [(0.0, 30.0)] * 8
    outcome = simulated(requests, Fixed((0, 2), (5, 1), hands_over=True), cold_start_s=0.0)
    assert outcome.streams_cut == 0
    kept = simulated(requests, Fixed((0, 1), (5, 0), hands_over=True))
    assert kept.streams_cut == 0, "with nowhere to go they end where they are"
    assert kept.gpu_hours == pytest.approx(30 / 3600, abs=1e-4)


def test_a_request_that_waits_too_long_is_refused_and_one_that_just_does_not_is_served():
    requests = [(0.0, 20.0)] * 9
    assert simulated(requests, Fixed((0, 1)), max_wait_s=19.0).refused == 1
    assert simulated(requests, Fixed((0, 1)), max_wait_s=21.0).refused == 0


def test_a_full_queue_refuses_at_once():
    outcome = simulated([(0.0, 20.0)] * 12, Fixed((0, 1)), max_queued=3)
    assert outcome.refused == 1


@pytest.mark.parametrize("policy", sorted(MAKERS))
@pytest.mark.parametrize("trace", ["spikes", "sparse"])
def test_every_policy_answers_every_request_once(policy, trace):
    requests = synthetic.make(trace)
    made = MAKERS[policy](SETTINGS[policy][1], 8, requests, 15.0)
    simulation = Simulation(requests, made, Setup(15.0))
    outcome = simulation.run()
    assert outcome.refused == 0
    assert len(simulation._waits) == len(requests)
    assert outcome.gpu_hours > 0
    assert made.hands_over <= (outcome.streams_cut == 0)


def test_two_runs_are_the_same():
    requests = synthetic.make("flapping")
    runs = [Simulation(requests, MAKERS["tailrace"](0.8, 8, requests, 90.0), Setup(90.0)).run() for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(("trace", "cold_start_s"), list(itertools.product(synthetic.NAMES, (15.0, 360.0))))
def test_the_oracle_makes_nobody_wait(trace, cold_start_s):
    requests = synthetic.make(trace)
    outcome = Simulation(requests, Oracle(1.0, 8, requests, cold_start_s), Setup(cold_start_s)).run()
    assert outcome.wait_p99_s == pytest.approx(0.0, abs=2.0)
    assert outcome.refused == outcome.streams_cut == 0


def test_the_oracle_bridges_a_pause_that_is_shorter_than_a_cold_start():
    near = Simulation(
        [Request(0, 5), Request(12, 5)], Oracle(1.0, 8, [Request(0, 5), Request(12, 5)], 10.0), Setup(10.0)
    )
    far = Simulation(
        [Request(0, 5), Request(16, 5)], Oracle(1.0, 8, [Request(0, 5), Request(16, 5)], 10.0), Setup(10.0)
    )
    assert near.run().gpu_hours == pytest.approx(27 / 3600, abs=1e-4)
    assert far.run().gpu_hours == pytest.approx(30 / 3600, abs=1e-4)


def test_a_request_holds_its_slot_for_its_prompt_and_its_tokens():
    assert service_s(8_000, 100) == pytest.approx(1 + 3 + 0.02)


def test_synthetic_traces_are_the_same_each_time_and_as_loaded_as_they_say():
    for name in synthetic.NAMES:
        assert synthetic.make(name) == synthetic.make(name)
    step = synthetic.make("step")
    offered = [sum(r.service_s for r in step if start <= r.at < start + 1_200) / 1_200 for start in (0, 1_200, 2_400)]
    assert offered == [pytest.approx(8, rel=0.15), pytest.approx(40, rel=0.15), pytest.approx(8, rel=0.15)]
