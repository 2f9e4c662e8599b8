"""What a pod says about why it does not serve, put into a reason and the next thing to do."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tailrace_protocol.termination import read_last_words

from tailrace_operator.conditions import reasons
from tailrace_operator.conditions.reason import Finding

_IMAGE_REASONS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
_CONFIG_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_CRASH_REASON = "CrashLoopBackOff"
#: What containers wait for until their pod has its volumes and its network.
_SETUP_REASONS = {"ContainerCreating", "PodInitializing"}
#: Both are there within seconds; who waits for longer, in seconds, waits for somebody to act.
PATIENCE_S = 60.0
#: Extended resources have a domain: with us these are GPUs, whatever their vendor calls them.
_GPU_WANTED = re.compile(r"insufficient [\w.-]+/[\w.-]+", re.IGNORECASE)
_VOLUME_WANTED = re.compile(r"persistent ?volume", re.IGNORECASE)
_SECRET_WANTED = re.compile(r"secret.*not found|couldn't find key .* in secret", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PodView:
    """The part of a pod that conditions look at."""

    name: str
    ready: bool
    #: When it became ready, or ceased to be.
    ready_since: str
    going: bool
    #: Whether all its containers have ended for good: others take its place.
    over: bool
    created: str
    conditions: Mapping[str, Mapping[str, Any]]
    containers: Sequence[Mapping[str, Any]]
    #: For how many seconds it has waited for its volumes or its network; `None` if it does not.
    waits_s: float | None = None
    #: What its node last complained of in an event, where that was asked for.
    overheard: str = ""
    #: Why its node put it out, if it did.
    ousted: str = ""

    @classmethod
    def of(cls, pod: Mapping[str, Any], now: datetime) -> "PodView":
        """The view of a pod as the API server gives it."""
        status, described = pod.get("status") or {}, pod["metadata"]
        containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        ready = conditions.get("Ready", {})
        return cls(
            name=described["name"],
            ready=ready.get("status") == "True",
            ready_since=ready.get("lastTransitionTime") or "",
            going="deletionTimestamp" in described,
            over=status.get("phase") in ("Failed", "Succeeded"),
            created=described.get("creationTimestamp", ""),
            conditions=conditions,
            containers=containers,
            waits_s=_waits_s(conditions, containers, now),
            ousted=_ousted(status),
        )

    @property
    def hangs(self) -> bool:
        """Whether its volumes and its network should have been there long ago."""
        return self.waits_s is not None and self.waits_s >= PATIENCE_S

    @property
    def fallen(self) -> bool:
        """Whether it served, or tried to, and does not now; one on its way for the first time has not fallen."""
        return not (self.ready or self.going or self.over) and any(_has_fallen(self, c) for c in self.containers)


def pod_trouble(pods: Iterable[PodView]) -> Finding | None:
    """Why the newest pod that does not serve is stuck, if it says so; while none serves, why the last was put out."""
    newest_first = sorted(pods, key=lambda pod: pod.created, reverse=True)
    waiting = (pod for pod in newest_first if not (pod.ready or pod.going or pod.over))
    stuck = next((trouble for pod in waiting if (trouble := _trouble(pod)) is not None), None)
    if stuck is not None or any(pod.ready for pod in newest_first):
        return stuck
    return next((_put_out(pod) for pod in newest_first if pod.ousted), None)


def last_words(pod: PodView) -> Finding | None:
    """With what a container of the pod last ended in failure."""
    return next((words for container in pod.containers if (words := _failure(pod, container)) is not None), None)


def _waits_s(
    conditions: Mapping[str, Mapping[str, Any]], containers: Sequence[Mapping[str, Any]], now: datetime
) -> float | None:
    """Only the kubelet tells whether a pod is set up; of one that says nothing of it, nothing is known."""
    told = conditions.get("PodReadyToStartContainers", {})
    since = told.get("lastTransitionTime")
    waiting = all((_state(c).get("waiting") or {}).get("reason") in _SETUP_REASONS for c in containers)
    if told.get("status") == "True" or not since or not waiting:
        return None
    return max(0.0, (now - datetime.fromisoformat(since)).total_seconds())


def _ousted(status: Mapping[str, Any]) -> str:
    if status.get("phase") != "Failed" or not status.get("reason"):
        return ""
    return f"{status['reason']}: {status.get('message') or 'no more was said'}"


def _put_out(pod: PodView) -> Finding:
    return Finding.with_remedy(reasons.POD_EVICTED, f"pod {pod.name} was put out by its node: {pod.ousted}")


def _trouble(pod: PodView) -> Finding | None:
    of_containers = (_container_trouble(pod, container) for container in pod.containers)
    return _not_placed(pod) or _not_set_up(pod) or next((found for found in of_containers if found is not None), None)


def _not_set_up(pod: PodView) -> Finding | None:
    if not pod.hangs:
        return None
    said = pod.overheard or f"see kubectl describe pod {pod.name}"
    what = f"pod {pod.name} has waited for more than a minute for its volumes or its network: {said}"
    return Finding.with_remedy(reasons.POD_NOT_SET_UP, what)


def _not_placed(pod: PodView) -> Finding | None:
    placed = pod.conditions.get("PodScheduled", {})
    if placed.get("status") != "False":
        return None
    said = str(placed.get("message") or "the scheduler found no node")
    if _VOLUME_WANTED.search(said):
        return Finding.with_remedy(reasons.VOLUME_MISSING, f"pod {pod.name} waits for its volume: {said}")
    if _GPU_WANTED.search(said):
        return Finding.with_remedy(reasons.NO_GPU_FREE, f"pod {pod.name} finds no node with a free GPU: {said}")
    return Finding.with_remedy(reasons.UNSCHEDULABLE, f"pod {pod.name} finds no node: {said}")


def _container_trouble(pod: PodView, container: Mapping[str, Any]) -> Finding | None:
    waiting = _state(container).get("waiting") or {}
    reason = waiting.get("reason", "")
    said = str(waiting.get("message") or reason)
    if reason in _IMAGE_REASONS:
        what = f"pod {pod.name} cannot pull {container.get('image', 'its image')}: {said}"
        return Finding.with_remedy(reasons.IMAGE_PULL_FAILED, what)
    if reason in _CONFIG_REASONS:
        kind = reasons.SECRET_MISSING if _SECRET_WANTED.search(said) else reasons.CONTAINER_CONFIG_ERROR
        return Finding.with_remedy(kind, f"pod {pod.name} cannot start {container.get('name')}: {said}")
    return _failure(pod, container) if _is_failing(pod, container) else None


def _is_failing(pod: PodView, container: Mapping[str, Any]) -> bool:
    """Whether the container's last end still matters: since then it has not served.

    A container that tries again after a failure is still failing, or the condition would flap with each try. One that
    served since, and does not now, has another trouble than its last end.
    """
    state = _state(container)
    if "running" in state:
        return pod.ready_since <= str(state["running"].get("startedAt") or "")
    return "terminated" in state or _loops(container)


def _has_fallen(pod: PodView, container: Mapping[str, Any]) -> bool:
    running = _state(container).get("running")
    served = running is not None and pod.ready_since > str(running.get("startedAt") or "")
    return served or container.get("restartCount", 0) > 0


def _failure(pod: PodView, container: Mapping[str, Any]) -> Finding | None:
    ended = _last_end(container)
    if ended is None:
        return None
    found, restarts = _meaning(container, ended), container.get("restartCount", 0)
    return Finding(found.reason, f"pod {pod.name}: {found.message} (restarts: {restarts})")


def _last_end(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How the container ended, unless it did what it was for: only what ends again and again never should."""
    state, before = _state(container), container.get("lastState") or {}
    ended = state.get("terminated") or before.get("terminated") or {}
    return ended if ended.get("exitCode") or _loops(container) else None


def _loops(container: Mapping[str, Any]) -> bool:
    return bool((_state(container).get("waiting") or {}).get("reason") == _CRASH_REASON)


def _meaning(container: Mapping[str, Any], ended: Mapping[str, Any]) -> Finding:
    name = container.get("name")
    if ended.get("reason") == "OOMKilled":
        return Finding.with_remedy(reasons.OUT_OF_MEMORY, f"{name} was killed for using more than its memory limit")
    said = str(ended.get("message") or "").strip()
    code, sentence = read_last_words(said) or ("", "")
    if code in reasons.BY_CODE:
        return Finding(reasons.BY_CODE[code], sentence)
    last_line = said.splitlines()[-1] if said else f"exit code {ended.get('exitCode')}"
    return Finding.with_remedy(reasons.CRASHED, f"{name} ended: {last_line}")


def _state(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return container.get("state") or {}
