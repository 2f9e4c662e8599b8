"""A model that the operator scales, on real nodes: from zero to five workers and back, streams open all the time.

Each test prints the timeline of the model's size with the operator's reasons (`-s`), and counts what became of the
streams. What clients feel is compared with nothing: no stream may break, and none may be cut.
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import freezing
import httpx
import killing
import pytest
from harness.cluster import Cluster
from installation import Installation, installed, simulated
from streaming import Load

MODEL = "scaled"
pytestmark = pytest.mark.timeout(480, func_only=True)
#: What takes long and is no part of every run: `make test-cluster-scaling`.
SLOW = pytest.mark.skipif(
    not os.environ.get("TAILRACE_SCALING"), reason="takes minutes; set TAILRACE_SCALING=1 to run it"
)
#: Four streams on a worker, whose cold start takes seconds here: five workers are twenty streams.
ENGINE = {"simulated": {"tokensPerSecond": 20, "maxStreams": 4}}
SCALING: dict[str, Any] = {"maxReplicas": 5, "zeroGracePeriod": "10s"}


@pytest.fixture(scope="module")
def tailrace(cluster: Cluster) -> Iterator[Installation]:
    with installed(cluster) as installation:
        yield installation


@pytest.fixture(scope="module")
def namespace(tailrace: Installation) -> Iterator[str]:
    """A namespace with a model that has no worker, and a gateway."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    with tailrace.cluster.namespace("scaling", restricted) as name:
        tailrace.cluster.apply(scaled(), name)
        tailrace.cluster.wait_condition("streamingmodel", MODEL, name, "Ready")
        try:
            yield name
        except BaseException:
            print(tailrace.state(name))
            raise
        finally:
            tailrace.cluster.kubectl("delete", "sm", "--all", "-n", name, "--timeout=60s")


def scaled(**scaling: Any) -> dict[str, Any]:
    return simulated(MODEL, engine=ENGINE, scaling={**SCALING, **scaling}, timeouts={"queue": "5m"})


@dataclass
class Timeline:
    """What the model's Deployment and status said, each change once, in seconds since the beginning."""

    tailrace: Installation
    namespace: str
    seen: list[tuple[float, int, int, str]] = field(default_factory=list)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator["Timeline"]:
        began, stop = time.monotonic(), asyncio.Event()
        keeping = asyncio.create_task(self._keep(began, stop))
        try:
            yield self
        finally:
            stop.set()
            await keeping

    async def _keep(self, began: float, stop: asyncio.Event) -> None:
        while not stop.is_set():
            look = await asyncio.to_thread(self.look)
            if look is not None and (not self.seen or self.seen[-1][1:] != look):
                self.seen.append((time.monotonic() - began, *look))
            await asyncio.sleep(0.3)

    def look(self) -> tuple[int, int, str] | None:
        """Workers that are asked for, workers that are ready, and the last decision's reason."""
        deployment = self.tailrace.cluster.get("deployment", f"{MODEL}-worker", self.namespace)
        model = self.tailrace.cluster.get("streamingmodel", MODEL, self.namespace)
        if deployment is None or model is None:
            return None
        reason = (model["status"].get("scaling") or {}).get("reason", "")
        return deployment["spec"]["replicas"], deployment["status"].get("readyReplicas", 0), reason

    @property
    def sizes(self) -> list[int]:
        sizes = [wanted for _, wanted, _, _ in self.seen]
        return [size for number, size in enumerate(sizes) if number == 0 or sizes[number - 1] != size]

    async def until(self, wanted: int, ready: int | None = None, within_s: float = 120) -> None:
        async with asyncio.timeout(within_s):
            while not self.seen or self.seen[-1][1] != wanted or ready not in (None, self.seen[-1][2]):  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    def show(self, what: str, *loads: Load, resumed: bool = False, known: str = "") -> None:
        """Print, and judge the streams; those that may be `resumed` are cut by a long silence.

        `known` is an error that docs/operations.md names for what happened: one stream may end with it.
        """
        print(f"\n{what}")
        for at, wanted, ready, reason in self.seen:
            print(f"| {at:6.1f} s | {wanted} wanted | {ready} ready | {reason} |")
        for load in loads:
            load.judge()
            pauses = [answer.longest_pause_s for answer in load.answers]
            broken = [f"{answer.prompt}: {answer.broken}" for answer in load.answers if answer.broken]
            cuts = [f"{answer.prompt}: {answer.cuts}" for answer in load.answers if answer.cuts]
            print(
                f"{len(load.answers)} streams, {len(broken)} broken, {len(cuts)} cut, longest pause {max(pauses):.2f} s"
            )
            assert not [told for told in broken if not known or known not in told], broken
            assert len(broken) <= 1, broken
            assert resumed or not cuts, cuts


