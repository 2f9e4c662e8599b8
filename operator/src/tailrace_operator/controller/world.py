"""What the operator knows of the cluster: the resources, their children and their pods, by whom they belong to.

Fed by kopf's events and by a full listing now and then: a watch that was interrupted for long starts anew with a
listing, and objects that were deleted meanwhile are told by no event.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tailrace_operator.apply.kinds import GATEWAY, MODEL, POD
from tailrace_operator.plan.identity import Ref
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.resources.model import GROUP

MODEL_LABEL = f"{GROUP}/model"
GATEWAY_LABEL = f"{GROUP}/gateway"
#: What every child bears, so that the API server sends us nothing else.
CHILD_SELECTOR = "app.kubernetes.io/managed-by=tailrace"
_POD_FIELDS = ("phase", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses")


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What is reconciled: a resource, or what the resources of a namespace share (no name)."""

    kind: Literal["StreamingModel", "StreamingGateway", "Namespace"]
    namespace: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}".rstrip("/")


@dataclass
class World:
    """Objects by name; what was seen last stands."""

    _resources: dict[Key, Manifest] = field(default_factory=dict)
    _children: dict[Key, dict[Ref, Manifest]] = field(default_factory=dict)
    _owner_of: dict[Ref, Key] = field(default_factory=dict)

    def put(self, observed: Mapping[str, Any], *, answered: bool = False) -> set[Key]:
        """Take in an object; returns whom it concerns. What is not newer than what is known changes nothing.

        Of one version, what the API server `answered` is best: while a definition is replaced, watches still give
        objects as the former schema has them, without its new fields.
        """
        ref = Ref.of(observed)
        key = resource_key(ref)
        if key is None:
            return self._put_child(ref, observed)
        if not _is_known(observed, self._resources.get(key), answered):
            self._resources[key] = _trimmed(observed)
        return {key}

    def drop(self, ref: Ref) -> set[Key]:
        """Forget an object that is gone; returns whom it concerned."""
        key = resource_key(ref)
        if key is None:
            return self._drop_child(ref)
        self._resources.pop(key, None)
        return {key}

    def knows(self, observed: Mapping[str, Any]) -> bool:
        """Whether an object is known just as it is: of one version there may be two readings (see `put`)."""
        ref = Ref.of(observed)
        key = resource_key(ref)
        owner = self._owner_of.get(ref)
        known = self._resources.get(key) if key else self._children[owner][ref] if owner else None
        return known == _trimmed(observed)

    def resource(self, key: Key) -> Manifest | None:
        """The resource called `key`."""
        return self._resources.get(key)

    def resources(self, kind: str, namespace: str | None = None) -> Iterator[tuple[Key, Manifest]]:
        """All resources of a kind, or those of one namespace, by name."""
        chosen = [key for key in self._resources if key.kind == kind and namespace in (None, key.namespace)]
        for key in sorted(chosen):
            yield key, self._resources[key]

    def children(self, key: Key) -> list[Manifest]:
        """What bears the label of `key`, but for pods."""
        return [child for ref, child in self._children.get(key, {}).items() if ref.kind != POD.kind]

    def deployment(self, key: Key) -> Manifest:
        """The Deployment that bears the label of `key`; empty while there is none."""
        return next((child for child in self.children(key) if child["kind"] == "Deployment"), {})

    def pods(self, key: Key) -> list[Manifest]:
        """The pods that bear the label of `key`."""
        return [child for ref, child in self._children.get(key, {}).items() if ref.kind == POD.kind]

    def refs(self) -> set[Ref]:
        """The names of all that is known."""
        kinds = {MODEL.kind: MODEL, GATEWAY.kind: GATEWAY}
        resources = {Ref(kinds[k.kind].api_version, k.kind, k.namespace, k.name) for k in self._resources}
        return resources | set(self._owner_of)

    def _put_child(self, ref: Ref, observed: Mapping[str, Any]) -> set[Key]:
        """A child whose label was moved to another owner concerns both; one that lost it, the one that it had."""
        before, owner = self._owner_of.get(ref), owner_key(observed)
        if before is not None and _is_older(observed, self._children[before][ref]):
            return {before}
        told = self._drop_child(ref) if before != owner else set()
        if owner is None:
            return told
        self._children.setdefault(owner, {})[ref] = _trimmed(observed)
        self._owner_of[ref] = owner
        return told | {owner}

    def _drop_child(self, ref: Ref) -> set[Key]:
        owner = self._owner_of.pop(ref, None)
        if owner is None:
            return set()
        del self._children[owner][ref]
        if not self._children[owner]:
            del self._children[owner]
        return {owner}


def resource_key(ref: Ref) -> Key | None:
    """The key of a resource of ours; `None` for other kinds."""
    if ref.kind == "StreamingModel":
        return Key("StreamingModel", ref.namespace, ref.name)
    return Key("StreamingGateway", ref.namespace, ref.name) if ref.kind == "StreamingGateway" else None


def owner_key(observed: Mapping[str, Any]) -> Key | None:
    """Whose child an object is, by its label."""
    described = observed["metadata"]
    labels = described.get("labels") or {}
    if model := labels.get(MODEL_LABEL):
        return Key("StreamingModel", described["namespace"], model)
    gateway = labels.get(GATEWAY_LABEL)
    return Key("StreamingGateway", described["namespace"], gateway) if gateway else None


def missing(known: Iterable[Ref], listed: Iterable[Ref]) -> set[Ref]:
    """What was known and is not listed any more."""
    return set(known) - set(listed)


def _is_known(observed: Mapping[str, Any], known: Mapping[str, Any] | None, answered: bool) -> bool:
    """Whether an object tells nothing that is not known already."""
    return _is_older(observed, known) or (not answered and _has_version_of(observed, known))


def _has_version_of(observed: Mapping[str, Any], known: Mapping[str, Any] | None) -> bool:
    if known is None:
        return False
    versions, uids = (
        [found["metadata"].get(name) for found in (observed, known)] for name in ("resourceVersion", "uid")
    )
    return versions[0] is not None and versions[0] == versions[1] and uids[0] == uids[1]


def _is_older(observed: Mapping[str, Any], known: Mapping[str, Any] | None) -> bool:
    if known is None or observed["metadata"].get("uid") != known["metadata"].get("uid"):
        return False
    new, old = (str(o["metadata"].get("resourceVersion", "")) for o in (observed, known))
    return new.isdigit() and old.isdigit() and int(new) < int(old)


def _trimmed(observed: Mapping[str, Any]) -> Manifest:
    """The part that somebody looks at: a thousand models with all their children are kept in memory."""
    described = {key: value for key, value in observed["metadata"].items() if key != "managedFields"}
    if observed["kind"] != POD.kind:
        return {**observed, "metadata": described}
    status, spec = observed.get("status") or {}, observed.get("spec") or {}
    return {
        "apiVersion": observed["apiVersion"],
        "kind": observed["kind"],
        "metadata": described,
        "spec": {"volumes": [v for v in spec.get("volumes") or () if "configMap" in v]},
        "status": {name: status[name] for name in _POD_FIELDS if name in status},
    }
