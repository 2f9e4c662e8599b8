"""How many workers a model gets, and why."""

from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_operator.scaling import Pace, Policy, Sample, Scheduled, State, decide

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
    assert (decision.size, decision.state.levels, decision.state.history) == (5, state.levels, state.history)
    assert "no data" in decision.reason


def test_what_the_admin_asks_holds_without_data_too():
    assert decide(1_000.0, [], State.at_start(0.0, 5), replace(POLICY, min_workers=7)).size == 7
    assert decide(1_000.0, [], State.at_start(0.0, 5), replace(POLICY, max_workers=2)).size == 2


def test_a_minute_that_nobody_looked_at_is_no_pause():
    """The broker is away for a minute: what was idle before is idle for no longer afterwards."""
    run = Run(policy=replace(POLICY, zero_grace_s=30.0))
    run.load(120, streams=16)
    run.load(10, streams=0)
    run.now += 60
    run.load(1, streams=16)
    assert 0 < max(pause for level in run.state.levels for pause in level.pauses_s) <= 11
    run.load(10, streams=0)
    run.now += 60
    run.load(19, streams=0)
    assert run.sizes[-1] >= 1
    assert run.load(2, streams=0).size == 0


def test_an_operator_that_starts_during_an_outage_takes_none_away_when_it_ends():
    """Time before the first look is no time of looking, and nobody was seen to be idle in it."""
    run = Run(size=5, policy=replace(POLICY, zero_grace_s=10.0))
    run.now = 120.0
    assert run.load(1, streams=0).size == 5
    assert run.load(58, streams=0).size == 5
    assert "looking for 58 s so far" in run.decision.reason
    assert run.load(3, streams=0).size == 0


def test_an_outage_makes_no_stream_longer():
    """What came and ended while nobody looked is not known, so the time of it counts for nothing."""
    run = Run(service_s=10.0)
    run.load(300, streams=8)
    before = run.state.history.mean_service_s()
    run.now, run.accepted = run.now + 300, run.accepted + 240
    run.load(2, streams=8)
    assert run.state.history.mean_service_s() == pytest.approx(before, rel=0.05)
    assert run.state.history.arrivals_per_s(60.0) == pytest.approx(0.8, abs=0.1)


def test_what_keeps_a_size_from_what_is_right_is_told_in_a_word():
    assert decide(0.0, [], State.at_start(0.0, 5), POLICY).by == "no-data"
    flood = [sample(0.0, 80, ready=2)]
    assert decide(0.0, flood, State.at_start(0.0, 2), replace(POLICY, max_workers=3)).by == "maximum"
    assert decide(0.0, flood, State.at_start(0.0, 2), replace(POLICY, ceiling=2)).by == "capacity"
    assert decide(0.0, flood, State.at_start(0.0, 2), replace(POLICY, up=Pace(workers=1))).by == "pace"
    assert decide(0.0, flood, State.at_start(0.0, 2), POLICY).by == ""
    assert decide(0.0, [sample(0.0, 0)], State.at_start(0.0, 2), replace(POLICY, zero_grace_s=0.0)).by == "restart"


def test_a_ceiling_is_not_below_what_the_schedule_asks_for():
    line = Scheduled("* * * * *", "0 0 1 1 *", "UTC", 3)
    policy = replace(POLICY, schedule=(line,), ceiling=1, ceiling_reason="somebody else is short")
    assert line.holds(30.0) is False  # A start that comes again first is no window.
    always = replace(policy, schedule=(Scheduled("0 0 1 1 *", "0 0 31 12 *", "UTC", 3),))
    at = 1_790_000_000.0
    assert decide(at, [sample(at, 40)], State.at_start(at, 1), always).size == 3


def test_the_first_request_at_zero_asks_for_a_worker_at_once():
    decision = decide(0.0, [sample(0.0, 1, accepted=1, ready=0)], State.at_start(0.0, 0), POLICY)
    assert decision.size == 1
    assert "in flight" in decision.reason


def test_a_restart_takes_no_worker_away_before_it_has_looked_for_a_while():
    run = Run(size=5)
    run.load(59, streams=0)
    assert run.sizes == [5] * 59
    assert "none goes before 60 s" in run.decision.reason
    run.load(120, streams=0)
    assert run.sizes[-1] < 5


@pytest.mark.parametrize(("streams", "workers"), [(1, 1), (8, 1), (9, 2), (16, 2), (17, 3), (64, 8)])
def test_a_steady_load_gets_workers_for_its_streams(streams, workers):
    assert Run().load(300, streams).size == workers


@pytest.mark.parametrize(("streams", "workers"), [(4, 1), (5, 2), (64, 16)])
def test_a_worker_carries_no_more_than_keeps_its_inter_token_latency(streams, workers):
    assert Run(policy=replace(POLICY, target_streams=4)).load(300, streams).size == workers


