"""What is true of a resource now, as conditions that a person can act on: an ordered chain of small checks.

Each check looks at one thing and finds something or nothing; the first finding stands. Pure: what was observed comes
in as a value, the clock as an argument.
"""

from tailrace_operator.conditions.condition import Verdict, merged
from tailrace_operator.conditions.gateway import GatewayView, gateway_verdicts
from tailrace_operator.conditions.model import ModelView, model_verdicts
from tailrace_operator.conditions.parts import BrokerView, FetchView, GatewayLink, WorkloadView
from tailrace_operator.conditions.pods import PodView
from tailrace_operator.conditions.reason import Finding, Reason, Tone

__all__ = [
    "BrokerView",
    "FetchView",
    "Finding",
    "GatewayLink",
    "GatewayView",
    "ModelView",
    "PodView",
    "Reason",
    "Tone",
    "Verdict",
    "WorkloadView",
    "gateway_verdicts",
    "merged",
    "model_verdicts",
]
