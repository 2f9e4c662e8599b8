"""How far the worker is that will serve first, by what Kubernetes says of its pod: the words for those who wait."""

from collections.abc import Iterable

from tailrace_operator.conditions.pods import PodView

NOT_READY = "no worker is ready yet"


def phase(pods: Iterable[PodView]) -> str:
    """Of the pod that has come furthest; before its process speaks for itself."""
    coming = [pod for pod in pods if not (pod.ready or pod.going or pod.over)]
    return max((_phase(pod) for pod in coming), default=(0, f"{NOT_READY}: one has been asked for"))[1]


def _phase(pod: PodView) -> tuple[int, str]:
    if _status(pod, "PodScheduled") != "True":
        return 1, f"{NOT_READY}: one waits for a node"
    if any("running" in (container.get("state") or {}) for container in pod.containers):
        return 4, f"{NOT_READY}: one has started, and loads"
    if _status(pod, "PodReadyToStartContainers") == "True":
        return 3, f"{NOT_READY}: one is on its node, which pulls its image"
    return 2, f"{NOT_READY}: one is on its node, which gives it volumes and network"


def _status(pod: PodView, condition: str) -> str:
    return str((pod.conditions.get(condition) or {}).get("status") or "")
