"""What was observed of the parts that models and gateways have in common, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tailrace_operator.conditions.pods import PodView


@dataclass(frozen=True, slots=True)
class BrokerView:
    """Whether the resource's objects stand on the broker: `ready`, `unreachable`, `refused`."""

    state: Literal["ready", "unreachable", "refused"] = "ready"
    message: str = ""


@dataclass(frozen=True, slots=True)
class FetchView:
    """The download of a model: not wanted (`none`), `running`, `done` or `failed`."""

    state: Literal["none", "running", "done", "failed"] = "none"
    reason: str = ""
    message: str = ""


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
    pods: Sequence[PodView] = field(default=())

    @classmethod
    def of(cls, wanted: int, deployment: Mapping[str, Any] | None, pods: Sequence[PodView]) -> "WorkloadView":
        """The view of a Deployment as the API server gives it."""
        if deployment is None:
            return cls(wanted, pods=pods)
        status, described = deployment.get("status") or {}, deployment["metadata"]
        return cls(
            wanted=wanted,
            exists=True,
            settled=status.get("observedGeneration", 0) >= described.get("generation", 0),
            replicas=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            stalled=_stall(status),
            pods=pods,
        )

    @property
    def rolled_out(self) -> bool:
        """Whether all pods are of the present generation and ready."""
        return self.exists and self.settled and self.updated == self.replicas == self.ready == self.wanted


def _stall(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return str(condition.get("message") or "the progress deadline is over")
    return ""
