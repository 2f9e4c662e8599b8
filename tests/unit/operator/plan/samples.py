"""Manifests that these tests begin with, and what an API server makes of them."""

import copy
from typing import Any

from hypothesis import strategies as st
from tailrace_operator.plan.drift import _KEPT

Manifest = dict[str, Any]
UID = "11111111-aaaa"


def owner(uid: str = UID, api_version: str = "tailrace.dev/v1alpha1", kind: str = "StreamingModel") -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "name": "echo", "uid": uid, "controller": True}


def manifest(kind: str = "ConfigMap", name: str = "echo-worker", **body: Any) -> Manifest:
    versions = {"Deployment": "apps/v1", "Job": "batch/v1"}
    described = {"name": name, "namespace": "default", "ownerReferences": [owner()]}
    return {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": described, **body}


def stored(desired: Manifest, uid: str = "child-uid", **metadata: Any) -> Manifest:
    """What the API server keeps of `desired`."""
    kept = copy.deepcopy(desired)
    kept["metadata"] |= {"uid": uid, "resourceVersion": "7", "managedFields": [{}], **metadata}
    return kept


names = st.sampled_from(["a", "b", "c", "image", "tmp", "HOME"])
amounts = st.sampled_from([("1", "1000m"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("2", 2), (3, "3"), ("64Mi", "64Mi")])
leaves = st.booleans() | st.integers(-2, 70_000) | st.text("abc-/:.", max_size=8)


def items(key: str, values: st.SearchStrategy[Any] = names) -> st.SearchStrategy[list[Manifest]]:
    """A list of objects that `key` tells apart."""
    one = st.fixed_dictionaries({key: values}, optional={"x": leaves, "y": st.dictionaries(names, leaves, max_size=2)})
    return st.lists(one, max_size=3, unique_by=lambda item: item[key])


atomic = st.lists(leaves, max_size=3) | st.lists(st.dictionaries(names, leaves, min_size=1, max_size=2), max_size=3)
specs = st.recursive(
    leaves,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "plain": inner,
            "nested": st.dictionaries(names, inner, max_size=2),
            "env": items("name"),
            "volumeMounts": items("mountPath"),
            "ports": items("containerPort", st.integers(1, 9)),
            "ownerReferences": items("uid"),
            "args": atomic,
            "tolerations": atomic,
            "replicas": st.integers(0, 3),
            "allowPrivilegeEscalation": st.booleans(),
            "resources": st.fixed_dictionaries({"requests": st.dictionaries(names, amounts.map(lambda a: a[0]))}),
        },
    ),
    max_leaves=12,
)
documents = st.dictionaries(names, specs, max_size=3)

_MERGED = ("env", "volumeMounts", "ports", "ownerReferences")
_RESPELLED = {"1": "1000m", "0.5": "500m", "1024Mi": "1Gi", "2": 2, 3: "3"}


def server_defaulted(value: Any, draw: st.DrawFn, path: tuple[str, ...] = ()) -> Any:
    """`value` as an API server might give it back: with defaults, others' fields, its own spelling, without empties."""
    if isinstance(value, dict):
        return _filled({k: server_defaulted(v, draw, (*path, k)) for k, v in value.items()}, draw, path)
    if isinstance(value, list):
        given = [server_defaulted(item, draw, (*path, "[]")) for item in value]
        return given + [{"name": "theirs", "uid": "theirs", "mountPath": "theirs", "containerPort": 99}] * (
            path[-1] in _MERGED and bool(value) and draw(st.booleans())
        )
    return _RESPELLED.get(value, value) if "requests" in path and not isinstance(value, bool) else value


def _filled(value: Manifest, draw: st.DrawFn, path: tuple[str, ...]) -> Manifest:
    droppable = [k for k, v in value.items() if not v and k not in _KEPT and "[]" not in path]
    dropped = draw(st.sets(st.sampled_from(droppable))) if droppable else set()
    given = {"protocol": "TCP", "zz-default": draw(leaves)} if draw(st.booleans()) else {}
    return {**given, **{k: v for k, v in value.items() if k not in dropped}}
