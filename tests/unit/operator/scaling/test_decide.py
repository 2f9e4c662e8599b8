"""How many workers a model gets, and why."""

from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_operator.scaling import Policy, Sample, State, decide

POLICY = Policy(slots=8)


def sample(at, in_flight=0, *, accepted=0, active=None, ready=1, starting=0, start_s=90.0):
    active = min(in_flight, 8 * ready) if active is None else active
    return Sample(at, accepted, active, in_flight - active, ready, starting, start_s)


class Run:
    """A model under `decide`, looked at once a second; each stream lasts `service_s`."""

    def __init__(self, size=0, policy=POLICY, service_s=5.0, start_s=90.0):
        self.policy, self.service_s, self.start_s = policy, service_s, start_s
        self.now, self.accepted = 0.0, 0.0
        self.state = State.at_start(self.now, size)
        self.sizes = []

    def load(self, seconds, streams, *, queued=0, ready=None):
        """`streams` run at a time, and so many wait, for so long."""
        for _ in range(seconds):
            self.now += 1
            self.accepted += streams / self.service_s
            serving = self.state.size if ready is None else ready
            look = sample(
                *(self.now, streams + queued),
                accepted=int(self.accepted),
                active=streams,
                ready=serving,
                start_s=self.start_s,
            )
            self.decision = decide(self.now, [look], self.state, self.policy)
            self.state = self.decision.state
            self.sizes.append(self.decision.size)
        return self.decision


def test_nobody_could_look_so_the_size_stays():
    state = State.at_start(0.0, 5)
    decision = decide(1_000.0, [], state, POLICY)
    assert (decision.size, decision.state) == (5, state)
    assert "no data" in decision.reason


def test_the_first_request_at_zero_asks_for_a_worker_at_once():
    decision = decide(0.0, [sample(0.0, 1, accepted=1, ready=0)], State.at_start(0.0, 0), POLICY)
    assert decision.size == 1
    assert "in flight" in decision.reason


def test_a_restart_takes_no_worker_away_before_it_has_looked_for_a_while():
    run = Run(size=5)
    run.load(20, streams=0)
    assert run.sizes == [5] * 20


@pytest.mark.parametrize(("streams", "workers"), [(1, 1), (6, 1), (7, 2), (12, 2), (13, 3), (64, 10)])
def test_a_steady_load_gets_workers_for_its_streams_at_the_target(streams, workers):
    assert Run().load(300, streams).size == workers


def test_five_minutes_at_half_the_load_release_what_is_too_much_and_nothing_else():
    run = Run()
    run.load(600, streams=48)
    assert run.sizes[-1] == 8
    run.load(300, streams=24)
    assert run.sizes[-1] == 4
    assert min(run.sizes[600:]) == 4


def test_after_the_load_ends_the_model_goes_to_zero_within_its_grace():
    run = Run(policy=replace(POLICY, zero_grace_s=20.0))
    run.load(300, streams=12)
    run.load(19, streams=0)
    assert run.sizes[-1] == 2, "not before"
    assert run.load(1, streams=0).size == 0
    assert "nothing in flight for 20 s" in run.decision.reason


def test_a_queue_that_the_starting_workers_will_have_emptied_asks_for_no_more():
    """Forty short requests wait for one worker that starts: it serves them in well under one more start."""
    run = Run(service_s=1.0)
    run.load(60, streams=4)
    look = sample(run.now + 1, 40, accepted=int(run.accepted) + 40, active=0, ready=0, starting=1)
    assert decide(look.at, [look], run.state, POLICY).size == 1


def test_a_queue_that_they_will_not_have_emptied_asks_for_more_and_says_why():
    run = Run(service_s=60.0)
    run.accepted = 8
    run.load(600, streams=8)
    run.accepted += 100
    decision = run.load(60, streams=8, queued=100, ready=1)
    # 100 requests of a minute each, over what one worker is meant to serve in the 90 s that it takes to start.
    assert decision.size == 1 + ceil(100 * 60 / (6.4 * 90))
    assert "100 requests wait longer than a worker takes to start" in decision.reason


def test_a_pause_that_comes_again_and_again_is_waited_out():
    policy = replace(POLICY, utilization=0.5)
    run = Run(policy=policy)
    for _ in range(12):
        run.load(60, streams=6)
        run.load(200, streams=0)
    assert min(run.sizes[-200:]) == 2
    assert "wanted again" in run.decision.reason


def test_what_never_came_back_is_not_waited_for():
    run = Run()
    run.load(60, streams=6)
    run.load(200, streams=0)
    assert run.sizes[-1] == 0


def test_limits_hold_and_are_told_by_their_fields_names():
    many = Run(policy=replace(POLICY, max_workers=3)).load(60, streams=80)
    assert many.size == 3
    assert "maxReplicas is 3" in many.reason
    few = Run(size=2, policy=replace(POLICY, min_workers=2)).load(3_000, streams=0)
    assert few.size == 2
    assert "minReplicas is 2" in few.reason


def test_a_lower_target_keeps_more_workers():
    at = {u: Run(policy=replace(POLICY, utilization=u)).load(300, streams=32).size for u in (0.4, 0.8, 1.0)}
    assert at == {0.4: 10, 0.8: 5, 1.0: 4}


def test_a_clock_that_stands_still_or_a_look_told_twice_changes_nothing():
    run = Run()
    run.load(60, streams=12)
    again = sample(run.now, 500, accepted=999)
    assert decide(run.now, [again], run.state, POLICY).state.history == run.state.history


loads = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 5), st.integers(0, 64)), min_size=1, max_size=40)


@given(loads, st.integers(0, 3), st.integers(3, 20), st.floats(0.1, 2.0))
def test_any_course_stays_within_the_limits_and_serves_what_is_there(looks, least, most, utilization):
    policy = Policy(slots=8, min_workers=least, max_workers=most, utilization=utilization)
    state, accepted = State.at_start(0.0, 2), 0
    for second, (in_flight, more, ready) in enumerate(looks, start=1):
        accepted += max(more, in_flight)
        look = sample(float(second), in_flight, accepted=accepted, ready=ready)
        decision = decide(look.at, [look], state, policy)
        assert max(least, 1 if in_flight else 0) <= decision.size <= most
        assert decision == decide(look.at, [look], state, policy), "the same question has the same answer"
        assert decision.reason
        state = decision.state
