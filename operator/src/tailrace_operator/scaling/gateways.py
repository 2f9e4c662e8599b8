"""How many gateways there should be: by their connections and by their CPU, whichever needs more.

Gateways cost little and start within seconds, so nothing is learned here: the size rises at once, and falls to the
highest that was right within the delay. Numbers of a gateway that is silent are unknown, not zero: while fewer report
than run, the size does not fall. What those that leave still carry counts: their clients will come to the others.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import ceil

from tailrace_operator.scaling.course import Course

#: Of ceil: half a connection more than fits asks for nobody.
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class GatewayLoad:
    """What one gateway reports."""

    connections: int
    """Open connections, idle ones too: each costs memory, and becomes a stream when its client asks."""
    cpu: float
    """Cores in use."""
    leaves: bool = False
    """It was told to stop, and finishes what it has."""


@dataclass(frozen=True, slots=True)
class GatewayPolicy:
    """The limits, and what one gateway is meant to carry."""

    min_gateways: int
    max_gateways: int
    connections: int
    cpu: float
    down_delay_s: float = 300.0


@dataclass(frozen=True, slots=True)
class GatewayState:
    """The size, and which sizes were right before."""

    size: int
    began_at: float
    wishes: Course = field(default_factory=Course)


@dataclass(frozen=True, slots=True)
class GatewayDecision:
    """A size, its reason in words, and the state for the next decision."""

    size: int
    reason: str
    state: GatewayState


def decide_gateways(
    now: float, loads: Collection[GatewayLoad], running: int, state: GatewayState, policy: GatewayPolicy
) -> GatewayDecision:
    """The number of gateways at `now`, of which `running` are there to stay and `loads` were heard.

    Whether one is ready does not matter: readiness goes with the broker, and with it the reports.
    """
    connections, cpu = sum(load.connections for load in loads), sum(load.cpu for load in loads)
    wanted = max(ceil(connections / policy.connections - _EPSILON), ceil(cpu / policy.cpu - _EPSILON))
    reason = f"{connections} connections and {cpu:.2f} cores on {len(loads)} gateways"
    heard = sum(not load.leaves for load in loads)
    if wanted < state.size and heard < max(1, running):
        wanted, reason = state.size, f"{heard} of {running} gateways report: what the others carry is not known"
    wishes = state.wishes.with_value(now, wanted, policy.down_delay_s)
    size = _delayed(wanted, wishes, now, state, policy)
    if size != wanted:
        reason = f"{reason}; {size} were right within the last {policy.down_delay_s:g} s"
    bounded = min(max(size, policy.min_gateways), policy.max_gateways)
    if bounded != size:
        reason = f"{reason}; between {policy.min_gateways} and {policy.max_gateways} are allowed"
    return GatewayDecision(bounded, reason, GatewayState(bounded, state.began_at, wishes))


def _delayed(wanted: int, wishes: Course, now: float, state: GatewayState, policy: GatewayPolicy) -> int:
    """A decider that has just begun knows nothing of the delay's time: until it does, the present size is kept."""
    highest = wishes.highest(now, policy.down_delay_s)
    young = now - state.began_at < policy.down_delay_s
    return max(wanted, highest, state.size if young else 0)