async def threaded(action: Any, *args: Any, **kwargs: Any) -> Any:
    return await asyncio.to_thread(action, *args, **kwargs)


async def test_from_zero_to_five_and_back_no_stream_is_cut(tailrace: Installation, namespace: str) -> None:
    """One client all the time, sixteen more for a while; the operator is killed at the top, on the way down too."""
    url = tailrace.gateway_url(namespace)
    one, many = Load(url, MODEL, 1, 600), Load(url, MODEL, 16, 240)
    async with Timeline(tailrace, namespace).kept() as timeline:
        await timeline.until(0)
        async with one.open():
            await timeline.until(1, ready=1)
            async with many.open():
                await timeline.until(5, ready=5)
                await many.wait_all_running()
                await kill_operator(tailrace)
                await asyncio.sleep(5)
                assert timeline.seen[-1][1] == 5, "held"
            await asyncio.sleep(3)
            await kill_operator(tailrace)
            await timeline.until(1, ready=1, within_s=240)
        ended = time.monotonic()
        await timeline.until(0, within_s=60)
        print(f"\nfrom the last stream's end to zero: {time.monotonic() - ended:.1f} s with a grace of 10 s")
    timeline.show("0 → 1 → 5 → 1 → 0", one, many)
    assert timeline.sizes[0] == timeline.sizes[-1] == 0
    assert max(timeline.sizes) == 5


async def kill_operator(tailrace: Installation) -> None:
    where = (tailrace.operator_pod(), tailrace.namespace)
    await threaded(killing.kill, tailrace.cluster, *where, "operator", "tailrace_operator")
    await threaded(tailrace.wait_ready)


def slowly(deployment: dict[str, Any]) -> dict[str, Any]:
    """The model, with workers that take long enough to start for each step to be told."""
    main = deployment["spec"]["template"]["spec"]["containers"][0]
    waits = {
        "name": "slow",
        "image": main["image"],
        "command": ["python", "-c", "import time; time.sleep(4)"],
        "securityContext": main["securityContext"],
    }
    return {**scaled(), "spec": {**scaled()["spec"], "pod": {"initContainers": [waits]}}}


async def test_the_first_request_is_told_all_the_while_how_far_its_worker_is(
    tailrace: Installation, namespace: str
) -> None:
    async with Timeline(tailrace, namespace).kept() as timeline:
        await timeline.until(0, within_s=60)
    url, told = tailrace.gateway_url(namespace), list[tuple[float, str]]()
    deployment = tailrace.cluster.get("deployment", f"{MODEL}-worker", namespace)
    assert deployment is not None
    await threaded(tailrace.cluster.apply, slowly(deployment), namespace)
    body = {"model": MODEL, "stream": True, "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}
    began = time.monotonic()
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{url}/v1/chat/completions", json=body, headers={"Tailrace-Events": "all"}) as response,
    ):
        name = ""
        async for line in response.aiter_lines():
            name = line[7:] if line.startswith("event: ") else name if line else ""
            if line.startswith("data: ") and name == "tailrace.progress":
                told.append((time.monotonic() - began, line[6:]))
            if '"finish_reason":"length"' in line:
                break
    print("\nwhat the first request was told:")
    for at, what in told:
        print(f"| {at:5.2f} s | {what} |")
    await threaded(tailrace.cluster.apply, scaled(), namespace)
    details = " ".join(what for _, what in told)
    assert "one is on its node" in details
    assert "one has started, and loads" in details
    assert response.status_code == 200


