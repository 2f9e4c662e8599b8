"""How many gateways there are to be."""

from dataclasses import replace

import pytest
from tailrace_operator.scaling import GatewayLoad, GatewayPolicy, GatewayState, decide_gateways

POLICY = GatewayPolicy(min_gateways=2, max_gateways=6, connections=100, cpu=0.6, down_delay_s=60.0)


def loads(*connections, cpu=0.1):
    return [GatewayLoad(count, cpu) for count in connections]


def settled(size):
    """A decider that has looked for longer than the delay."""
    return GatewayState(size, began_at=-1_000.0)


@pytest.mark.parametrize(("connections", "size"), [((0, 0), 2), ((100, 100), 2), ((100, 101), 3), ((300, 290), 6)])
def test_connections_decide(connections, size):
    assert decide_gateways(0.0, loads(*connections), 2, settled(2), POLICY).size == size


def test_cpu_decides_where_it_needs_more():
    decision = decide_gateways(0.0, loads(10, 10, cpu=0.9), 2, settled(2), POLICY)
    assert decision.size == 3
    assert "20 connections and 1.80 cores on 2 gateways" in decision.reason


def test_limits_hold_and_are_told():
    decision = decide_gateways(0.0, loads(9_000), 1, settled(2), POLICY)
    assert decision.size == 6
    assert "between 2 and 6 are allowed" in decision.reason
    assert decide_gateways(0.0, [], 0, settled(0), POLICY).size == 2


def test_what_nobody_reports_is_not_zero():
    """NATS is away from the gateways: they are unready and silent together."""
    decision = decide_gateways(0.0, [], 6, settled(6), replace(POLICY, down_delay_s=0.0))
    assert (decision.size, decision.reason) == (6, "0 of 6 gateways report: what the others carry is not known")
    assert decide_gateways(0.0, [], 0, settled(6), replace(POLICY, down_delay_s=0.0)).size == 6


def test_what_those_that_leave_still_carry_counts_and_does_not_stand_in_for_the_silent():
    policy = replace(POLICY, down_delay_s=0.0)
    leaves = GatewayLoad(250, 0.1, leaves=True)
    assert decide_gateways(0.0, [*loads(100, 100), leaves], 2, settled(5), policy).size == 5
    assert decide_gateways(0.0, [*loads(100, 50), leaves], 2, settled(5), policy).size == 4
    assert decide_gateways(0.0, [*loads(10), replace(leaves, connections=1)], 2, settled(5), policy).size == 5


def test_the_size_falls_to_the_highest_of_the_delay():
    state = settled(4)
    sizes = []
    for second in range(120):
        connections = 390 if second < 30 else 50
        decision = decide_gateways(float(second), loads(*[connections // 4] * 4), 4, state, POLICY)
        state = decision.state
        sizes.append(decision.size)
    assert sizes[88] == 4
    assert sizes[-1] == 2


def test_a_gateway_that_died_takes_no_other_with_it():
    """Its connections are on no report any more, and will come again somewhere else."""
    policy = replace(POLICY, down_delay_s=0.0)
    decision = decide_gateways(0.0, loads(20), 3, settled(3), policy)
    assert decision.size == 3
    assert "1 of 3 gateways report" in decision.reason
    assert decide_gateways(0.0, loads(20), 1, settled(3), policy).size == 2
    assert decide_gateways(0.0, loads(450), 3, settled(3), policy).size == 5, "more is asked for nevertheless"


def test_a_decider_that_has_just_begun_takes_none_away():
    young = GatewayState(5, began_at=0.0)
    assert decide_gateways(59.0, loads(1, 1), 2, young, POLICY).size == 5
    assert decide_gateways(60.0, loads(1, 1), 2, young, POLICY).size == 2
