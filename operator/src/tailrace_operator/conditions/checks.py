"""The checks that models and gateways share: each looks at one thing and finds something, or nothing."""

from collections.abc import Sequence
from typing import Protocol

from tailrace_operator.conditions import reasons
from tailrace_operator.conditions.condition import Verdict
from tailrace_operator.conditions.parts import WorkloadView
from tailrace_operator.conditions.pods import pod_trouble
from tailrace_operator.conditions.reason import Finding, Reason

COMPLETE = Verdict("False", reasons.COMPLETE, "all is as the resource asks")
AS_WANTED = Verdict("False", reasons.AS_WANTED, "nothing is wrong")


class ResourceView(Protocol):
    """What is known of any resource that has pods."""

    @property
    def workload(self) -> WorkloadView:
        """Its pods."""

    @property
    def pods_called(self) -> str:
        """How people call them."""

    @property
    def paused(self) -> bool:
        """Whether a person asked the operator to leave it alone."""

    @property
    def complaints(self) -> Sequence[str]:
        """What is wrong with the spec, in sentences."""

    @property
    def conflicts(self) -> Sequence[str]:
        """What the API server refused, or what stands in the way under a child's name."""

    @property
    def missing_secret(self) -> str:
        """What the Secret with the broker's passwords lacks, in a sentence."""


def invalid(view: ResourceView) -> Finding | None:
    """The spec cannot be acted upon."""
    return Finding(reasons.INVALID_SPEC, "; ".join(view.complaints)) if view.complaints else None


def conflicting(view: ResourceView) -> Finding | None:
    """Something stands in the way."""
    return Finding(reasons.CONFLICT, "; ".join(view.conflicts)) if view.conflicts else None


def paused(view: ResourceView) -> Finding | None:
    """Nothing is done on purpose."""
    what = "the operator leaves this resource alone"
    return Finding.with_remedy(reasons.PAUSED, what) if view.paused else None


def troubled(view: ResourceView) -> Finding | None:
    """What keeps pods from serving, the first cause first: what all of them lack, who lets them in, what one says."""
    return _no_passwords(view) or _refused(view.workload) or pod_trouble(view.workload.pods)


def _no_passwords(view: ResourceView) -> Finding | None:
    return Finding(reasons.SECRET_MISSING, view.missing_secret) if view.missing_secret else None


def _refused(workload: WorkloadView) -> Finding | None:
    if not workload.refused:
        return None
    return Finding.with_remedy(reasons.PODS_REFUSED, f"the API server refuses pods: {workload.refused}")


def stalled(view: ResourceView) -> Finding | None:
    """The rollout stands still."""
    workload = view.workload
    if workload.rolled_out or not workload.stalled:
        return None
    return Finding(reasons.STALLED, f"the rollout does not progress: {troubled(view) or workload.stalled}")


def rolling(view: ResourceView) -> Finding | None:
    """Pods are on their way."""
    workload = view.workload
    if workload.rolled_out:
        return None
    done = f"{workload.updated} of {workload.wanted} {view.pods_called} are of the new generation"
    return troubled(view) or Finding(reasons.ROLLING_OUT, f"{done}, {workload.ready} serve")


def too_few(view: ResourceView, reason: Reason) -> Finding | None:
    """Some that served do not any more; pods that come for the first time are no trouble, but progress."""
    workload = view.workload
    fallen = [pod.name for pod in workload.pods if pod.fallen]
    if not fallen or workload.ready >= workload.wanted:
        return None
    return Finding(reason, f"{count(view)}; not ready: {', '.join(sorted(fallen))}")


def count(view: ResourceView) -> str:
    """How many serve, in words."""
    return f"{view.workload.ready} of {view.workload.wanted} {view.pods_called} serve"