@SLOW
async def test_a_rollout_and_a_wrong_image_under_scaling_cut_no_stream(tailrace: Installation, namespace: str) -> None:
    """While streams hold two workers: another engine argument, then an image that is not there; then down to zero."""
    load = Load(tailrace.gateway_url(namespace), MODEL, 8, 400)
    faster = {"engine": {"simulated": {"tokensPerSecond": 25, "maxStreams": 4}}}
    async with Timeline(tailrace, namespace).kept() as timeline:
        async with load.open():
            await timeline.until(2, ready=2)
            await load.wait_all_running()
            await threaded(tailrace.cluster.apply, {**scaled(), "spec": {**scaled()["spec"], **faster}}, namespace)
            await threaded(tailrace.cluster.wait_rollout, "deployment", f"{MODEL}-worker", namespace)
            wrong = {**faster, "pod": {"image": "example.com/no/such:image"}}
            await threaded(tailrace.cluster.apply, {**scaled(), "spec": {**scaled()["spec"], **wrong}}, namespace)
            await threaded(tailrace.cluster.wait_condition, "streamingmodel", MODEL, namespace, "Degraded")
            await asyncio.sleep(5)
            assert timeline.seen[-1][1:3] == (2, 2), "the old ones go on"
            await threaded(tailrace.cluster.apply, scaled(), namespace)
        await timeline.until(0, within_s=120)
    timeline.show("another engine argument, then a wrong image, and mended", load)


@SLOW
async def test_nats_away_for_a_minute_holds_the_size(tailrace: Installation, namespace: str) -> None:
    load = Load(tailrace.gateway_url(namespace), MODEL, 8, 200)
    async with Timeline(tailrace, namespace).kept() as timeline, load.open():
        await timeline.until(2, ready=2)
        await load.wait_all_running()
        held = len(timeline.seen) - 1
        with freezing.frozen(tailrace.cluster, tailrace.release.pods("nats"), "nats-server"):
            await asyncio.sleep(60)
            assert {wanted for _, wanted, _, _ in timeline.seen[held:]} == {2}
        await asyncio.sleep(10)
        # Clients whose answers ended in the outage ask again at once: for a moment there may be more than before.
        assert min(wanted for _, wanted, _, _ in timeline.seen[held:]) == 2
    timeline.show("NATS away for a minute, all its servers", load, resumed=True, known="log_conflict")


@SLOW
async def test_a_flood_is_taken_or_refused_and_the_limit_holds(tailrace: Installation, namespace: str) -> None:
    """More at once than workers and queue hold: some get an answer, the others 429, nobody anything else."""
    url = tailrace.gateway_url(namespace)
    await threaded(
        tailrace.cluster.apply, {**scaled(), "spec": {**scaled()["spec"], "queue": {"maxWaiting": 20}}}, namespace
    )
    body = {"model": MODEL, "max_tokens": 40, "messages": [{"role": "user", "content": "go"}]}
    async with Timeline(tailrace, namespace).kept() as timeline, httpx.AsyncClient(timeout=120) as client:
        asked = [client.post(f"{url}/v1/chat/completions", json=body) for _ in range(150)]
        codes = Counter(answer.status_code for answer in await asyncio.gather(*asked))
    print(f"\n150 requests at once, 5 workers of 4 streams at most, 20 may wait beside: {dict(codes)}")
    timeline.show("a flood")
    assert set(codes) == {200, 429}
    assert codes[200] >= 20
    assert max(timeline.sizes) <= 5
    await threaded(tailrace.cluster.apply, scaled(), namespace)


