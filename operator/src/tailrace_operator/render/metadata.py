"""Names, labels and owners of what is made for a resource."""

from collections.abc import Sequence
from typing import Any

from tailrace_operator.render.rendered import Manifest
from tailrace_operator.resources import DEFAULT_GATEWAY, StreamingGateway, StreamingModel
from tailrace_operator.resources.metadata import API_VERSION, GROUP

MANAGED = {"app.kubernetes.io/managed-by": "tailrace"}
#: What a Deployment, a Service or a budget selects pods by; cannot be changed once a Deployment exists.
SELECTED_BY = ("app.kubernetes.io/name", "app.kubernetes.io/instance")

Resource = StreamingModel | StreamingGateway


def metadata(name: str, component: str, owner: Resource, *, kept: bool = False) -> Manifest:
    """Metadata of a child of `owner`, which a `kept` child outlives. Without an API server nobody has a uid."""
    described = {"name": name, "namespace": owner.metadata.namespace, "labels": labels(component, owner)}
    owned = owner.metadata.uid and not kept
    return described | ({"ownerReferences": [reference(owner, controls=True)]} if owned else {})


def labels(component: str, owner: Resource) -> dict[str, str]:
    """The recommended labels, and one that names the resource."""
    kind = "gateway" if isinstance(owner, StreamingGateway) else "model"
    return {
        "app.kubernetes.io/name": f"tailrace-{component}",
        "app.kubernetes.io/instance": owner.metadata.name,
        **MANAGED,
        f"{GROUP}/{kind}": owner.metadata.name,
    }


def selector(described: Manifest) -> dict[str, str]:
    """The labels by which the pods of the child with this metadata are selected."""
    return {key: described["labels"][key] for key in SELECTED_BY}


def reference(owner: Resource, *, controls: bool) -> dict[str, Any]:
    """An owner reference."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner.kind_name,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": controls,
        "blockOwnerDeletion": controls,
    }


def gateway_child(gateway: str) -> str:
    """The name of the children of the gateway called `gateway`."""
    return "tailrace-gateway" if gateway == DEFAULT_GATEWAY else f"tailrace-gateway-{gateway}"


def worker_child(model: str) -> str:
    """The name of the children of the model called `model`, but for its download."""
    return f"{model}-worker"


def default_gateway(namespace: str, models: Sequence[StreamingModel]) -> Manifest:
    """The StreamingGateway that a namespace gets with its first model: all defaults, gone with its last model."""
    owners = [reference(model, controls=False) for model in models if model.metadata.uid]
    described: Manifest = {
        "name": DEFAULT_GATEWAY,
        "namespace": namespace,
        "labels": {**MANAGED, f"{GROUP}/gateway": DEFAULT_GATEWAY},
    }
    described |= {"ownerReferences": owners} if owners else {}
    return {"apiVersion": API_VERSION, "kind": StreamingGateway.kind_name, "metadata": described, "spec": {}}
