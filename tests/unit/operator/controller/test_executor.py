"""How plans are carried out: nobody else's object is ever written, and one refusal does not stop the rest."""

import copy

import pytest
from tailrace_operator.apply.kubernetes import (
    ChangedError,
    KubernetesError,
    NamespaceGoingError,
    RefusedError,
    UnreachableError,
)
from tailrace_operator.controller.executor import Executor, LeftoverError, Outcome
from tailrace_operator.controller.world import Key, World
from tailrace_operator.plan import Apply, Delete, Plan, Ref

from .fake_api import FakeApi
from .objects import child, owned_by

UID, ECHO = "uid-echo", Key("StreamingModel", "default", "echo")
WANTED = child(metadata=owned_by(UID), spec={"replicas": 1})
CONFIG = child("echo-config", "ConfigMap", metadata=owned_by(UID))
del WANTED["metadata"]["resourceVersion"], WANTED["metadata"]["uid"]
MAKE = Apply(WANTED, "it is missing")


def present(uid: str = UID, api_version: str = "tailrace.dev/v1alpha1", **spec: object) -> dict:
    return child(version=7, metadata=owned_by(uid, api_version), spec={"replicas": 1, **spec})


async def carried_out(api: FakeApi, *actions: Apply | Delete, world: World | None = None) -> Outcome:
    applies = tuple(action for action in actions if isinstance(action, Apply))
    deletes = tuple(action for action in actions if isinstance(action, Delete))
    return await Executor(api, world or World()).carry_out(Plan(applies, deletes), UID)


async def test_an_empty_plan_asks_the_server_nothing() -> None:
    api = FakeApi()
    assert await carried_out(api) == Outcome()
    assert api.asked == []


async def test_what_is_missing_is_made_and_known_at_once() -> None:
    api, world = FakeApi(), World()
    assert (await carried_out(api, MAKE, world=world)).done == 1
    assert api.asked == ["get Deployment echo-worker", "apply Deployment echo-worker"]
    assert [known["metadata"]["uid"] for known in world.children(ECHO)] == [
        api.objects[Ref.of(WANTED)]["metadata"]["uid"]
    ]


@pytest.mark.parametrize("theirs", [present("x", "apps/v1"), child(version=7, spec={})], ids=["owned", "unowned"])
async def test_what_is_not_ours_is_never_written_and_named_with_the_remedy(theirs: dict) -> None:
    api = FakeApi(theirs)
    before = copy.deepcopy(api.objects)
    outcome = await carried_out(api, MAKE, Apply(CONFIG, "it is missing"))
    (conflict,) = outcome.conflicts
    assert conflict.startswith("Deployment echo-worker exists and is not ours, so it is left alone: ")
    assert "delete or rename it, or give the resource another name" in conflict
    assert (outcome.done, api.written) == (1, ["apply ConfigMap echo-config"])
    assert api.objects[Ref.of(WANTED)] == before[Ref.of(WANTED)]


async def test_a_leftover_of_a_deleted_model_is_waited_for() -> None:
    api = FakeApi(present("of-the-deleted-model"))
    with pytest.raises(LeftoverError, match="Deployment echo-worker of a resource that was deleted is still there"):
        await carried_out(api, MAKE)
    assert api.written == []


async def test_what_is_ours_but_was_not_seen_yet_is_compared_before_it_is_written() -> None:
    api, world = FakeApi(present()), World()
    assert (await carried_out(api, MAKE, world=world)).done == 1
    assert api.written == []
    assert world.children(ECHO), "it is known from now on"


async def test_what_is_ours_but_was_not_seen_yet_and_differs_is_written_by_its_uid() -> None:
    api = FakeApi(present(replicas=7))
    await carried_out(api, MAKE)
    assert api.objects[Ref.of(WANTED)]["spec"] == {"replicas": 1}
    assert api.objects[Ref.of(WANTED)]["metadata"]["uid"] == "uid-echo-worker"


async def test_an_object_that_became_another_one_is_looked_at_again() -> None:
    api = FakeApi(present("somebody", "v1"))
    with pytest.raises(ChangedError):
        await carried_out(api, Apply(WANTED, "spec.replicas is 7, not 1", uid="the-one-before"))
    assert api.objects[Ref.of(WANTED)]["metadata"]["ownerReferences"][0]["uid"] == "somebody"


async def test_what_is_refused_is_a_conflict_and_the_rest_is_done() -> None:
    api = FakeApi(present(replicas=7), CONFIG, child("old", "Service", metadata=owned_by(UID)))
    api.refuse("apply", Ref.of(WANTED), RefusedError("Deployment echo-worker: exceeded quota: workers"))
    api.refuse("delete", "Service old", RefusedError("Service old: forbidden"))
    outcome = await carried_out(
        api,
        Apply(WANTED, "differs", uid="uid-echo-worker"),
        Apply(CONFIG, "differs", uid="uid-echo-config"),
        Delete(Ref("v1", "Service", "default", "old"), "uid-old", "no longer part of the resource"),
        Delete(Ref("v1", "Service", "default", "older"), "uid-older", "no longer part of the resource"),
    )
    assert outcome.conflicts == [
        "the API server refused Deployment echo-worker: exceeded quota: workers",
        "the API server refused Service old: forbidden",
    ]
    assert outcome.done == 2
    assert api.written[-1] == "delete Service older"


@pytest.mark.parametrize("error", [UnreachableError("no answer"), NamespaceGoingError("going"), ChangedError("x")])
async def test_a_server_that_cannot_be_asked_now_stops_the_rest(error: KubernetesError) -> None:
    api = FakeApi()
    api.refuse("apply", Ref.of(WANTED), error)
    with pytest.raises(type(error)):
        await carried_out(api, MAKE, Apply(CONFIG, "it is missing"))
    assert api.written == ["apply Deployment echo-worker"]


async def test_what_is_no_longer_wanted_is_deleted_by_the_uid_that_was_seen() -> None:
    api = FakeApi(present())
    other = Delete(Ref.of(WANTED), "the-one-before", "no longer part of the resource")
    await carried_out(api, other)
    assert Ref.of(WANTED) in api.objects
    await carried_out(api, Delete(Ref.of(WANTED), "uid-echo-worker", "no longer part of the resource"))
    assert api.objects == {}
