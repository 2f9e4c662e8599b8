"""The operator killed between any two steps: after every single thing that it does to the API server or the broker.

Reads change nothing, so a kill around one is the kill after the write before it. The parts run in this process, so that
a step can be cut exactly; API server and broker are real. After each cut a new operator starts from nothing but what it
finds, as a new pod would.
"""

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import nats as nats_client
import pytest
from harness.cluster import Cluster
from nats.js import JetStreamContext
from operator_stack import Nats, eventually, install_crds, passing_namespace, simulated
from tailrace_operator.apply.broker import served_models
from tailrace_operator.apply.kubernetes import KubernetesApi, connected
from tailrace_operator.controller.operator import Operator
from tailrace_operator.controller.settings import OperatorSettings
from tailrace_operator.controller.world import Key, World
from tailrace_protocol.subjects import MODELS_BUCKET

CHILDREN = "deployments,jobs,configmaps,services,poddisruptionbudgets,networkpolicies,persistentvolumeclaims"
PART = "app.kubernetes.io/name"
KINDS = f"{CHILDREN},secrets,streamingmodels,streaminggateways"


@dataclass(frozen=True)
class Case:
    """A model, and what an edit makes of it: other settings of workers, and no workers that need the former ones."""

    spec: dict[str, Any]
    edit: dict[str, Any]


def weights(revision: str) -> dict[str, Any]:
    return {"source": {"hf": {"repo": "org/model", "revision": revision}}, "cache": {"size": "1Gi"}}


SIMULATED = Case(
    spec={"engine": {"simulated": {}}, "replay": {"maxBytes": "16Mi"}},
    #: Another queue, another log and another entry among the models too.
    edit={
        "engine": {"simulated": {"tokensPerSecond": 7}},
        "replicas": 0,
        "replay": {"maxBytes": "32Mi", "window": "5m"},
        "queue": {"maxWaiting": 5},
    },
)
#: A volume, and a download that is to be over before workers change.
CACHED = Case(
    spec={"engine": {"vllm": {}}, "model": weights("one"), "replay": {"maxBytes": "16Mi"}},
    edit={"engine": {"vllm": {"contextLength": 512}}, "model": weights("two"), "replicas": 0},
)
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
    request, api_request, publish = KubernetesApi._request, JetStreamContext._api_request, JetStreamContext.publish

    async def to_kubernetes(self: KubernetesApi, verb: str, *args: Any, **more: Any) -> Any:
        ask = lambda: request(self, verb, *args, **more)  # noqa: E731
        return await ask() if verb == "get" else await fate(ask)

    async def to_broker(self: JetStreamContext, subject: str, *args: Any, **more: Any) -> Any:
        ask = lambda: api_request(self, subject, *args, **more)  # noqa: E731
        return await (fate(ask) if any(verb in subject for verb in DEEDS) else ask())

    async def into_a_stream(self: JetStreamContext, *args: Any, **more: Any) -> Any:
        return await fate(lambda: publish(self, *args, **more))  # How a bucket's entries are put and purged.

    monkeypatch.setattr(KubernetesApi, "_request", to_kubernetes)
    monkeypatch.setattr(JetStreamContext, "_api_request", to_broker)
    monkeypatch.setattr(JetStreamContext, "publish", into_a_stream)
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


async def look_around(cluster: Cluster, operator: Operator, namespace: str, name: str) -> None:
    """Look at everything several times, as its own events would make it do."""
    model = Key("StreamingModel", namespace, name)
    for _ in range(3):
        await list_all(cluster, operator, model)
        for key in (model, Key("Namespace", namespace), Key("StreamingGateway", namespace, "default")):
            await operator.look(key)


async def list_all(cluster: Cluster, operator: Operator, model: Key) -> None:
    """List everything, until Kubernetes has done its part with the workers: no node runs them here, nor downloads."""
    for _ in range(100):
        await operator.lister.list_all()
        if not await asyncio.to_thread(downloads, cluster, operator.world.children(model)):
            continue
        if has_its_pods(operator.world, model):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"Kubernetes has not done its part: {operator.world.children(model)}")


