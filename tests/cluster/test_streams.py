"""Streams that are open while the cluster changes under them: none may break.

Each test opens streams, does one thing that administrators and machines do, and lets every stream come to its end.
The table that is printed (`-s`) counts what a client that cannot resume would have felt (cuts) and what went wrong for
one that can (broken), and has the longest silence and the time to the first token, the median and the longest.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import killing
import next_release
import pytest
import secrecy
from harness.cluster import Cluster
from installation import VALUES, Installation, installed, simulated
from streaming import Load, ending

MODEL = "simulated"
STREAMS = 16
TOKENS = 200
#: A dead node may take with it a worker, the gateway that heard its last words and the server that had them
#: (docs/operations.md).
CONFLICT = "log_conflict"
pytestmark = pytest.mark.timeout(420, func_only=True)


@pytest.fixture(scope="module")
def tailrace(cluster: Cluster) -> Iterator[Installation]:
    with installed(cluster) as installation:
        yield installation


@pytest.fixture(scope="module")
def namespace(tailrace: Installation) -> Iterator[str]:
    """A namespace with a model that serves."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    with tailrace.cluster.namespace("models", restricted) as name:
        began = time.monotonic()
        tailrace.cluster.apply(simulated(MODEL), name)
        tailrace.cluster.wait_condition("streamingmodel", MODEL, name, "Ready")
        print(f"\nfrom apply to Ready, without image and model to load: {time.monotonic() - began:.1f} s")
        serve(tailrace, name)
        yield name
        tailrace.cluster.kubectl("delete", "sm", "--all", "-n", name, "--timeout=60s")


def serve(tailrace: Installation, namespace: str) -> None:
    """Wait until the model serves, with all of its workers, and its gateway too."""
    tailrace.cluster.wait_condition("streamingmodel", MODEL, namespace, "Ready")
    tailrace.cluster.wait_condition("streamingmodel", MODEL, namespace, "Progressing", "False", timeout_s=180)
    tailrace.cluster.wait_condition("streamingmodel", MODEL, namespace, "Degraded", "False", timeout_s=60)


async def while_streaming(
    tailrace: Installation,
    namespace: str,
    what: str,
    disturb: Callable[[], Awaitable[object]],
    known: str = "",
) -> Load:
    """Disturb while streams are open all the time, and count what became of them.

    `known` is an error that docs/operations.md names for this disturbance: one stream may end with it.
    """
    load = Load(tailrace.gateway_url(namespace), MODEL, STREAMS, TOKENS)
    async with load.open():
        await load.wait_all_running()
        await disturb()
        await asyncio.sleep(3)
    load.judge()
    cuts = sum(len(answer.cuts) for answer in load.answers)
    broken = [f"{answer.prompt}: {answer.broken}" for answer in load.answers if answer.broken]
    pause = max(answer.longest_pause_s for answer in load.answers)
    print(f"\n| {what} | {len(load.answers)} | {cuts} | {len(broken)} | {pause:.2f} s | {first_tokens(load)} |")
    unknown = [told for told in broken if not known or known not in told]
    assert not unknown, unknown
    assert len(broken) <= 1, broken
    assert len(load.answers) >= STREAMS
    assert not await threaded(refused_rights, tailrace, namespace)
    return load


def first_tokens(load: Load) -> str:
    """From sending the request to its first token, in the middle and at most; with the tries that were refused."""
    waits = [answer.first_token_s for answer in load.answers if answer.first_token_s]
    return f"{1000 * statistics.median(waits):.0f} ms, {1000 * max(waits):.0f} ms"


def refused_rights(tailrace: Installation, namespace: str) -> list[str]:
    """What the broker did not let gateways and workers do."""
    said = "".join(secrecy.logs(tailrace.cluster, (tailrace.namespace, namespace)).values())
    return [line for line in said.splitlines() if "violation" in line.lower()]


def cut(load: Load) -> list[str]:
    return [f"{answer.prompt}: {answer.cuts}" for answer in load.answers if answer.cuts]


