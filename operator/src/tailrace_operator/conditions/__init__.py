"""What is true of a resource now, as conditions that a person can act on: an ordered chain of small checks.

Each check looks at one thing and returns a verdict or nothing; the first verdict stands. Pure: what was observed comes
in as a value, the clock as an argument.
"""

from tailrace_operator.conditions.condition import Verdict, first, merged
from tailrace_operator.conditions.gateway import GatewayView, gateway_verdicts
from tailrace_operator.conditions.model import ModelView, model_verdicts
from tailrace_operator.conditions.parts import BrokerView, FetchView, WorkloadView
from tailrace_operator.conditions.pods import PodView

__all__ = [
    "BrokerView",
    "FetchView",
    "GatewayView",
    "ModelView",
    "PodView",
    "Verdict",
    "WorkloadView",
    "first",
    "gateway_verdicts",
    "merged",
    "model_verdicts",
]
