"""How many workers a model needs: pure decisions from what the broker and the workers tell.

`decide` is the whole of it. It takes the clock as an argument and gives back its reason in words and the state that the
next decision starts from, so that a simulation drives the same code as a cluster.
"""

from tailrace_operator.scaling.capacity import Batch, capacity
from tailrace_operator.scaling.decision import Decision, State, decide
from tailrace_operator.scaling.gateways import (
    GatewayDecision,
    GatewayLoad,
    GatewayPolicy,
    GatewayState,
    decide_gateways,
)
from tailrace_operator.scaling.leaving import Carrier, leaving
from tailrace_operator.scaling.limits import minimum
from tailrace_operator.scaling.pace import Pace
from tailrace_operator.scaling.policy import Policy
from tailrace_operator.scaling.sample import Sample
from tailrace_operator.scaling.schedule import Scheduled
from tailrace_operator.scaling.sharing import Claim, donors

__all__ = [
    "Batch",
    "Carrier",
    "Claim",
    "Decision",
    "GatewayDecision",
    "GatewayLoad",
    "GatewayPolicy",
    "GatewayState",
    "Pace",
    "Policy",
    "Sample",
    "Scheduled",
    "State",
    "capacity",
    "decide",
    "decide_gateways",
    "donors",
    "leaving",
    "minimum",
]
