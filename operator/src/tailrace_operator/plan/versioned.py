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