@SLOW
async def test_a_killed_gateway_with_most_connections_takes_no_other_with_it(
    tailrace: Installation, namespace: str
) -> None:
    gateway = {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingGateway",
        "metadata": {"name": "default"},
        "spec": {"scaling": {"maxReplicas": 3, "targetConnections": 5, "scaleDownDelay": "0s"}},
    }
    cluster, sizes = tailrace.cluster, list[int]()
    await threaded(cluster.apply, gateway, namespace)
    load = Load(tailrace.gateway_url(namespace), MODEL, 14, 300)

    async def size() -> int:
        found = await threaded(cluster.get, "deployment", "tailrace-gateway", namespace)
        sizes.append(int(found["spec"]["replicas"]))
        return sizes[-1]

    async with load.open():
        async with asyncio.timeout(60):
            while await size() < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        await load.wait_all_running()
        await threaded(cluster.wait_rollout, "deployment", "tailrace-gateway", namespace)
        pods = cluster.objects("pods", namespace, "app.kubernetes.io/name=tailrace-gateway")
        held = {pod["metadata"]["name"]: connections(cluster, pod["metadata"]["name"], namespace) for pod in pods}
        fullest = max(held, key=lambda name: held[name])
        print(f"\nconnections of the gateways: {sorted(held.values())}; the fullest is killed")
        await threaded(killing.kill, cluster, fullest, namespace, "gateway", "tailrace_gateway")
        for _ in range(20):
            assert await size() == 3, "it must not dip"
            await asyncio.sleep(0.5)
    load.judge()
    assert not [answer.broken for answer in load.answers if answer.broken]
    async with asyncio.timeout(90):
        while await size() > 2:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    status = cluster.get("streaminggateway", "default", namespace)["status"]
    print(f"\ngateways: {sizes[0]} to {max(sizes)} to {sizes[-1]}: {status['scaling']}")


def connections(cluster: Cluster, pod: str, namespace: str) -> float:
    """Clients that a gateway serves, as it counts them itself."""
    script = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
    said = cluster.exec(pod, namespace, "python", "-c", script)
    return next(
        float(line.split()[-1]) for line in said.splitlines() if line.startswith("tailrace_gateway_connections")
    )


@SLOW
async def test_replicas_has_one_writer_at_a_time(tailrace: Installation, namespace: str) -> None:
    """By managed fields on the real API server: others write the model's, the operator its Deployment's."""
    cluster = tailrace.cluster
    external = simulated("external", engine=ENGINE, scaling={"mode": "External"}, replicas=1)
    del external["spec"]["replicas"]
    cluster.apply(external, namespace)
    await threaded(cluster.wait, "deployment", "external-worker", namespace, lambda seen: seen, 30)
    cluster.kubectl("scale", "streamingmodel/external", "-n", namespace, "--replicas=2")
    await threaded(
        cluster.wait, "deployment", "external-worker", namespace, lambda seen: seen["spec"]["replicas"] == 2, 30
    )
    told = await numbers(tailrace, namespace, "external")
    assert (told["inFlight"], told["queued"], told["replicas"]) == (0, 0, 2), "what KEDA reads"
    # The API server notes no owner of a custom resource's field that was set by its scale subresource.
    assert writers(cluster, "streamingmodel", "external", namespace) == set()
    assert writers(cluster, "deployment", "external-worker", namespace) == {"tailrace-operator/"}
    cluster.apply({**external, "spec": {**external["spec"], "scaling": SCALING}}, namespace)
    await threaded(
        cluster.wait, "deployment", "external-worker", namespace, lambda seen: seen["spec"]["replicas"] == 0, 90
    )
    cluster.kubectl("scale", "streamingmodel/external", "-n", namespace, "--replicas=3")
    await asyncio.sleep(5)
    assert cluster.get("deployment", "external-worker", namespace)["spec"]["replicas"] == 0, "it means nothing now"
    assert writers(cluster, "deployment", "external-worker", namespace) == {"tailrace-operator/"}
    assert writers(cluster, "deployment", f"{MODEL}-worker", namespace) == {"tailrace-operator/"}
    cluster.kubectl("delete", "sm", "external", "-n", namespace, "--timeout=60s")


