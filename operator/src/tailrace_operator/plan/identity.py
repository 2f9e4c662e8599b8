"""Which object a manifest is about, and whether what bears its name is ours.

Ours is what the resource at hand owns, by uid. Labels alone prove nothing: anybody can set them, and a model that was
deleted and made anew has another uid than the owner of what the garbage collector has not removed yet. Only of what
is meant to outlive its owner, and so has none, the labels must tell; of what lost its owner, the record of its writers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from tailrace_operator.render.metadata import MANAGED
from tailrace_operator.resources.metadata import GROUP


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """The name of an object: what the API server finds it by."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Self:
        """The name of `manifest`."""
        described = manifest["metadata"]
        return cls(manifest["apiVersion"], manifest["kind"], described.get("namespace", ""), described["name"])

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


#: Under which name the operator writes.
FIELD_MANAGER = "tailrace-operator"
#: What may be kept when its owner goes, for the next one of the same name.
_KEPT = ("PersistentVolumeClaim",)


class Ownership(Enum):
    """Whose an object is."""

    OURS = "ours"
    LEFTOVER = "leftover"
    FOREIGN = "foreign"


def ownership(observed: Mapping[str, Any], owner_uid: str) -> Ownership:
    """Whose `observed` is, seen by the resource with `owner_uid`.

    A leftover belongs to a resource of ours that is gone: the garbage collector will remove it.
    """
    owners = observed["metadata"].get("ownerReferences") or []
    if any(owner.get("uid") == owner_uid for owner in owners):
        return Ownership.OURS
    if not owners and observed["kind"] in _KEPT and _is_marked(observed):
        return Ownership.OURS
    if not owners and _is_applied_by_us(observed):
        return Ownership.OURS
    made_by_us = any(str(owner.get("apiVersion", "")).startswith(f"{GROUP}/") for owner in owners)
    return Ownership.LEFTOVER if made_by_us else Ownership.FOREIGN


def _is_applied_by_us(observed: Mapping[str, Any]) -> bool:
    """Whether our own writes made it, as the API server recorded: its owner was taken away by hand, or let go of it.

    Nobody else's object says so, whatever its labels are.
    """
    fields = observed["metadata"].get("managedFields") or ()
    return any(entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" for entry in fields)


def _is_marked(observed: Mapping[str, Any]) -> bool:
    labels = observed["metadata"].get("labels") or {}
    return all(labels.get(label) == value for label, value in MANAGED.items())