async def threaded(action: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.to_thread(action, *args)


async def test_a_killed_operator_is_not_noticed(tailrace: Installation, namespace: str) -> None:
    async def kill() -> None:
        where = (tailrace.operator_pod(), tailrace.namespace)
        await threaded(killing.kill, tailrace.cluster, *where, "operator", "tailrace_operator")
        await threaded(tailrace.wait_ready)

    load = await while_streaming(tailrace, namespace, "operator killed (SIGKILL)", kill)
    assert not cut(load)


async def test_a_changed_engine_moves_the_streams_to_new_workers(tailrace: Installation, namespace: str) -> None:
    before = {pod["metadata"]["name"] for pod in workers(tailrace, namespace)}

    async def change() -> None:
        engine = {"simulated": {"tokensPerSecond": 25, "maxStreams": 64}}
        tailrace.cluster.apply(simulated(MODEL, engine=engine), namespace)
        await threaded(tailrace.cluster.wait_rollout, "deployment", f"{MODEL}-worker", namespace)

    load = await while_streaming(tailrace, namespace, "engine argument changed", change)
    assert not cut(load)
    await threaded(serve, tailrace, namespace)
    assert not before & {pod["metadata"]["name"] for pod in workers(tailrace, namespace)}


async def test_a_deleted_worker_pod_hands_its_streams_over(tailrace: Installation, namespace: str) -> None:
    async def delete() -> None:
        pod = workers(tailrace, namespace)[0]["metadata"]["name"]
        await threaded(tailrace.cluster.kubectl, "delete", "pod", pod, "-n", namespace)
        await threaded(serve, tailrace, namespace)

    assert not cut(await while_streaming(tailrace, namespace, "worker pod deleted", delete))


async def test_a_killed_worker_pod_loses_nothing(tailrace: Installation, namespace: str) -> None:
    async def kill() -> None:
        pod = workers(tailrace, namespace)[0]["metadata"]["name"]
        await threaded(killing.kill, tailrace.cluster, pod, namespace, "worker", "tailrace_worker")
        await threaded(serve, tailrace, namespace)

    assert not cut(await while_streaming(tailrace, namespace, "worker killed (SIGKILL)", kill))


async def test_a_drained_node_moves_everything(tailrace: Installation, namespace: str) -> None:
    node = workers(tailrace, namespace)[0]["spec"]["nodeName"]

    async def drain() -> None:
        arguments = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
        await threaded(lambda: tailrace.cluster.kubectl("drain", node, *arguments, timeout_s=320))
        await threaded(tailrace.wait_ready)

    try:
        load = await while_streaming(tailrace, namespace, "node drained", drain)
        assert not cut(load)
        assert not [pod for pod in workers(tailrace, namespace) if pod["spec"]["nodeName"] == node]
    finally:
        tailrace.cluster.kubectl("uncordon", node)


@pytest.mark.timeout(900, func_only=True)
async def test_an_upgrade_replaces_every_pod_and_cuts_no_stream(
    tailrace: Installation, namespace: str, tmp_path: Path
) -> None:
    await threaded(next_release.load, tailrace.cluster, tmp_path)
    before = {part: uids(pods) for part, pods in all_pods(tailrace, namespace).items()}

    async def upgrade() -> None:
        await threaded(tailrace.release.upgrade, next_release.upgraded(VALUES))
        await threaded(tailrace.wait_ready)
        async with asyncio.timeout(420):
            while any(before[part] & uids(pods) for part, pods in all_pods(tailrace, namespace).items()):  # noqa: ASYNC110
                await asyncio.sleep(2)

    load = await while_streaming(tailrace, namespace, "upgraded: operator, NATS, gateways, workers", upgrade)
    assert not cut(load), cut(load)
    await threaded(serve, tailrace, namespace)
    after = all_pods(tailrace, namespace)
    assert {part: len(pods) for part, pods in after.items()} == {part: len(old) for part, old in before.items()}
    assert all(next_release.runs(pod) for pods in after.values() for pod in pods)


def all_pods(tailrace: Installation, namespace: str) -> dict[str, list[dict[str, Any]]]:
    """Every pod of the installation, those that are about to end too, by its part."""
    found = {component: tailrace.release.pods(component) for component in ("operator", "nats")}
    for part in ("gateway", "worker"):
        found[part] = tailrace.cluster.objects("pods", namespace, f"app.kubernetes.io/name=tailrace-{part}")
    return found


def uids(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


async def test_restarted_gateways_finish_what_they_have(tailrace: Installation, namespace: str) -> None:
    async def restart() -> None:
        pod = gateways(tailrace, namespace)[0]["metadata"]["name"]
        await threaded(lambda: tailrace.cluster.kubectl("delete", "pod", pod, "-n", namespace, timeout_s=330))
        await threaded(serve, tailrace, namespace)

    assert not cut(await while_streaming(tailrace, namespace, "gateway pod deleted", restart))


async def test_streams_go_on_elsewhere_when_a_gateway_is_killed(tailrace: Installation, namespace: str) -> None:
    async def kill() -> None:
        pod = gateways(tailrace, namespace)[0]["metadata"]["name"]
        await threaded(killing.kill, tailrace.cluster, pod, namespace, "gateway", "tailrace_gateway")
        await threaded(serve, tailrace, namespace)

    assert cut(await while_streaming(tailrace, namespace, "gateway killed (SIGKILL)", kill))


async def test_a_wrong_image_never_takes_the_working_workers_down(tailrace: Installation, namespace: str) -> None:
    async def break_and_mend() -> None:
        broken = simulated(MODEL, pod={"image": "example.com/no/such:image"})
        tailrace.cluster.apply(broken, namespace)
        await threaded(
            lambda: tailrace.cluster.wait("streamingmodel", MODEL, namespace, degraded_by("ImagePullFailed"), 60)
        )
        assert len([pod for pod in workers(tailrace, namespace) if is_ready(pod)]) == 2
        tailrace.cluster.apply(simulated(MODEL), namespace)
        await threaded(serve, tailrace, namespace)

    assert not cut(await while_streaming(tailrace, namespace, "wrong image, then rolled back", break_and_mend))


async def test_a_wrong_model_never_takes_the_working_workers_down(tailrace: Installation, namespace: str) -> None:
    # A gateway is a web server too, and has no such repository.
    source = {"hf": {"repo": "no/such-model", "endpoint": f"http://tailrace-gateway.{namespace}.svc"}}
    wrong = simulated(MODEL, engine={"vllm": {}}, model={"source": source, "cache": {"size": "16Mi"}})

    async def break_and_mend() -> None:
        tailrace.cluster.apply(wrong, namespace)
        not_found = degraded_by("ModelNotFound")
        await threaded(lambda: tailrace.cluster.wait("streamingmodel", MODEL, namespace, not_found, 90))
        assert len([pod for pod in workers(tailrace, namespace) if is_ready(pod)]) == 2
        tailrace.cluster.apply(simulated(MODEL), namespace)
        await threaded(serve, tailrace, namespace)

    assert not cut(await while_streaming(tailrace, namespace, "wrong model, then rolled back", break_and_mend))


async def test_a_deleted_namespace_tells_its_streams_and_leaves_others_alone(
    tailrace: Installation, namespace: str
) -> None:
    endings: list[str] = []

    async def delete() -> None:
        # While pods may take minutes to end, Kubernetes looks away from their namespace, even if they are gone sooner.
        with tailrace.cluster.namespace("leaving", wait=False) as leaving:
            tailrace.cluster.apply(simulated(MODEL, replicas=1), leaving)
            await threaded(serve, tailrace, leaving)
            url, running = tailrace.gateway_url(leaving), [asyncio.Event() for _ in range(4)]
            streams = [asyncio.create_task(ending(url, MODEL, 6000, event)) for event in running]
            await asyncio.wait_for(asyncio.gather(*(event.wait() for event in running)), 60)
            await threaded(lambda: tailrace.cluster.kubectl("delete", "namespace", leaving, "--wait=false"))
            endings.extend(await asyncio.wait_for(asyncio.gather(*streams), 60))
            assert not [name for name in await tailrace.broker_streams() if leaving in name]

    assert not cut(await while_streaming(tailrace, namespace, "another namespace deleted", delete))
    assert endings == ["model_removed"] * 4


async def test_a_node_that_dies_takes_no_stream_with_it(tailrace: Installation, namespace: str) -> None:
    node = min(nats_servers(tailrace).items(), key=lambda found: found[1])[0]
    await while_streaming(tailrace, namespace, "node killed", power_cut(tailrace, node), known=CONFLICT)


async def test_streams_wait_for_a_node_that_dies_with_most_of_nats(tailrace: Installation, namespace: str) -> None:
    node = max(nats_servers(tailrace).items(), key=lambda found: found[1])[0]
    what = "node with most of NATS killed, and back after 20 s"
    await while_streaming(tailrace, namespace, what, power_cut(tailrace, node), known=CONFLICT)


def nats_servers(tailrace: Installation) -> Counter[str]:
    """How many of the three servers each node has: with two of them goes the quorum."""
    return Counter(pod["spec"]["nodeName"] for pod in tailrace.release.pods("nats"))


def power_cut(tailrace: Installation, node: str) -> Callable[[], Awaitable[None]]:
    async def die() -> None:
        await threaded(tailrace.cluster.kill_node, node)
        await asyncio.sleep(20)
        await threaded(tailrace.cluster.start_node, node)
        await threaded(tailrace.wait_ready)

    return die


def degraded_by(reason: str) -> Callable[[dict[str, Any] | None], bool]:
    def holds(seen: dict[str, Any] | None) -> bool:
        conditions = ((seen or {}).get("status") or {}).get("conditions") or []
        return any(c["type"] == "Degraded" and c["status"] == "True" and c["reason"] == reason for c in conditions)

    return holds


def workers(tailrace: Installation, namespace: str) -> list[dict[str, Any]]:
    """The model's worker pods that are there to stay."""
    pods = tailrace.cluster.objects(
        "pods", namespace, f"app.kubernetes.io/name=tailrace-worker,tailrace.dev/model={MODEL}"
    )
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def gateways(tailrace: Installation, namespace: str) -> list[dict[str, Any]]:
    pods = tailrace.cluster.objects("pods", namespace, "app.kubernetes.io/name=tailrace-gateway")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
