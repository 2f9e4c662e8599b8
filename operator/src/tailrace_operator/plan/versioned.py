"""ConfigMaps named by their content, so that a running worker never restarts into another worker's settings.

A container that crashes starts again with what its volumes hold then. If a rollout changed the ConfigMap in place, a
bad setting would reach the old, working pods at their next restart. Hence each content has its own immutable
ConfigMap, and the pods of each generation keep theirs (what kustomize's configMapGenerator does).
"""

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tailrace_operator.plan.identity import Ref
from tailrace_operator.render.rendered import Manifest

_DIGITS = 10


def versioned(manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """The manifests with every ConfigMap renamed by its content, and the pods among them pointing at the new names."""
    names = {m["metadata"]["name"]: _name(m) for m in manifests if m["kind"] == "ConfigMap"}
    return tuple(_renamed(manifest, names) for manifest in manifests)


def config_maps_of(pod_spec: Mapping[str, Any]) -> Iterator[str]:
    """The names of the ConfigMaps that a pod mounts."""
    for volume in pod_spec.get("volumes") or ():
        if "configMap" in volume:
            yield volume["configMap"]["name"]


def in_use(observed: Sequence[Manifest], pods: Sequence[Manifest]) -> set[Ref]:
    """The ConfigMaps that pods mount, or that pods of an unfinished rollout may come to mount again."""
    config_maps = {Ref.of(manifest) for manifest in observed if manifest["kind"] == "ConfigMap"}
    if any(manifest["kind"] == "Deployment" and not _is_rolled_out(manifest) for manifest in observed):
        return config_maps
    mounted = {name for pod in pods for name in config_maps_of(pod["spec"])}
    return {ref for ref in config_maps if ref.name in mounted}


def _is_rolled_out(deployment: Manifest) -> bool:
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 0)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return bool(seen and status.get("replicas", 0) == status.get("updatedReplicas", 0) == wanted)


def _renamed(manifest: Manifest, names: Mapping[str, str]) -> Manifest:
    result = copy.deepcopy(manifest)
    if manifest["kind"] == "ConfigMap":
        result["metadata"]["name"] = names[manifest["metadata"]["name"]]
        return result | {"immutable": True}
    template = result.get("spec", {}).get("template") if manifest["kind"] in ("Deployment", "Job") else None
    for volume in (template or {}).get("spec", {}).get("volumes") or ():
        if "configMap" in volume:
            volume["configMap"]["name"] = names.get(volume["configMap"]["name"], volume["configMap"]["name"])
    return result


def _name(config_map: Manifest) -> str:
    content = json.dumps(config_map["data"], sort_keys=True).encode()
    return f"{config_map['metadata']['name']}-{hashlib.sha256(content).hexdigest()[:_DIGITS]}"
