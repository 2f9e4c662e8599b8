"""What was observed of the parts that models and gateways have in common, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tailrace_operator.conditions import reasons
from tailrace_operator.conditions.pods import PodView
from tailrace_operator.conditions.reason import Finding, Tone


@dataclass(frozen=True, slots=True)
class BrokerView:
    """Whether the resource's objects stand on the broker: `ready`, `unreachable`, `refused`."""

    state: Literal["ready", "unreachable", "refused"] = "ready"
    message: str = ""

    @property
    def trouble(self) -> Finding | None:
        """Why they do not."""
        if self.state == "ready":
            return None
        reason = reasons.NATS_UNREACHABLE if self.state == "unreachable" else reasons.NATS_REFUSED
        return Finding(reason, self.message)


@dataclass(frozen=True, slots=True)
class FetchView:
    """The download of a model: not wanted (`none`), `running`, `done` or `failed`."""

    state: Literal["none", "running", "done", "failed"] = "none"
    #: How far it is.
    message: str = ""
    #: What is wrong with it; a running download tries again.
    trouble: Finding | None = None


@dataclass(frozen=True, slots=True)
class GatewayLink:
    """Whether a model's gateway serves: `serving`, `starting`, or `away`, which does not pass by itself."""

    state: Literal["serving", "starting", "away"] = "serving"
    message: str = ""

    @classmethod
    def of(cls, name: str, gateway: Mapping[str, Any] | None, *, is_made: bool) -> "GatewayLink":
        """The link to the StreamingGateway called `name`; one that `is_made` by the operator will be there soon."""
        if gateway is None and not is_made:
            return cls("away", f"there is no StreamingGateway {name}: make it, or leave out spec.gateway")
        conditions = ((gateway or {}).get("status") or {}).get("conditions") or ()
        ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
        if ready is None:
            return cls("starting", f"StreamingGateway {name} is being made")
        if ready["status"] == "True":
            return cls()
        known = reasons.BY_NAME.get(ready["reason"])
        passes = known is not None and known.tone is Tone.UNDERWAY and known is not reasons.NO_GATEWAYS
        return cls("starting" if passes else "away", f"StreamingGateway {name}: {ready['message']}")


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """A Deployment and its pods. `wanted` is what the resource asks for, whether or not the Deployment has it yet."""

    wanted: int
    exists: bool = False
    #: Whether the Deployment's controller has seen the last change.
    settled: bool = False
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    #: The Deployment's own word that nothing has moved for its progress deadline.
    stalled: str = ""
    #: With which words the API server refuses to make or to remove its pods.
    refused: str = ""
    pods: Sequence[PodView] = field(default=())

    @classmethod
    def of(cls, wanted: int | None, deployment: Mapping[str, Any] | None, pods: Sequence[PodView]) -> "WorkloadView":
        """The view of a Deployment as the API server gives it.

        Where nobody can tell what is `wanted`, since the resource is wrong, it is what the Deployment has.
        """
        if deployment is None:
            return cls(wanted or 0, pods=pods)
        status, described = deployment.get("status") or {}, deployment["metadata"]
        settled = status.get("observedGeneration", 0) >= described.get("generation", 0)
        return cls(
            wanted=deployment["spec"].get("replicas", 1) if wanted is None else wanted,
            exists=True,
            settled=settled,
            replicas=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            stalled=_stall(status) if settled else "",
            refused=_refusal(status) if settled else "",
            pods=pods,
        )

    @property
    def rolled_out(self) -> bool:
        """Whether all pods are of the present generation and ready."""
        return self.exists and self.settled and self.updated == self.replicas == self.ready == self.wanted


def _stall(status: Mapping[str, Any]) -> str:
    moving = _condition(status, "Progressing")
    over = moving.get("reason") == "ProgressDeadlineExceeded"
    return str(moving.get("message") or "the progress deadline is over") if over else ""


def _refusal(status: Mapping[str, Any]) -> str:
    failing = _condition(status, "ReplicaFailure")
    return str(failing.get("message") or failing.get("reason")) if failing.get("status") == "True" else ""


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((found for found in status.get("conditions") or () if found["type"] == kind), {})