@pytest.mark.parametrize(("streams", "workers"), [(16, 2), (17, 2), (18, 3)])
def test_a_load_within_the_tolerance_asks_for_nobody(streams, workers):
    assert Run(policy=replace(POLICY, tolerance=0.2)).load(300, streams).size == workers


def test_five_minutes_at_half_the_load_release_what_is_too_much_and_nothing_else():
    run = Run()
    run.load(600, streams=48)
    assert run.sizes[-1] == 6
    run.load(300, streams=24)
    assert run.sizes[-1] == 3
    assert min(run.sizes[600:]) == 3


def test_after_the_load_ends_the_model_goes_to_zero_within_its_grace():
    run = Run(policy=replace(POLICY, zero_grace_s=20.0))
    run.load(300, streams=12)
    run.load(19, streams=0)
    assert run.sizes[-1] >= 1, "not before"
    assert run.load(1, streams=0).size == 0
    assert "nothing in flight for 20 s" in run.decision.reason


def test_a_long_grace_keeps_one_worker_to_its_end_and_says_so():
    run = Run(policy=replace(POLICY, zero_grace_s=2_000.0))
    run.load(300, streams=12)
    run.load(1_999, streams=0)
    assert run.sizes[-1] == 1
    assert "zeroGracePeriod is 2000 s" in run.decision.reason
    assert run.load(1, streams=0).size == 0


def test_a_grace_starts_no_worker_for_a_model_at_zero():
    assert Run(policy=replace(POLICY, zero_grace_s=2_000.0)).load(10, streams=0).size == 0


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
    assert decision.size == 1 + ceil(100 * 60 / (8 * 90))
    assert "100 requests wait longer than a worker takes to start" in decision.reason


def test_a_pause_that_comes_again_and_again_is_waited_out():
    policy = replace(POLICY, utilization=0.7)
    run = Run(policy=policy)
    for _ in range(12):
        run.load(60, streams=12)
        run.load(200, streams=0)
    assert min(run.sizes[-200:]) == 2
    assert "wanted again" in run.decision.reason


def test_what_never_came_back_is_not_waited_for():
    run = Run()
    run.load(90, streams=6)
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
    assert at == {0.4: 6, 0.8: 4, 1.0: 4}


def test_a_size_rises_no_faster_than_its_pace():
    run = Run(policy=replace(POLICY, up=Pace(workers=2, period_s=30.0)))
    run.load(100, streams=80)
    assert (run.sizes[0], run.sizes[28], run.sizes[45], run.sizes[75], run.sizes[-1]) == (2, 2, 4, 6, 8)
    assert "no more than 2 workers in 30 s are added" in run.decision.reason


def test_a_pace_in_percent_doubles_and_moves_even_from_zero():
    run = Run(policy=replace(POLICY, up=Pace(percent=100, period_s=10.0)))
    run.load(60, streams=80)
    assert sorted(set(run.sizes)) == [1, 2, 4, 8, 10]


def test_a_size_falls_no_faster_than_its_pace():
    run = Run(policy=replace(POLICY, down=Pace(workers=1, period_s=60.0)))
    run.load(300, streams=64)
    run.load(600, streams=8)
    falling = run.sizes[300:]
    assert all(now - 1 <= later for now, later in zip(falling, falling[60:], strict=False))
    assert sorted(set(falling)) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_size_falls_to_the_highest_of_the_delay():
    run = Run(policy=replace(POLICY, scale_down_delay_s=300.0))
    run.load(120, streams=64)
    run.load(299, streams=8)
    assert run.sizes[-1] == 8
    assert "8 were right within the last 300 s" in run.decision.reason
    run.load(60, streams=8)
    assert run.sizes[-1] < 8


NOON = 1_767_873_600.0  # a Thursday, 12:00 UTC


@pytest.mark.parametrize(("at", "size"), [(NOON - 1, 0), (NOON, 3), (NOON + 3_599, 3), (NOON + 3_600, 0)])
def test_a_scheduled_minimum_holds_from_its_start_to_its_end(at, size):
    lunch = Scheduled("0 13 * * MON-FRI", "0 14 * * *", "Europe/Berlin", min_workers=3)
    decision = decide(at, [sample(at, ready=0)], State.at_start(at, 0), replace(POLICY, schedule=(lunch,)))
    assert decision.size == size
    told = "the schedule from '0 13 * * MON-FRI' to '0 14 * * *' (Europe/Berlin) asks for 3"
    assert (told in decision.reason) == (size == 3)


def test_the_largest_of_two_schedules_holds_and_the_maximum_is_above_them():
    lines = tuple(Scheduled("0 0 * * *", "59 23 * * *", "UTC", min_workers=number) for number in (2, 9, 4))
    policy = replace(POLICY, schedule=lines, min_workers=3)
    assert decide(NOON, [], State.at_start(NOON, 0), policy).size == 9
    assert decide(NOON, [], State.at_start(NOON, 0), replace(policy, max_workers=5)).size == 5


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
