"""Finding one's way in rendered manifests."""

from typing import Any

import msgspec

Manifest = dict[str, Any]


def of_kind(manifests: Any, kind: str) -> Manifest:
    """The only manifest of a kind."""
    (found,) = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def pod_of(workload: Manifest) -> Manifest:
    """The spec of a Deployment's or a Job's pods."""
    return workload["spec"]["template"]["spec"]


def container(workload: Manifest) -> Manifest:
    """The main container of a Deployment's or a Job's pods."""
    return pod_of(workload)["containers"][0]


def settings_in(config: Manifest, kind: type, file: str | None = None) -> Any:
    """The settings in a ConfigMap's file; without a name, in its only file."""
    (text,) = [config["data"][file]] if file else config["data"].values()
    return msgspec.json.decode(text, type=kind)


def environment(some: Manifest) -> dict[str, Any]:
    """A container's variables: text, or where their values come from."""
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in some["env"]}


def mounts(some: Manifest) -> dict[str, Manifest]:
    """A container's mounts, by path."""
    return {mount["mountPath"]: mount for mount in some["volumeMounts"]}


def volumes(workload: Manifest) -> dict[str, Manifest]:
    """A pod's volumes, by name."""
    return {volume["name"]: volume for volume in pod_of(workload)["volumes"]}
