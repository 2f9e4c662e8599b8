"""Whose an object is that bears the name of one of ours."""

from typing import Any

import pytest
from tailrace_operator.plan import Ownership, Ref, ownership

from .samples import UID, manifest, owner

MANAGED = {"app.kubernetes.io/managed-by": "tailrace"}


def observed(*owners: dict[str, Any], kind: str = "Deployment", labels: dict[str, str] | None = None) -> Any:
    found = manifest(kind)
    found["metadata"] |= {"ownerReferences": list(owners), "labels": labels or {}}
    return found


@pytest.mark.parametrize(
    ("present", "whose"),
    [
        (observed(owner()), Ownership.OURS),
        (observed(owner("other", "apps/v1", "ReplicaSet"), owner()), Ownership.OURS),
        (observed(owner("of-a-deleted-model")), Ownership.LEFTOVER),
        (observed(owner("of-a-deleted-model", "tailrace.dev/v1beta9")), Ownership.LEFTOVER),
        (observed(owner("other", "apps/v1", "Deployment")), Ownership.FOREIGN),
        (observed(owner("other", "tailrace.dev.example.com/v1")), Ownership.FOREIGN),
        (observed(), Ownership.FOREIGN),
        (observed(labels=MANAGED), Ownership.FOREIGN),
        (observed(kind="PersistentVolumeClaim", labels=MANAGED), Ownership.OURS),
        (observed(kind="PersistentVolumeClaim"), Ownership.FOREIGN),
        (observed(owner("other", "apps/v1"), kind="PersistentVolumeClaim", labels=MANAGED), Ownership.FOREIGN),
        (observed(owner("of-a-deleted-model"), kind="PersistentVolumeClaim", labels=MANAGED), Ownership.LEFTOVER),
    ],
)
def test_what_the_resource_owns_is_ours_and_labels_count_for_kept_volumes_alone(present: Any, whose: Any) -> None:
    assert ownership(present, UID) is whose


def test_an_object_without_owners_is_nobodys() -> None:
    bare = manifest()
    del bare["metadata"]["ownerReferences"]
    assert ownership(bare, UID) is Ownership.FOREIGN
    bare["metadata"]["ownerReferences"] = None
    assert ownership(bare, UID) is Ownership.FOREIGN


@pytest.mark.parametrize(
    ("manager", "operation", "owners", "whose"),
    [
        ("tailrace-operator", "Apply", (), Ownership.OURS),
        ("tailrace-operator", "Update", (), Ownership.FOREIGN),
        ("kubectl", "Apply", (), Ownership.FOREIGN),
        ("tailrace-operator", "Apply", (owner("other", "apps/v1"),), Ownership.FOREIGN),
        ("tailrace-operator", "Apply", (owner("of-a-deleted-model"),), Ownership.LEFTOVER),
    ],
)
def test_what_lost_its_owner_is_ours_if_we_wrote_it(manager: str, operation: str, owners: Any, whose: Any) -> None:
    present = observed(*owners)
    present["metadata"]["managedFields"] = [{"manager": "other"}, {"manager": manager, "operation": operation}]
    assert ownership(present, UID) is whose


def test_a_name_is_spelled_as_people_do_and_holds_all_that_tells_objects_apart() -> None:
    ref = Ref.of(manifest("Deployment", "a"))
    assert ref == Ref("apps/v1", "Deployment", "default", "a")
    assert str(ref) == "Deployment a"
    assert Ref.of({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}).namespace == ""
