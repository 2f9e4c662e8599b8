"""What the resources of a namespace share: its default gateway and the broker's passwords."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from tailrace_operator.apply.kubernetes import NamespaceGoingError
from tailrace_operator.controller.credentials import Credentials, CredentialsError
from tailrace_operator.controller.namespaces import LOOK_AGAIN_S, NamespaceReconciler
from tailrace_operator.controller.secret_troubles import SecretTroubles
from tailrace_operator.controller.settings import Nats
from tailrace_operator.controller.world import Key, World
from tailrace_operator.plan import Ref
from tailrace_operator.render import RenderSettings

from .fake_api import FakeApi
from .objects import MANAGED, gateway, resource

HERE = Key("Namespace", "default")
GATEWAY = Ref.of(gateway())
SECRET = Ref("v1", "Secret", "default", "tailrace-nats")
AUTH = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "tailrace-nats-auth", "namespace": "tailrace-system"},
    "data": {user: base64.b64encode(user.encode()).decode() for user in ("operator", "gateway", "worker", "advisory")},
}
GOING = {"deletionTimestamp": "2026-11-22T20:00:00Z"}


def theirs(**data: str) -> dict[str, Any]:
    """A Secret of our name that a person made."""
    described = {"name": "tailrace-nats", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": described, "data": data}


OTHERS_GATEWAY = {"engine": {"simulated": {}}, "gateway": {"name": "edge"}}


class Bench:
    def __init__(self, *present: dict[str, Any], auth: dict[str, Any] | None = AUTH) -> None:
        self.api, self.world = FakeApi(*present, *([auth] if auth else [])), World()
        self.credentials = Credentials(self.api, "tailrace-system", Nats(create_credentials=False))
        self.woken: list[str] = []
        self.troubles = SecretTroubles(self.woken.append)
        self.reconciler = NamespaceReconciler(self.api, self.world, self.credentials, self.troubles, RenderSettings())

    async def look(self) -> list[str]:
        """What was written."""
        for ref, known in self.api.objects.items():
            if ref.kind.startswith("Streaming"):
                self.world.put(known)
        self.api.asked.clear()
        await self.reconciler.reconcile(HERE)
        return self.api.written

    def owners(self, ref: Ref = GATEWAY) -> list[str]:
        return [owner["uid"] for owner in self.api.objects[ref]["metadata"]["ownerReferences"]]


@pytest.fixture
def bench() -> Iterator[Any]:
    made: list[Bench] = []

    def make(*present: dict[str, Any], **more: Any) -> Bench:
        made.append(Bench(*present, **more))
        return made[-1]

    yield make
    for each in made:
        each.credentials.close()


async def test_the_first_model_gets_a_default_gateway_and_the_passwords(bench: Any) -> None:
    here = bench(resource())
    assert await here.look() == ["apply StreamingGateway default", "apply Secret tailrace-nats"]
    assert here.owners() == ["uid-echo"]
    assert here.owners(SECRET) == [here.api.objects[GATEWAY]["metadata"]["uid"]]
    assert here.api.objects[SECRET]["data"].keys() == {"gateway", "worker", "advisory"}


async def test_when_nothing_changes_nothing_is_written(bench: Any) -> None:
    here = bench(resource())
    await here.look()
    assert await here.look() == []


async def test_the_default_gateway_belongs_to_all_models_that_use_it(bench: Any) -> None:
    here = bench(resource("a"), resource("b"), {**resource("c"), "spec": OTHERS_GATEWAY})
    await here.look()
    assert here.owners() == ["uid-a", "uid-b"]
    del here.api.objects[Ref.of(resource("a"))]
    here.world.drop(Ref.of(resource("a")))
    assert await here.look() == ["apply StreamingGateway default"]
    assert here.owners() == ["uid-b"]


async def test_a_model_that_goes_owns_nothing_any_more(bench: Any) -> None:
    here = bench(resource("a"), resource("b", metadata=GOING))
    await here.look()
    assert here.owners() == ["uid-a"]


@pytest.mark.parametrize(
    "models",
    [[], [resource(metadata=GOING)], [{**resource(), "spec": OTHERS_GATEWAY}]],
    ids=["none", "going", "others"],
)
async def test_without_a_model_for_it_there_is_no_default_gateway_and_no_secret(bench: Any, models: Any) -> None:
    here = bench(*models)
    assert await here.look() == []


async def test_a_default_gateway_that_a_person_made_is_theirs(bench: Any) -> None:
    here = bench(resource(), gateway())
    assert await here.look() == ["apply Secret tailrace-nats"]
    assert "ownerReferences" not in here.api.objects[GATEWAY]["metadata"]


async def test_one_that_was_not_seen_yet_is_looked_up_before_it_is_made(bench: Any) -> None:
    here = bench(resource())
    here.world.put(here.api.objects[Ref.of(resource())])
    here.api._store(GATEWAY, gateway())
    await here.reconciler.reconcile(HERE)
    assert "apply StreamingGateway default" not in here.api.written


async def test_what_a_person_set_on_our_default_gateway_stays(bench: Any) -> None:
    here = bench(resource())
    await here.look()
    here.api.objects[GATEWAY]["spec"] = {"replicas": 5}
    assert await here.look() == []


async def test_a_gateway_that_goes_is_not_held_up(bench: Any) -> None:
    here = bench(resource(), gateway(metadata={**GOING, "labels": MANAGED}))
    assert await here.look() == []


async def test_the_secret_belongs_to_all_gateways_and_follows_the_passwords(bench: Any) -> None:
    here = bench(gateway("a"), gateway("b"))
    assert await here.look() == ["apply Secret tailrace-nats"]
    assert here.owners(SECRET) == ["uid-a", "uid-b"]
    auth = here.api.objects[Ref.of(AUTH)]
    auth["data"] = auth["data"] | {"worker": base64.b64encode(b"new").decode()}
    assert await here.look() == ["apply Secret tailrace-nats"]
    assert base64.b64decode(here.api.objects[SECRET]["data"]["worker"]) == b"new"


@pytest.mark.parametrize("more", [{}, {"x": "eA=="}], ids=["bare", "with more"])
async def test_a_secret_of_that_name_that_a_person_made_is_left_alone(bench: Any, more: dict[str, str]) -> None:
    here = bench(gateway(), theirs(gateway="Zw==", worker="dw==", advisory="YQ==", **more))
    before = here.api.objects[SECRET]["data"]
    assert await here.look() == []
    assert here.api.objects[SECRET]["data"] == before
    assert here.troubles.of("default") == ""


async def test_what_a_persons_secret_lacks_is_told_until_it_is_there(bench: Any) -> None:
    here = bench(gateway(), theirs(worker="dw==", gateway=""))
    assert await here.look() == []
    assert here.troubles.of("default") == (
        "Secret tailrace-nats in namespace default is not ours and lacks the keys gateway, advisory: "
        "add the passwords, or delete it, and the operator makes its own"
    )
    await here.look()
    assert here.woken == ["default"], "those who tell of it are woken once"
    assert await here.reconciler.reconcile(HERE) == LOOK_AGAIN_S
    del here.api.objects[SECRET]
    assert await here.look() == ["apply Secret tailrace-nats"]
    assert here.troubles.of("default") == ""
    assert here.woken == ["default", "default"]


async def test_passwords_that_the_operators_own_secret_lacks_are_told_until_they_are_there(bench: Any) -> None:
    half = {**AUTH, "data": {key: value for key, value in AUTH["data"].items() if key != "advisory"}}
    here = bench(gateway(), auth=half)
    with pytest.raises(CredentialsError):
        await here.look()
    lacks = "Secret tailrace-nats-auth in namespace tailrace-system lacks the keys advisory: add the users' passwords"
    assert here.troubles.of("default") == lacks
    here.api._store(Ref.of(AUTH), AUTH)
    assert await here.look() == ["apply Secret tailrace-nats"]
    assert here.troubles.of("default") == ""


async def test_nobody_misses_a_secret_where_nothing_mounts_it(bench: Any) -> None:
    here = bench(gateway(), theirs())
    await here.look()
    del here.api.objects[GATEWAY]
    here.world.drop(GATEWAY)
    await here.look()
    assert here.troubles.of("default") == ""


async def test_missing_passwords_do_not_keep_the_gateway_from_being_made(bench: Any) -> None:
    here = bench(resource(), auth=None)
    with pytest.raises(CredentialsError, match="make it"):
        await here.look()
    assert GATEWAY in here.api.objects
    assert "there is no Secret tailrace-nats-auth" in here.troubles.of("default")


async def test_a_namespace_that_goes_takes_nothing_more(bench: Any) -> None:
    here = bench(resource())
    here.api.refuse("apply", GATEWAY, NamespaceGoingError("going"))
    with pytest.raises(NamespaceGoingError):
        await here.look()
