"""The conditions of a StreamingGateway."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tailrace_operator.conditions.condition import Verdict, first
from tailrace_operator.conditions.parts import WorkloadView
from tailrace_operator.conditions.pods import pod_trouble


@dataclass(frozen=True, slots=True)
class GatewayView:
    """All that the conditions of one gateway depend on."""

    pods: WorkloadView
    paused: bool = False
    complaints: Sequence[str] = field(default=())
    conflicts: Sequence[str] = field(default=())
    #: Why clients cannot reach it from outside yet (a load balancer without an address), empty when they can.
    address_trouble: str = ""


def gateway_verdicts(view: GatewayView) -> dict[str, Verdict]:
    """The conditions of a gateway, by type."""
    serving = Verdict("True", "Serving", f"{_of(view)} serve")
    fine = Verdict("False", "AsWanted", "nothing is wrong")
    return {
        "Ready": first(view, (_blocked, _none_ready, _no_address), serving),
        "Progressing": first(view, (_paused, _cannot_go_on, _rolling), Verdict("False", "Complete", "all is as asked")),
        "Degraded": first(view, (_broken, _pods_troubled, _too_few), fine),
    }


def gateway_trouble(view: GatewayView) -> str:
    """Why no client can be served, for the models behind the gateway; empty when they can."""
    ready = gateway_verdicts(view)["Ready"]
    return "" if ready.status == "True" else f"{ready.reason}: {ready.message}"


def _blocked(view: GatewayView) -> Verdict | None:
    if view.pods.ready or not (view.complaints or view.conflicts):
        return None
    reason = "InvalidSpec" if view.complaints else "Conflict"
    return Verdict("False", reason, "; ".join((*view.complaints, *view.conflicts)))


def _none_ready(view: GatewayView) -> Verdict | None:
    if view.pods.ready:
        return None
    return pod_trouble(view.pods.pods) or Verdict("False", "GatewaysStarting", "no gateway pod is ready yet")


def _no_address(view: GatewayView) -> Verdict | None:
    return Verdict("False", "AddressPending", view.address_trouble) if view.address_trouble else None


def _paused(view: GatewayView) -> Verdict | None:
    if not view.paused:
        return None
    remedy = "remove the annotation tailrace.dev/paused to go on"
    return Verdict("False", "Paused", f"the operator leaves this resource alone: {remedy}")


def _cannot_go_on(view: GatewayView) -> Verdict | None:
    if not (view.complaints or view.conflicts):
        return None
    reason = "InvalidSpec" if view.complaints else "Conflict"
    return Verdict("False", reason, "; ".join((*view.complaints, *view.conflicts)))


def _rolling(view: GatewayView) -> Verdict | None:
    if view.pods.rolled_out:
        return None
    trouble = pod_trouble(view.pods.pods)
    if trouble is not None:
        return Verdict("True", trouble.reason, trouble.message)
    return Verdict("True", "RollingOut", f"{view.pods.updated} of {view.pods.wanted} pods are new, {_of(view)} serve")


def _broken(view: GatewayView) -> Verdict | None:
    if not (view.complaints or view.conflicts):
        return None
    reason = "InvalidSpec" if view.complaints else "Conflict"
    return Verdict("True", reason, "; ".join((*view.complaints, *view.conflicts)))


def _pods_troubled(view: GatewayView) -> Verdict | None:
    trouble = pod_trouble(view.pods.pods)
    return Verdict("True", trouble.reason, trouble.message) if trouble else None


def _too_few(view: GatewayView) -> Verdict | None:
    if not 0 < view.pods.ready < view.pods.wanted:
        return None
    return Verdict("True", "FewerGatewaysThanWanted", f"{_of(view)} serve")


def _of(view: GatewayView) -> str:
    return f"{view.pods.ready} of {view.pods.wanted} gateway pods"
