"""What Kubernetes says of a model's pods: which are workers that count, whether they serve, how long they took to."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

#: A pod that was long ready and is so again does not say when it was for the first time: so long no worker starts.
_LONGEST_START_S = 3_600.0


def condition(pod: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition of a pod; empty if it has none of that type."""
    return next((c for c in (pod.get("status") or {}).get("conditions") or () if c["type"] == kind), {})


def there(pods: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """By name, the workers that count for their Deployment: neither going nor over, and no downloads."""
    return {pod["metadata"]["name"]: pod for pod in pods if _counts(pod)}


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether it serves."""
    return bool(condition(pod, "Ready").get("status") == "True")


def is_placed(pod: Mapping[str, Any]) -> bool:
    """Whether it has a node."""
    return bool(condition(pod, "PodScheduled").get("status") == "True")


def why_unplaced(pod: Mapping[str, Any]) -> str:
    """Why no node takes it, in the scheduler's words; nothing if one did, or none was looked for yet."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return ""
    return str(scheduled.get("message") or "it is unschedulable")


def start_s(pod: Mapping[str, Any]) -> float | None:
    """How long it took from being made to being ready, in seconds; `None` of one that did not start in one go."""
    ready = condition(pod, "Ready")
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    made, became = pod["metadata"].get("creationTimestamp"), ready.get("lastTransitionTime")
    if not is_ready(pod) or any(c.get("restartCount") for c in containers) or not made or not became:
        return None
    seconds = (datetime.fromisoformat(became) - datetime.fromisoformat(made)).total_seconds()
    return max(1.0, seconds) if seconds <= _LONGEST_START_S else None


def _counts(pod: Mapping[str, Any]) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    labels = pod["metadata"].get("labels") or {}
    is_worker = labels.get("app.kubernetes.io/name") == "tailrace-worker"
    return is_worker and "deletionTimestamp" not in pod["metadata"] and phase not in ("Succeeded", "Failed")
