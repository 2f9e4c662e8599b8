"""The plan: which objects to apply and which to delete, and why."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailrace_operator.plan.drift import drift
from tailrace_operator.plan.identity import Ownership, Ref, ownership
from tailrace_operator.render.rendered import Manifest

#: What was last applied, in short: tells when a field that we no longer set must be given up.
APPLIED = "tailrace.dev/applied"
#: What holds a person's data, or what others may be using, goes only with its owner.
_NEVER_PRUNED = ("PersistentVolumeClaim", "Secret")
#: What cannot be changed once it exists: another name is another object.
_MADE_ONCE = ("Job",)


@dataclass(frozen=True, slots=True)
class Apply:
    """Bring one object to its desired form. `uid` is that of the present object, none to make it."""

    manifest: Manifest
    reason: str
    uid: str | None = None

    @property
    def ref(self) -> Ref:
        """Which object."""
        return Ref.of(self.manifest)


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove one object that is ours and no longer wanted."""

    ref: Ref
    uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in their order; empty when the cluster is as desired."""

    applies: tuple[Apply, ...] = ()
    deletes: tuple[Delete, ...] = ()

    @property
    def details(self) -> tuple[str, ...]:
        """Each action in words, for logs."""
        applied = [f"apply {action.ref}: {action.reason}" for action in self.applies]
        return (*applied, *(f"delete {action.ref}: {action.reason}" for action in self.deletes))


def plan(desired: Sequence[Manifest], observed: Sequence[Manifest], owner_uid: str, kept: Collection[Ref] = ()) -> Plan:
    """What makes `observed` (objects that bear our labels) into `desired`, for the resource with `owner_uid`.

    `kept` are objects not to prune though they are no longer desired: something still uses them.
    """
    ours = {Ref.of(o): o for o in observed if ownership(o, owner_uid) is Ownership.OURS}
    marked = [_marked(manifest) for manifest in desired]
    applies = [action for manifest in marked if (action := _apply(manifest, ours.get(Ref.of(manifest))))]
    wanted = {Ref.of(manifest) for manifest in marked} | set(kept)
    deletes = [
        Delete(ref, present["metadata"]["uid"], "no longer part of the resource")
        for ref, present in ours.items()
        if ref not in wanted and ref.kind not in _NEVER_PRUNED and not _is_going(present)
    ]
    return Plan(tuple(applies), tuple(deletes))


def _apply(manifest: Manifest, present: Mapping[str, Any] | None) -> Apply | None:
    if present is None:
        return Apply(manifest, "it is missing")
    if manifest["kind"] in _MADE_ONCE or _is_going(present):
        return None
    differences = drift(manifest, present)
    if not differences:
        return None
    more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
    return Apply(manifest, differences[0] + more, present["metadata"]["uid"])


def _is_going(present: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in present["metadata"]


def _marked(manifest: Manifest) -> Manifest:
    """The manifest with a digest of itself: a field that it no longer holds shows as a difference of the digest."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    described = manifest["metadata"]
    annotations = {**described.get("annotations", {}), APPLIED: digest}
    return {**manifest, "metadata": {**described, "annotations": annotations}}