def downloads(cluster: Cluster, children: list[dict[str, Any]]) -> bool:
    """Let running downloads be over, as the Job controller says it; whether that was known already."""
    running = [
        child for child in children if child["kind"] == "Job" and not (child.get("status") or {}).get("succeeded")
    ]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for job in running:
        over = [
            {"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("SuccessCriteriaMet", "Complete")
        ]
        begun = (job.get("status") or {}).get("startTime", now)
        done = {"succeeded": 1, "active": 0, "ready": 0, "terminating": 0, "startTime": begun, "completionTime": now}
        patch = json.dumps({"status": {**done, "conditions": over}})
        where = (f"job/{job['metadata']['name']}", "-n", job["metadata"]["namespace"])
        cluster.kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", patch)
    return not running


def has_its_pods(world: World, model: Key) -> bool:
    """Whether the model's Deployment, if there is one, has as many pods as it asks for."""
    found = next((child for child in world.children(model) if child["kind"] == "Deployment"), None)
    if found is None:
        return True
    status, wanted = found.get("status") or {}, found["spec"]["replicas"]
    seen = status.get("observedGeneration") == found["metadata"]["generation"]
    workers = [pod for pod in world.pods(model) if pod["metadata"]["labels"][PART] == "tailrace-worker"]
    return seen and len(workers) == wanted == status.get("replicas", 0)


async def outcome(cluster: Cluster, nats: Nats, namespace: str) -> str:
    """All that the operator is there for, without what differs from one life to the next."""
    found = [
        o
        for o in cluster.objects(KINDS, namespace)
        if o["metadata"]["name"] not in ("kube-root-ca.crt", "default-token")
    ]
    objects = [_essence(o) for o in sorted(found, key=lambda o: (o["kind"], o["metadata"]["name"]))]
    return json.dumps([objects, await at_broker(nats, namespace)], indent=1)


async def at_broker(nats: Nats, namespace: str) -> dict[str, Any]:
    """The streams of the namespace's models with what an edit may change in them, and the models' entries."""
    client = await nats_client.connect(nats.url)
    try:
        jetstream = client.jetstream()
        configs = [stream.config for stream in await jetstream.streams_info()]
        entries = await _entries(jetstream)
    finally:
        await client.close()
    streams = {str(c.name): [c.max_bytes, c.max_msgs, c.max_age] for c in configs if namespace in str(c.name)}
    return streams | {key: entry for key, entry in entries.items() if namespace in key}


async def _entries(jetstream: JetStreamContext) -> dict[str, Any]:
    values = {}
    for key in map(str, await served_models(jetstream)):
        bucket = await jetstream.key_value(MODELS_BUCKET)
        values[key] = json.loads((await bucket.get(key)).value or b"")
    return {key: {**value, "created": "at some time"} for key, value in values.items()}


def ours(cluster: Cluster, namespace: str, kinds: str) -> list[dict[str, Any]]:
    """What is in the namespace, but for what every namespace has and the password that all lives share."""
    others = ("kube-root-ca.crt", "tailrace-nats-auth")
    return [found for found in cluster.objects(kinds, namespace) if found["metadata"]["name"] not in others]


def _essence(found: dict[str, Any]) -> dict[str, Any]:
    described = found["metadata"]
    conditions = {c["type"]: c.get("reason") for c in found.get("status", {}).get("conditions", [])}
    ours = conditions if found["kind"].startswith("Streaming") else {}
    kept = {key: described.get(key) for key in ("name", "labels", "finalizers")}
    owners = sorted(owner["name"] for owner in described.get("ownerReferences", []))
    spec = found["spec"] if "spec" in found and found["kind"] != "Service" else {}
    spec = spec["template"]["spec"] if found["kind"] == "Job" else spec
    return {"kind": found["kind"], **kept, "owners": owners, "spec": spec, "conditions": ours}


async def bring_about(
    spec: dict[str, Any], cluster: Cluster, nats: Nats, namespace: str, fate: Fate, deadly: int | None
) -> bool:
    """Make or edit the model, with one kill if there is one to come; whether it came."""
    cluster.apply({**simulated("m"), "spec": spec}, namespace)
    return await live(cluster, nats, namespace, fate, deadly)


async def remove(cluster: Cluster, nats: Nats, namespace: str, fate: Fate, deadly: int | None) -> bool:
    """Delete the model, with one kill if there is one to come; whether it came."""
    cluster.kubectl("delete", "sm", "m", "-n", namespace, "--wait=false")
    killed = await live(cluster, nats, namespace, fate, deadly)
    gone = f"{CHILDREN},streamingmodels,streaminggateways"
    # The garbage collector learns of new kinds of owners every 30 s.
    eventually(lambda: not ours(cluster, namespace, gone), 90, "all is gone")
    assert await at_broker(nats, namespace) == {}
    return killed


async def live(cluster: Cluster, nats: Nats, namespace: str, fate: Fate, deadly: int | None) -> bool:
    """One operator's life up to the kill, if it comes, and then the life of the next one."""
    fate.deeds, fate.deadly, killed = 0, deadly, False
    for _ in range(2):
        try:
            async with an_operator(cluster, nats, namespace) as operator:
                await look_around(cluster, operator, namespace, "m")
                return killed
        except KilledError:
            killed, fate.deadly = True, None
    return killed


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", [SIMULATED, CACHED], ids=["simulated", "cached"])
async def test_a_kill_between_any_two_steps_changes_nothing_in_the_end(
    api: Cluster, nats: Nats, namespace: str, fate: Fate, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POD_NAMESPACE", namespace)
    make, change = functools.partial(bring_about, case.spec), functools.partial(bring_about, case.spec | case.edit)
    assert not await make(api, nats, namespace, fate, None)
    made = await outcome(api, nats, namespace)
    assert not await change(api, nats, namespace, fate, None)
    changed = await outcome(api, nats, namespace)
    settings = [found["metadata"]["name"] for found in ours(api, namespace, "configmaps")]
    assert len([name for name in settings if name.startswith("m-worker-")]) == 1, "the former ones are gone"
    assert not await remove(api, nats, namespace, fate, None)
    making, changing, removing = 0, 0, 0
    while await make(api, nats, namespace, fate, making):
        assert await outcome(api, nats, namespace) == made, f"killed after deed {making} of making it"
        if changing == making and await change(api, nats, namespace, fate, changing):
            assert await outcome(api, nats, namespace) == changed, f"killed after deed {changing} of an edit"
            changing += 1
        removing += await remove(api, nats, namespace, fate, removing)
        making += 1
    print(f"killed {making} times while making, {changing} while editing and {removing} while removing a model")
    assert making > 15
    assert 5 < changing < making, "every deed of an edit had its kill"
    assert 2 < removing < making, "every deed of a removal had its kill"
