"""The conditions of a StreamingGateway."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tailrace_operator.conditions import checks, reasons
from tailrace_operator.conditions.condition import Chain, Verdict, judge
from tailrace_operator.conditions.parts import WorkloadView
from tailrace_operator.conditions.reason import Finding


@dataclass(frozen=True, slots=True)
class GatewayView:
    """All that the conditions of one gateway depend on."""

    workload: WorkloadView
    paused: bool = False
    #: What is wrong with the spec, in sentences.
    complaints: Sequence[str] = field(default=())
    #: What the API server refused, or what stands in the way under a child's name.
    conflicts: Sequence[str] = field(default=())
    #: Why clients cannot reach it from outside yet (a load balancer without an address), empty when they can.
    address_trouble: str = ""
    #: What the Secret with the broker's passwords lacks, in a sentence; nothing when it holds all.
    missing_secret: str = ""

    @property
    def pods_called(self) -> str:
        """What its pods are."""
        return "gateway pods"


def gateway_verdicts(view: GatewayView) -> dict[str, Verdict]:
    """The conditions of a gateway, by type."""
    serving = Verdict("True", reasons.SERVING, checks.count(view))
    return {
        "Ready": judge(view, _WITH_PODS if view.workload.ready else _WITHOUT_PODS, serving),
        "Progressing": judge(view, _PROGRESSING, checks.COMPLETE),
        "Degraded": judge(view, _DEGRADED, checks.AS_WANTED),
    }


def _at_zero(view: GatewayView) -> Finding | None:
    return None if view.workload.wanted else Finding(reasons.NO_GATEWAYS, "replicas is 0: no client can be served")


def _starting(view: GatewayView) -> Finding:
    return Finding(reasons.GATEWAYS_STARTING, "no gateway pod is ready yet")


def _no_address(view: GatewayView) -> Finding | None:
    return Finding(reasons.ADDRESS_PENDING, view.address_trouble) if view.address_trouble else None


def _too_few(view: GatewayView) -> Finding | None:
    return checks.too_few(view, reasons.FEWER_GATEWAYS)


_WITH_PODS: Chain[GatewayView] = (("False", _at_zero), ("False", _no_address))
#: What keeps a gateway from serving matters while no pod of it does.
_WITHOUT_PODS: Chain[GatewayView] = (
    ("False", checks.invalid),
    ("False", checks.conflicting),
    ("False", _at_zero),
    ("False", checks.troubled),
    ("False", _starting),
)
_PROGRESSING: Chain[GatewayView] = (
    ("False", checks.paused),
    ("False", checks.invalid),
    ("False", checks.conflicting),
    ("False", checks.stalled),
    ("True", checks.rolling),
)
_DEGRADED: Chain[GatewayView] = (
    ("True", checks.invalid),
    ("True", checks.conflicting),
    ("True", checks.troubled),
    ("True", checks.stalled),
    ("True", _too_few),
)
