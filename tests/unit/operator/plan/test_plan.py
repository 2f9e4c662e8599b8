"""What to apply and what to delete, and why."""

from typing import Any

import pytest
from tailrace_operator.plan import Delete, Plan, Ref, plan
from tailrace_operator.plan.plan import APPLIED

from .samples import UID, manifest, owner, stored

DEPLOYMENT = manifest("Deployment", spec={"replicas": 1, "template": {"spec": {"nodeName": "n"}}})
CONFIG = manifest("ConfigMap", data={"a": "1"})
JOB = manifest("Job", "echo-fetch", spec={"template": {}})


def applied(*desired: Any) -> list[Any]:
    """What stands after `desired` were applied."""
    return [stored(action.manifest, f"uid-{number}") for number, action in enumerate(plan(desired, [], UID).applies)]


def test_what_is_missing_is_made_in_the_order_of_rendering() -> None:
    made = plan([CONFIG, DEPLOYMENT], [], UID)
    assert [(a.ref.kind, a.reason, a.uid) for a in made.applies] == [
        ("ConfigMap", "it is missing", None),
        ("Deployment", "it is missing", None),
    ]
    assert made.deletes == ()


def test_when_all_is_as_desired_nothing_is_done() -> None:
    assert plan([CONFIG, DEPLOYMENT], applied(CONFIG, DEPLOYMENT), UID) == Plan()


def test_a_changed_object_is_applied_with_the_uid_that_was_seen_and_the_reason() -> None:
    present = applied(DEPLOYMENT)
    present[0]["spec"]["replicas"] = 7
    (action,) = plan([DEPLOYMENT], present, UID).applies
    assert (action.uid, action.reason) == ("uid-0", "spec.replicas is 7, not 1")
    present[0]["spec"]["template"] = None
    (action,) = plan([DEPLOYMENT], present, UID).applies
    assert action.reason == "spec.replicas is 7, not 1 (and 1 more)"


def test_a_field_that_is_no_longer_wanted_is_given_up() -> None:
    before = manifest("Deployment", spec={"replicas": 1, "nodeSelector": {"pool": "a"}})
    after = manifest("Deployment", spec={"replicas": 1})
    (action,) = plan([after], applied(before), UID).applies
    assert action.reason.startswith(f"metadata.annotations.{APPLIED} is ")


def test_an_own_annotation_stays_beside_the_digest() -> None:
    annotated = manifest("Service", spec={})
    annotated["metadata"]["annotations"] = {"lb": "internal"}
    (action,) = plan([annotated], [], UID).applies
    assert action.manifest["metadata"]["annotations"].keys() == {"lb", APPLIED}
    assert annotated["metadata"]["annotations"] == {"lb": "internal"}


def test_a_job_is_made_once_and_never_changed() -> None:
    changed = manifest("Job", "echo-fetch", spec={"template": {"x": 1}})
    assert [a.ref.kind for a in plan([JOB], [], UID).applies] == ["Job"]
    assert plan([changed], applied(JOB), UID) == Plan()


@pytest.mark.parametrize("desired", [(DEPLOYMENT,), ()])
def test_what_is_going_is_left_alone(desired: Any) -> None:
    (present,) = applied(DEPLOYMENT)
    present["metadata"]["deletionTimestamp"] = "2026-11-22T20:00:00Z"
    present["spec"]["replicas"] = 7
    assert plan(desired, [present], UID) == Plan()


def test_what_is_no_longer_wanted_is_deleted_by_its_uid() -> None:
    gone = plan([CONFIG], applied(CONFIG, DEPLOYMENT), UID)
    assert gone.applies == ()
    assert gone.deletes == (Delete(Ref.of(DEPLOYMENT), "uid-1", "no longer part of the resource"),)


@pytest.mark.parametrize("kind", ["PersistentVolumeClaim", "Secret"])
def test_what_holds_data_goes_only_with_its_owner(kind: str) -> None:
    assert plan([], applied(manifest(kind)), UID) == Plan()


def test_only_what_is_ours_is_deleted() -> None:
    theirs, leftover = applied(DEPLOYMENT, CONFIG)
    theirs["metadata"]["ownerReferences"] = []
    leftover["metadata"]["ownerReferences"] = [owner("deleted-model")]
    assert plan([], [theirs, leftover], UID) == Plan()


def test_what_is_not_ours_counts_as_missing_and_is_never_written_by_its_uid() -> None:
    (theirs,) = applied(DEPLOYMENT)
    theirs["metadata"]["ownerReferences"] = []
    (action,) = plan([DEPLOYMENT], [theirs], UID).applies
    assert (action.uid, action.reason) == (None, "it is missing")


def test_what_is_still_in_use_is_kept() -> None:
    assert plan([], applied(CONFIG), UID, kept=[Ref.of(CONFIG)]) == Plan()


def test_a_kept_volume_without_an_owner_is_compared_and_not_made_anew() -> None:
    volume = manifest("PersistentVolumeClaim", "echo-cache", spec={"resources": {"requests": {"storage": "1Gi"}}})
    volume["metadata"] |= {"labels": {"app.kubernetes.io/managed-by": "tailrace"}}
    del volume["metadata"]["ownerReferences"]
    present = applied(volume)
    assert plan([volume], present, UID) == Plan()
    present[0]["spec"]["resources"]["requests"]["storage"] = "2Gi"
    assert [a.uid for a in plan([volume], present, UID).applies] == ["uid-0"]


def test_every_action_is_told_in_words() -> None:
    other = manifest("Service", "old", spec={})
    assert plan([CONFIG], applied(other), UID).details == (
        "apply ConfigMap echo-worker: it is missing",
        "delete Service old: no longer part of the resource",
    )
