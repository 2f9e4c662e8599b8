"""The operator killed between any two steps: after every single thing that it does to the API server or the broker.

Reads change nothing, so a kill around one is the kill after the write before it. The parts run in this process, so that
a step can be cut exactly; API server and broker are real. After each cut a new operator starts from nothing but what it
finds, as a new pod would.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from harness.cluster import Cluster
from nats.js import JetStreamContext
from operator_stack import Nats, eventually, install_crds, passing_namespace, simulated
from tailrace_operator.apply.kubernetes import KubernetesApi, connected
from tailrace_operator.controller.operator import Operator
from tailrace_operator.controller.settings import OperatorSettings
from tailrace_operator.controller.world import Key

KINDS = "deployments,configmaps,services,poddisruptionbudgets,networkpolicies,secrets,streamingmodels,streaminggateways"


#: What JetStream's API calls the requests that change something.
DEEDS = (".CREATE.", ".UPDATE.", ".DELETE.", ".PURGE.", ".DURABLE.")


class KilledError(BaseException):
    """What a SIGKILL is to the code that it hits: nothing runs after it."""


class Fate:
    """Counts what is done, and kills after the deed that is `deadly`; 0 kills before the first."""

    def __init__(self) -> None:
        self.deeds = 0
        self.deadly: int | None = None

    async def __call__(self, deed: Callable[[], Awaitable[Any]]) -> Any:
        if self.deadly == 0:
            raise KilledError
        result = await deed()
        self.deeds += 1
        if self.deadly == self.deeds:
            raise KilledError
        return result


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    server = Nats(tmp_path_factory.mktemp("steps"))
    server.start(accounts="")
    yield server
    server.stop()


@pytest.fixture
def namespace(api: Cluster) -> Iterator[str]:
    install_crds(api)
    yield from passing_namespace(api)


@pytest.fixture
def fate(monkeypatch: pytest.MonkeyPatch) -> Fate:
    """The fate of whatever asks the API server or the broker for something."""
    fate = Fate()
    request, api_request = KubernetesApi._request, JetStreamContext._api_request

    async def to_kubernetes(self: KubernetesApi, verb: str, *args: Any, **more: Any) -> Any:
        ask = lambda: request(self, verb, *args, **more)  # noqa: E731
        return await ask() if verb == "get" else await fate(ask)

    async def to_broker(self: JetStreamContext, subject: str, *args: Any, **more: Any) -> Any:
        ask = lambda: api_request(self, subject, *args, **more)  # noqa: E731
        return await (fate(ask) if any(verb in subject for verb in DEEDS) else ask())

    monkeypatch.setattr(KubernetesApi, "_request", to_kubernetes)
    monkeypatch.setattr(JetStreamContext, "_api_request", to_broker)
    return fate


@asynccontextmanager
async def an_operator(cluster: Cluster, nats: Nats, namespace: str) -> Any:
    """A new operator that knows nothing yet, for one namespace; kopf is not needed where everything is listed."""
    document = {"nats": {"servers": [nats.url]}, "watchNamespaces": [namespace]}
    async with connected(cluster.kubeconfig) as api:
        operator = Operator(api, OperatorSettings.model_validate(document))
        link = asyncio.create_task(operator.broker.run())
        await operator.broker.first_try()
        try:
            yield operator
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)
            operator.close()


async def look_around(operator: Operator, namespace: str, name: str) -> None:
    """Look at everything twice, as its own events would make it do."""
    for _ in range(2):
        await operator.lister.list_all()
        for key in (
            Key("StreamingModel", namespace, name),
            Key("Namespace", namespace),
            Key("StreamingGateway", namespace, "default"),
        ):
            await operator.look(key)


def outcome(cluster: Cluster, namespace: str) -> str:
    """All that the operator is there for, without what differs from one life to the next."""
    found = [
        o
        for o in cluster.objects(KINDS, namespace)
        if o["metadata"]["name"] not in ("kube-root-ca.crt", "default-token")
    ]
    return json.dumps([_essence(o) for o in sorted(found, key=lambda o: (o["kind"], o["metadata"]["name"]))], indent=1)


def ours(cluster: Cluster, namespace: str, kinds: str) -> list[dict[str, Any]]:
    """What is in the namespace, but for what every namespace has and the password that all lives share."""
    others = ("kube-root-ca.crt", "tailrace-nats-auth")
    return [found for found in cluster.objects(kinds, namespace) if found["metadata"]["name"] not in others]


def _essence(found: dict[str, Any]) -> dict[str, Any]:
    described = found["metadata"]
    conditions = {c["type"]: c["reason"] for c in found.get("status", {}).get("conditions", [])}
    ours = conditions if found["kind"].startswith("Streaming") else {}
    kept = {key: described.get(key) for key in ("name", "labels", "finalizers")}
    owners = sorted(owner["name"] for owner in described.get("ownerReferences", []))
    spec = found["spec"] if "spec" in found and found["kind"] != "Service" else {}
    return {"kind": found["kind"], **kept, "owners": owners, "spec": spec, "conditions": ours}


async def make(cluster: Cluster, nats: Nats, namespace: str, fate: Fate, deadly: int | None) -> bool:
    """Bring a model about, with one kill if there is one to come; whether it came."""
    cluster.apply(simulated("m"), namespace)
    return await live(cluster, nats, namespace, fate, deadly)


async def remove(cluster: Cluster, nats: Nats, namespace: str, fate: Fate, deadly: int | None) -> bool:
    """Delete the model, with one kill if there is one to come; whether it came."""
    cluster.kubectl("delete", "sm", "m", "-n", namespace, "--wait=false")
    killed = await live(cluster, nats, namespace, fate, deadly)
    gone = "streamingmodels,streaminggateways,deployments,configmaps,poddisruptionbudgets,services,networkpolicies"
    # The garbage collector learns of new kinds of owners every 30 s.
    eventually(lambda: not ours(cluster, namespace, gone), 90, "all is gone")
    return killed


async def live(cluster: Cluster, nats: Nats, namespace: str, fate: Fate, deadly: int | None) -> bool:
    """One operator's life up to the kill, if it comes, and then the life of the next one."""
    fate.deeds, fate.deadly, killed = 0, deadly, False
    for _ in range(2):
        try:
            async with an_operator(cluster, nats, namespace) as operator:
                await look_around(operator, namespace, "m")
                return killed
        except KilledError:
            killed, fate.deadly = True, None
    return killed


@pytest.mark.timeout(900)
async def test_a_kill_between_any_two_steps_changes_nothing_in_the_end(
    api: Cluster, nats: Nats, namespace: str, fate: Fate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POD_NAMESPACE", namespace)
    assert not await make(api, nats, namespace, fate, None)
    undisturbed = outcome(api, namespace)
    assert not await remove(api, nats, namespace, fate, None)
    making, removing = 0, 0
    while await make(api, nats, namespace, fate, making):
        assert outcome(api, namespace) == undisturbed, f"killed after deed {making}"
        removing += await remove(api, nats, namespace, fate, removing)
        making += 1
    print(f"killed {making} times while making and {removing} times while removing a model")
    assert making > 15
    assert 2 < removing < making, "every deed of a removal had its kill"
