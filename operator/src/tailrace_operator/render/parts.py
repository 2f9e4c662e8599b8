"""Pieces that the builders share: metadata, configuration as a ConfigMap, the Deployment around a container."""

import copy
import hashlib
import math
from typing import Any

import msgspec

from tailrace_operator.render.rendered import Manifest
from tailrace_operator.resources.model import API_VERSION, StreamingModel

CONFIG_DIRECTORY = "/etc/tailrace"
SECRETS_DIRECTORY = "/etc/tailrace-nats"
#: What a pod may take beyond its own deadline before it is killed, in seconds.
GRACE_MARGIN_S = 15


def metadata(name: str, namespace: str, labels: dict[str, str], owners: tuple[StreamingModel, ...]) -> Manifest:
    """Metadata of a child; a sole owner controls it. A model that no API server has stored (no uid) owns nothing."""
    references = [_owner(model, sole=len(owners) == 1) for model in owners if model.metadata.uid]
    described: Manifest = {"name": name, "namespace": namespace, "labels": labels}
    return described | ({"ownerReferences": references} if references else {})


def labels_of(component: str, instance: str) -> dict[str, str]:
    """The recommended labels; a Deployment selects its pods by the first two."""
    return {
        "app.kubernetes.io/name": f"tailrace-{component}",
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/managed-by": "tailrace",
    }


def config_map(described: Manifest, file: str, settings: msgspec.Struct) -> Manifest:
    """A ConfigMap that holds `settings` as one JSON file."""
    text = msgspec.json.format(msgspec.json.encode(settings), indent=2).decode()
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": copy.deepcopy(described), "data": {file: text + "\n"}}


def deployment(described: Manifest, replicas: int, pod: Manifest, config: Manifest) -> Manifest:
    """A Deployment of `pod`; its pods are replaced when `config` changes."""
    described = copy.deepcopy(described)
    labels = described["labels"]
    digest = hashlib.sha256(repr(sorted(config["data"].items())).encode()).hexdigest()[:16]
    template = {"metadata": {"labels": dict(labels), "annotations": {"tailrace.dev/config": digest}}, "spec": pod}
    selected = {key: labels[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/instance")}
    spec = {"replicas": replicas, "selector": {"matchLabels": selected}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": described, "spec": spec}


def pod(container: Manifest, volumes: list[Manifest], deadline_s: float) -> Manifest:
    """A pod of one container, which is given its own deadline and a margin before it is killed."""
    return {
        "containers": [container],
        "volumes": volumes,
        "terminationGracePeriodSeconds": math.ceil(deadline_s) + GRACE_MARGIN_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }


def config_volume(name: str) -> tuple[Manifest, Manifest]:
    """A ConfigMap as a volume, and where it is mounted."""
    volume = {"name": "config", "configMap": {"name": name}}
    return volume, {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True}


def secrets_volume(secret: str, users: tuple[str, ...]) -> tuple[Manifest, Manifest]:
    """The broker passwords of `users` as files of that name, and where they are mounted."""
    items = [{"key": user, "path": user} for user in users]
    volume = {"name": "nats", "secret": {"secretName": secret, "items": items, "defaultMode": 0o440}}
    return volume, {"name": "nats", "mountPath": SECRETS_DIRECTORY, "readOnly": True}


def _owner(model: StreamingModel, *, sole: bool) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": model.kind_name,
        "name": model.metadata.name,
        "uid": model.metadata.uid,
        "controller": sole,
        "blockOwnerDeletion": sole,
    }
