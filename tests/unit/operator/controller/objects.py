"""Resources and children as the watches and listings of these tests tell of them."""

from datetime import datetime
from typing import Any

Object = dict[str, Any]
API = "tailrace.dev/v1alpha1"
MANAGED = {"app.kubernetes.io/managed-by": "tailrace"}


def resource(name: str = "echo", kind: str = "StreamingModel", uid: str = "", version: int = 1, **more: Any) -> Object:
    metadata = {"name": name, "namespace": "default", "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    metadata |= more.pop("metadata", {})
    spec = {"engine": {"simulated": {}}} if kind == "StreamingModel" else {}
    return {"apiVersion": API, "kind": kind, "metadata": metadata | {"generation": 1}, "spec": spec, **more}


def gateway(name: str = "default", **more: Any) -> Object:
    return resource(name, "StreamingGateway", **more)


def child(
    name: str = "echo-worker", kind: str = "Deployment", of: str | None = "model=echo", version: int = 1, **more: Any
) -> Object:
    label, _, owner = (of or "").partition("=")
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": str(version)}
    labels = MANAGED | ({f"tailrace.dev/{label}": owner} if of else {})
    api_version = {"Deployment": "apps/v1", "Job": "batch/v1"}.get(kind, "v1")
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": metadata | {"labels": labels} | more.pop("metadata", {}),
        **more,
    }


def worker_pod(
    name: str = "p", of: str = "echo", *, ready: str = "", placed: str = "True", restarts: int = 0, **more: Any
) -> Object:
    """A worker of a model, made at 20:00:00 and ready since then, if at all."""
    conditions: list[Object] = [{"type": "PodScheduled", "status": placed}]
    if placed == "False":
        conditions[0] |= {"reason": "Unschedulable", "message": "0/2 nodes: Insufficient nvidia.com/gpu"}
    if ready:
        conditions.append({"type": "Ready", "status": "True", "lastTransitionTime": f"2026-11-22T{ready}Z"})
    status = {"phase": "Running", "conditions": conditions} | more.pop("status", {})
    status["containerStatuses"] = [{"name": "worker", "restartCount": restarts}]
    metadata = {"uid": name, "creationTimestamp": "2026-11-22T20:00:00Z"} | more.pop("metadata", {})
    found = child(name, "Pod", f"model={of}", metadata=metadata, status=status, **more)
    found["metadata"]["labels"] = found["metadata"]["labels"] | {"app.kubernetes.io/name": "tailrace-worker"}
    return found


def owned_by(uid: str, api_version: str = API) -> Object:
    return {"ownerReferences": [{"apiVersion": api_version, "kind": "StreamingModel", "name": "echo", "uid": uid}]}


def unmounted(name: str, since: datetime, of: str = "model=echo", **described: Any) -> Object:
    """A pod whose node has not given it its volumes since then."""
    waiting = {"name": "worker", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}
    told = {"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": text_of(since)}
    status = {"phase": "Pending", "conditions": [told], "containerStatuses": [waiting]}
    metadata = {"creationTimestamp": text_of(since), **described}
    return child(name, "Pod", of, metadata=metadata, status=status)


def event(about: str, reason: str, message: str, when: datetime, kind: str = "Warning", **times: Any) -> Object:
    """An event about the object with the uid `about`; `times` are other ways of saying when."""
    metadata = {"name": f"{about}.{reason}", "namespace": "default"}
    if created := times.pop("creationTimestamp", None):
        metadata["creationTimestamp"] = created
    told = {"involvedObject": {"uid": about}, "reason": reason, "message": message, "type": kind}
    return {"apiVersion": "v1", "kind": "Event", "metadata": metadata, **told, "lastTimestamp": text_of(when), **times}


def text_of(moment: datetime) -> str:
    """A moment as the API server writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
