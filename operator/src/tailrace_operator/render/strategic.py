"""Strategic merge: Kubernetes' own way to change a part of an object, for pod templates.

Maps are merged by their keys, lists of named items by the field that Kubernetes' API marks as their merge key, and all
other lists are replaced. `null` removes a field. The directive `$patch: replace` keeps nothing of a map, or of the list
that it is an item of; `$patch: delete` empties a map, or removes the item with its key. The ordering directives, which
only `kubectl apply` computes, are not understood.
"""

import copy
from collections.abc import Mapping
from typing import Any

from tailrace_operator.render.rendered import Manifest

_DIRECTIVE = "$patch"
#: Merge keys of the lists below a pod template, by the list's name: `patchMergeKey` in Kubernetes' API.
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ownerReferences": "uid",
}


def strategic_merge(base: Manifest, patch: Mapping[str, Any]) -> Manifest:
    """`base` with `patch` merged into it; neither is changed."""
    return _map(base, patch)


def _map(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {key: value for key, value in patch.items() if key != _DIRECTIVE}
    match patch.get(_DIRECTIVE):
        case "replace":
            return copy.deepcopy(wanted)
        case "delete":
            return {}
    result = copy.deepcopy(dict(base))
    for key, value in wanted.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _value(key, result.get(key), value)
    return result


def _value(field: str, base: Any, patch: Any) -> Any:
    if isinstance(patch, Mapping):
        return _map(base if isinstance(base, Mapping) else {}, patch)
    if isinstance(patch, list) and field in _MERGE_KEYS:
        return _list(base if isinstance(base, list) else [], patch, _MERGE_KEYS[field])
    return copy.deepcopy(patch)


def _list(base: list[Any], patch: list[Any], key: str) -> list[Any]:
    """Items keep their places; new ones follow in their order."""
    if any(item.get(_DIRECTIVE) == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if _DIRECTIVE not in item]
    result = {item[key]: copy.deepcopy(item) for item in base}
    for item in patch:
        if item.get(_DIRECTIVE) == "delete":
            result.pop(item[key], None)
        else:
            result[item[key]] = _map(result.get(item[key], {}), item)
    return list(result.values())
