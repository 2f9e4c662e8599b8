"""The changes that a resource asks for in its pods (`spec.pod`), as one strategic merge patch of their template."""

from collections.abc import Sequence
from typing import Any

from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.strategic import strategic_merge
from tailrace_operator.resources.pod import FETCH_PREFIX, Pod


def with_overrides(template: Manifest, pod: Pod, main: str) -> Manifest:
    """The template of pods around the container `main`, changed as `pod` says."""
    image = {"image": pod.image} if pod.image else {}
    ours = [{"name": main, **image, **_reach(pod)}]
    containers = {
        "containers": ours + pod.containers,
        "initContainers": _downloads(template, pod) + pod.init_containers,
    }
    spread = {"topologySpreadConstraints": pod.topology_spread_constraints}
    return _merged(template, pod, containers | spread)


def with_overrides_for_download(template: Manifest, pod: Pod) -> Manifest:
    """The template of a Job's pod, changed as `pod` says, but for the main container's image and for sidecars."""
    names = [container["name"] for container in template["spec"]["containers"]]
    ours = [{"name": name, **_reach(pod)} for name in names]
    return _merged(template, pod, {"containers": ours, "initContainers": _downloads(template, pod)})


def _merged(template: Manifest, pod: Pod, spec: Manifest) -> Manifest:
    patch = {
        "metadata": _given({"labels": pod.labels, "annotations": pod.annotations}),
        "spec": _given(
            {
                "affinity": pod.affinity,
                "imagePullSecrets": _plain(pod.image_pull_secrets),
                "priorityClassName": pod.priority_class_name,
                "serviceAccountName": pod.service_account_name,
                "tolerations": [*template["spec"].get("tolerations", []), *_plain(pod.tolerations)],
                "volumes": pod.volumes,
                **spec,
            }
        ),
    }
    return strategic_merge(template, patch)


def _downloads(template: Manifest, pod: Pod) -> list[Manifest]:
    names = [container["name"] for container in template["spec"].get("initContainers", [])]
    return [{"name": name, **_reach(pod)} for name in names if name.startswith(FETCH_PREFIX)]


def _reach(pod: Pod) -> Manifest:
    """What every container of ours gets."""
    return _given({"env": _plain(pod.env), "volumeMounts": _plain(pod.volume_mounts)})


def _plain(blocks: Sequence[Any]) -> list[Manifest]:
    return [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in blocks]


def _given(fields: Manifest) -> Manifest:
    return {name: value for name, value in fields.items() if value}
