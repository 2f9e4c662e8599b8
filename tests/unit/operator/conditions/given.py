"""Pods and Deployments as a Kubernetes 1.34 API server gives them."""

from datetime import UTC, datetime
from typing import Any

from tailrace_operator.conditions import PodView, WorkloadView

Object = dict[str, Any]
BEFORE, CREATED, RESTARTED, LATER = (
    f"2026-11-22T{clock}Z" for clock in ("19:00:00", "20:00:00", "20:05:00", "20:09:00")
)
#: The time at which these pods are looked at.
NOW = datetime(2026, 11, 22, 20, 10, tzinfo=UTC)
#: What the kubelet says of a pod whose volumes or network are not there.
NOT_SET_UP = {"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": CREATED}


def pod(
    *containers: Object,
    name: str = "echo-worker-6d4f-x2x9p",
    created: str = CREATED,
    ready: bool = False,
    ready_since: str = CREATED,
    scheduled: Object | None = None,
    init: tuple[Object, ...] = (),
    phase: str = "Pending",
    going: bool = False,
    ousted: tuple[str, str] | None = None,
    set_up: Object | None = None,
) -> PodView:
    conditions = [
        set_up or {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": created},
        scheduled or {"type": "PodScheduled", "status": "True", "lastTransitionTime": created},
        {"type": "Ready", "status": str(ready), "lastTransitionTime": ready_since},
    ]
    metadata: Object = {"name": name, "namespace": "default", "uid": "u", "creationTimestamp": created}
    metadata |= {"deletionTimestamp": LATER, "deletionGracePeriodSeconds": 45} if going else {}
    status: Object = {"phase": phase, "conditions": conditions, "containerStatuses": list(containers)}
    status |= {"reason": ousted[0], "message": ousted[1]} if ousted else {}
    status |= {"initContainerStatuses": list(init)} if init else {}
    return PodView.of({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}, NOW)


def container(name: str = "worker", restarts: int = 0, last: Object | None = None, **state: Object) -> Object:
    running = "running" in state
    return {
        "name": name,
        "image": "ghcr.io/tailrace/worker:0.1.0",
        "imageID": "",
        "ready": False,
        "started": running,
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }


def waiting(reason: str, message: str = "", **more: Any) -> Object:
    given = {"reason": reason} | ({"message": message} if message else {})
    return container(waiting=given, **more)


def running(since: str = RESTARTED, **more: Any) -> Object:
    return container(running={"startedAt": since}, **more)


def ended(code: int = 1, message: str = "", reason: str = "Error") -> Object:
    given = {"exitCode": code, "reason": reason if code else "Completed", "startedAt": BEFORE, "finishedAt": CREATED}
    return given | ({"message": message} if message else {})


def crashing(
    message: str = "", code: int = 1, reason: str = "Error", restarts: int = 3, name: str = "worker"
) -> Object:
    """A container that the kubelet lets wait after another crash."""
    said = f"back-off 40s restarting failed container={name} pod=echo-worker-6d4f-x2x9p_default(u)"
    return waiting("CrashLoopBackOff", said, name=name, restarts=restarts, last=ended(code, message, reason))


def unscheduled(message: str, reason: str = "Unschedulable") -> PodView:
    given = {"type": "PodScheduled", "status": "False", "reason": reason, "lastTransitionTime": CREATED}
    return pod(scheduled=given | ({"message": message} if message else {}))


SERVING = pod(running(), ready=True, phase="Running", name="echo-worker-5c9b-old", created=BEFORE)
LOADING = pod(running(), phase="Running", ready_since=BEFORE)
FALLEN = pod(running(), phase="Running", ready_since=LATER, name="echo-worker-5c9b-fallen")


def deployment(
    replicas: int = 1,
    updated: int = 1,
    ready: int = 1,
    seen: int = 3,
    generation: int = 3,
    refused: str = "",
    **progressing: Any,
) -> Object:
    failing = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refused}
    moving = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": "is progressing."}
    status = {
        "observedGeneration": seen,
        "replicas": replicas,
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "conditions": [{"type": "Available", "status": "True"}, moving | progressing, *([failing] if refused else [])],
    }
    # The API server leaves out what is zero.
    return {
        "metadata": {"name": "echo-worker", "generation": generation},
        "spec": {"replicas": replicas},
        "status": {name: value for name, value in status.items() if value},
    }


STALL = {
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "echo-worker-6d4f" has timed out progressing.',
}

QUOTA = (
    'pods "echo-worker-6d4f-x2x9p" is forbidden: exceeded quota: few-pods, requested: pods=1, used: pods=1, '
    "limited: pods=1"
)


def workload(wanted: int | None = 1, *pods: PodView, **status: Any) -> WorkloadView:
    return WorkloadView.of(wanted, deployment(**status), pods)


#: All pods serve; none was ever made; a new generation fails beside a serving old one.
SERVES = workload(1, SERVING)
NOTHING_YET = WorkloadView.of(1, None, [])


def failing_update(*failing: PodView, **status: Any) -> WorkloadView:
    return workload(1, SERVING, *failing, **{"replicas": 2, "updated": 1, "ready": 1, **status})


def failing_start(*failing: PodView, **status: Any) -> WorkloadView:
    return workload(1, *failing, **{"replicas": 1, "updated": 1, "ready": 0, **status})
