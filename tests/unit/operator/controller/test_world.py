"""What the operator knows of the cluster, and whom each event concerns."""

import pytest
from tailrace_operator.controller.world import Key, World, missing
from tailrace_operator.plan import Ref

from .objects import child, gateway, resource

ECHO, OTHER = Key("StreamingModel", "default", "echo"), Key("StreamingModel", "default", "other")
DEFAULT = Key("StreamingGateway", "default", "default")


def names(objects: list[dict]) -> list[str]:
    return [found["metadata"]["name"] for found in objects]


def test_a_resource_concerns_itself_and_a_child_its_owner() -> None:
    world = World()
    assert world.put(resource()) == {ECHO}
    assert world.put(gateway()) == {DEFAULT}
    assert world.put(child()) == {ECHO}
    assert world.put(child("tailrace-gateway", of="gateway=default")) == {DEFAULT}
    assert names(world.children(ECHO)) == ["echo-worker"]
    assert names(world.children(DEFAULT)) == ["tailrace-gateway"]
    assert world.resource(ECHO) == resource()
    assert world.resource(OTHER) is None


def test_what_belongs_to_nobody_concerns_nobody() -> None:
    world = World()
    assert world.put(child(of=None)) == set()
    assert world.refs() == set()


def test_pods_are_kept_apart_from_other_children() -> None:
    world = World()
    world.put(child())
    world.put(child("echo-worker-x", "Pod"))
    assert names(world.children(ECHO)) == ["echo-worker"]
    assert names(world.pods(ECHO)) == ["echo-worker-x"]


@pytest.mark.parametrize("make", [resource, child])
@pytest.mark.parametrize(
    ("version", "uid", "taken"),
    [(9, "same", False), (11, "same", True), (100, "same", True), (9, "other", True), (10, "other", True)],
)
def test_what_is_older_changes_nothing_unless_it_is_another_object(make, version: int, uid: str, taken: bool) -> None:
    world = World()
    world.put(make(version=10, metadata={"uid": "same"}))
    news = make(version=version, metadata={"uid": uid, "annotations": {"news": "yes"}})
    assert world.put(news) == {ECHO}
    (known,) = [world.resource(ECHO)] if make is resource else world.children(ECHO)
    assert ("annotations" in known["metadata"]) is taken


def test_of_one_version_an_answer_is_better_than_a_watch() -> None:
    """A watch that is older than the definition gives what is new without its new fields."""
    world, of_a_former_schema, whole = World(), resource(version=10), resource(version=10, metadata={"labels": {}})
    world.put(of_a_former_schema)
    assert world.put(whole, answered=True) == {ECHO}
    assert "labels" in world.resource(ECHO)["metadata"]
    assert world.put(of_a_former_schema) == {ECHO}
    assert "labels" in world.resource(ECHO)["metadata"]
    world.put(resource(version=9), answered=True)
    assert "labels" in world.resource(ECHO)["metadata"], "an old answer is old all the same"


def test_versions_are_numbers_and_not_text() -> None:
    world = World()
    world.put(resource(version=9))
    world.put(resource(version=10, metadata={"labels": {}}))
    assert world.resource(ECHO)["metadata"]["resourceVersion"] == "10"


def test_a_label_that_was_moved_concerns_both_owners() -> None:
    world = World()
    world.put(child(version=1))
    assert world.put(child(version=2, of="model=other")) == {ECHO, OTHER}
    assert world.children(ECHO) == []
    assert names(world.children(OTHER)) == ["echo-worker"]
    assert world.put(child(version=1)) == {OTHER}, "an older event moves nothing back"
    assert names(world.children(OTHER)) == ["echo-worker"]


def test_a_label_that_was_removed_concerns_the_owner_that_it_had() -> None:
    world = World()
    world.put(child(version=1))
    assert world.put(child(version=2, of=None)) == {ECHO}
    assert world.children(ECHO) == []
    assert world.put(child(version=3, of=None)) == set()


def test_a_child_that_is_gone_concerns_its_owner_once() -> None:
    world = World()
    world.put(child())
    world.put(child("echo-worker-x", "Pod"))
    assert world.drop(Ref.of(child())) == {ECHO}
    assert world.drop(Ref.of(child())) == set()
    assert world.children(ECHO) == []
    assert names(world.pods(ECHO)) == ["echo-worker-x"]


def test_a_resource_that_is_gone_leaves_its_children_to_their_own_events() -> None:
    world = World()
    world.put(resource())
    world.put(child())
    assert world.drop(Ref.of(resource())) == {ECHO}
    assert world.resource(ECHO) is None
    assert names(world.children(ECHO)) == ["echo-worker"]


def test_resources_are_listed_by_kind_namespace_and_name() -> None:
    world = World()
    for name, namespace in (("b", "default"), ("a", "default"), ("c", "elsewhere")):
        world.put(resource(name, metadata={"namespace": namespace}))
    world.put(gateway())
    assert [key.name for key, _ in world.resources("StreamingModel")] == ["a", "b", "c"]
    assert [key.name for key, _ in world.resources("StreamingModel", "default")] == ["a", "b"]
    assert [key.name for key, _ in world.resources("StreamingGateway")] == ["default"]


def test_all_that_is_known_can_be_compared_with_a_listing() -> None:
    world = World()
    for known in (resource(), gateway(), child(), child("p", "Pod")):
        world.put(known)
    listed = {Ref.of(resource()), Ref.of(child()), Ref.of(child("new"))}
    assert missing(world.refs(), listed) == {Ref.of(gateway()), Ref.of(child("p", "Pod"))}


def test_of_a_pod_only_what_somebody_looks_at_is_kept() -> None:
    world = World()
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": "c"}}]
    status = {"phase": "Running", "hostIP": "10.0.0.1", "conditions": [], "qosClass": "Burstable"}
    spec = {"containers": [{"name": "worker"}], "volumes": volumes}
    world.put(child("p", "Pod", spec=spec, status=status, metadata={"managedFields": [{}]}))
    (pod,) = world.pods(ECHO)
    assert pod["spec"] == {"volumes": volumes[1:]}
    assert pod["status"] == {"phase": "Running", "conditions": []}
    assert "managedFields" not in pod["metadata"]


def test_a_key_reads_like_a_path() -> None:
    assert str(ECHO) == "StreamingModel/default/echo"
    assert str(Key("Namespace", "default")) == "Namespace/default"
