"""What a pod says about why it does not serve, put into a reason and the next thing to do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailrace_operator.conditions.condition import Verdict

_IMAGE_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
_CONFIG_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_CRASH_REASONS = {"CrashLoopBackOff"}
#: The codes that our containers put before their last words, as reasons of a condition.
_CODES = {
    "model_not_found": "ModelNotFound",
    "token_refused": "TokenRefused",
    "revision_not_found": "RevisionNotFound",
    "out_of_memory": "OutOfMemory",
    "bad_engine_argument": "BadEngineArgument",
    "engine_failed": "EngineFailed",
    "broker_unavailable": "NATSUnreachable",
    "disk_full": "DiskFull",
    "checksum_mismatch": "ChecksumMismatch",
    "source_unreachable": "SourceUnreachable",
    "bad_source": "BadSource",
    "bad_settings": "BadSettings",
}


@dataclass(frozen=True, slots=True)
class PodView:
    """The part of a pod that conditions look at."""

    name: str
    ready: bool
    going: bool
    #: Tells the pods of one rollout's generation from another's (`pod-template-hash`).
    template: str
    created: str
    conditions: Mapping[str, Mapping[str, Any]]
    containers: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, pod: Mapping[str, Any]) -> "PodView":
        """The view of a pod as the API server gives it."""
        status, described = pod.get("status") or {}, pod["metadata"]
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        return cls(
            name=described["name"],
            ready=conditions.get("Ready", {}).get("status") == "True",
            going="deletionTimestamp" in described,
            template=(described.get("labels") or {}).get("pod-template-hash", ""),
            created=described.get("creationTimestamp", ""),
            conditions=conditions,
            containers=containers,
        )


def pod_trouble(pods: Iterable[PodView]) -> Verdict | None:
    """Why the newest pod that does not serve is stuck, if it says so."""
    waiting = sorted((pod for pod in pods if not pod.ready and not pod.going), key=lambda pod: pod.created)
    troubles = (_trouble(pod) for pod in reversed(waiting))
    return next((trouble for trouble in troubles if trouble is not None), None)


def last_words(container: Mapping[str, Any]) -> tuple[str, str] | None:
    """The reason and sentence with which a container last ended in failure."""
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        ended = state.get("terminated")
        if ended and ended.get("exitCode") != 0:
            return _ended(container, ended)
    return None


def _trouble(pod: PodView) -> Verdict | None:
    return _not_placed(pod) or next((v for c in pod.containers if (v := _container_trouble(pod, c)) is not None), None)


def _not_placed(pod: PodView) -> Verdict | None:
    placed = pod.conditions.get("PodScheduled", {})
    if placed.get("status") != "False":
        return None
    said = str(placed.get("message") or "the scheduler found no node")
    if "persistentvolumeclaim" in said.lower():
        return Verdict("False", "VolumeMissing", f"pod {pod.name} waits for its volume: {said}")
    if "gpu" in said.lower() and "insufficient" in said.lower():
        remedy = "free or add GPUs, lower replicas, or set rollout.maxSurge: 0 and maxUnavailable: 1"
        return Verdict("False", "NoGPUFree", f"pod {pod.name} finds no node with a free GPU: {said} ({remedy})")
    return Verdict("False", "Unschedulable", f"pod {pod.name} finds no node: {said}")


def _container_trouble(pod: PodView, container: Mapping[str, Any]) -> Verdict | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, said = str(waiting.get("reason", "")), str(waiting.get("message") or "")
    if reason in _IMAGE_REASONS:
        image = container.get("image", "")
        return Verdict("False", "ImagePullFailed", f"pod {pod.name} cannot pull {image}: {said or reason}")
    if reason in _CONFIG_REASONS:
        kind = "SecretMissing" if "secret" in said.lower() and "not found" in said.lower() else "ContainerConfigError"
        return Verdict("False", kind, f"pod {pod.name} cannot start {container.get('name')}: {said or reason}")
    if reason in _CRASH_REASONS or "terminated" in (container.get("state") or {}):
        return _crash(pod, container)
    return _crash(pod, container) if container.get("restartCount", 0) and not container.get("started") else None


def _crash(pod: PodView, container: Mapping[str, Any]) -> Verdict | None:
    words = last_words(container)
    if words is None:
        return None
    reason, sentence = words
    return Verdict("False", reason, f"pod {pod.name}: {sentence} (restarts: {container.get('restartCount', 0)})")


def _ended(container: Mapping[str, Any], ended: Mapping[str, Any]) -> tuple[str, str]:
    if ended.get("reason") == "OOMKilled":
        remedy = "raise resources.memory, or lower contextLength or maxStreams"
        return "OutOfMemory", f"{container.get('name')} was killed for using more than its memory limit ({remedy})"
    said = str(ended.get("message") or "").strip()
    code, _, sentence = said.partition(": ")
    if code in _CODES:
        return _CODES[code], sentence.strip()
    last_line = said.splitlines()[-1] if said else f"exit code {ended.get('exitCode')}; see its logs"
    return "Crashed", f"{container.get('name')} ended: {last_line}"