async def numbers(tailrace: Installation, namespace: str, model: str) -> dict[str, Any]:
    """What the operator tells others' scalers, once it knows."""
    url = f"http://{tailrace.release.service_ip('tailrace-operator')}:9090/scaling/{namespace}/{model}"
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(30):
        while (answer := await client.get(url)).status_code == 503 or answer.json()["replicas"] != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def writers(cluster: Cluster, kind: str, name: str, namespace: str) -> set[str]:
    """Who has written `spec.replicas`, with the subresource by which."""
    found = json.loads(cluster.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--show-managed-fields"))
    managed = found["metadata"]["managedFields"]
    return {
        f"{entry['manager']}/{entry.get('subresource', '')}"
        for entry in managed
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }


@SLOW
async def test_gpus_that_are_short_stop_the_growth_and_go_to_whom_is_below_its_minimum(
    tailrace: Installation, namespace: str
) -> None:
    cluster, gpu = tailrace.cluster, {"cpu": "50m", "memory": "256Mi", "gpu": {"count": 1}}
    node = cluster.node_names()[0]
    cluster.set_gpus(node, 1)
    try:
        rich = simulated("rich", engine=ENGINE, resources=gpu, scaling={"minReplicas": 1, "maxReplicas": 4})
        cluster.apply(rich, namespace)
        await threaded(cluster.wait_condition, "streamingmodel", "rich", namespace, "Ready")
        load = Load(tailrace.gateway_url(namespace), "rich", 8, 160)
        async with load.open():
            await threaded(
                cluster.wait, "deployment", "rich-worker", namespace, lambda seen: seen["spec"]["replicas"] == 2, 60
            )
            await asyncio.sleep(8)
            assert cluster.get("deployment", "rich-worker", namespace)["spec"]["replicas"] == 2, "no more are asked for"
            await threaded(cluster.wait_condition, "streamingmodel", "rich", namespace, "Degraded")
        load.judge()
        assert not [answer.broken for answer in load.answers if answer.broken]
        keeps = {"minReplicas": 0, "maxReplicas": 4, "zeroGracePeriod": "1h"}
        cluster.apply({**rich, "spec": {**rich["spec"], "scaling": keeps}}, namespace)
        await threaded(
            cluster.wait, "deployment", "rich-worker", namespace, lambda seen: seen["spec"]["replicas"] == 1, 120
        )
        poor = simulated("poor", engine=ENGINE, resources=gpu, scaling={"minReplicas": 1, "priority": 5})
        cluster.apply(poor, namespace)
        await threaded(cluster.wait_condition, "streamingmodel", "poor", namespace, "Ready", timeout_s=120)
        given = cluster.get("streamingmodel", "rich", namespace)["status"]["scaling"]
        print(f"\nrich, when poor came: {given}")
        assert given["replicas"] == 0
        told = [event["message"] for event in cluster.objects("events", namespace) if event["reason"] == "ScaledDown"]
        assert any(f"a worker goes to {namespace}/poor, which is below its minimum" in text for text in told), told
        refused = await refusal(tailrace.gateway_url(namespace), "rich")
        print(f"a request to rich now: {refused}")
        assert refused["code"] == "no_capacity"
        assert "gpu" in refused["message"].lower()
    finally:
        cluster.kubectl("delete", "sm", "rich", "poor", "-n", namespace, "--timeout=60s", check=False)
        cluster.set_gpus(node, 0)


async def refusal(url: str, model: str) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    async with httpx.AsyncClient(timeout=120) as client:
        answer = await client.post(f"{url}/v1/chat/completions", json=body)
    assert answer.status_code == 503, answer.text
    return dict(answer.json()["error"])
