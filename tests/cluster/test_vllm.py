"""The whole of it with real vLLM: a model from a hub onto a cache that its workers share, served from pods.

Wants an image of six gigabytes and two loaded engines, so it runs when asked: `make test-cluster-vllm`.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import killing
import pytest
from harness.cluster import Cluster
from harness.local import LocalCluster
from hub_mirror import HubMirror
from installation import Installation, installed

MODEL_DIRECTORY = Path(__file__).resolve().parents[2] / ".tailrace" / "models" / "smollm2-135m-instruct"
REPO = "tailrace-tests/smollm2"
QUESTION = {"role": "user", "content": "Write a short story about a river."}
LOAD_S = 600.0
pytestmark = [
    pytest.mark.timeout(2400, func_only=True),
    pytest.mark.skipif(not os.environ.get("TAILRACE_SLOW"), reason="wants TAILRACE_SLOW=1: run make test-cluster-vllm"),
]


@pytest.fixture(scope="module")
def tailrace(cluster: Cluster) -> Iterator[Installation]:
    with installed(cluster, images=("worker-cpu",)) as installation:
        yield installation


@pytest.fixture(scope="module")
def namespace(tailrace: Installation) -> Iterator[str]:
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    with tailrace.cluster.namespace("models", restricted) as name:
        yield name
        tailrace.cluster.kubectl("delete", "sm", "--all", "-n", name, "--timeout=60s")


@pytest.fixture(scope="module")
def hub(cluster: Cluster) -> Iterator[HubMirror]:
    """A mirror of the hub on this machine, where pods reach it."""
    if not isinstance(cluster, LocalCluster):
        cluster.refuse("a mirror on this machine that pods reach")
    mirror = HubMirror(REPO, {"main": MODEL_DIRECTORY}, host=cluster.instance.host_address)
    with mirror.running():
        yield mirror


def smollm2(hub: HubMirror, repo: str = REPO) -> dict[str, Any]:
    fast = {"enforceEager": True, "kvCacheMemory": "256Mi", "extraArgs": ["--block-size=32"]}
    engine = {"contextLength": 2048, "dtype": "float32", "maxStreams": 8, **fast}
    return {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingModel",
        "metadata": {"name": "smollm2"},
        "spec": {
            "model": {"source": {"hf": {"repo": repo, "endpoint": hub.url}}, "cache": {"size": "2Gi"}},
            "engine": {"vllm": engine},
            "replicas": 2,
            "resources": {"cpu": "200m", "memory": "5Gi"},
            "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
            "replay": {"maxBytes": "32Mi"},
        },
    }


def reason(seen: dict[str, Any] | None, condition: str) -> str:
    conditions = ((seen or {}).get("status") or {}).get("conditions") or []
    return next((str(found["reason"]) for found in conditions if found["type"] == condition), "")


async def answer(url: str, started: asyncio.Event | None = None) -> tuple[str, float]:
    """A whole answer at temperature 0 over one connection, and its longest pause in seconds."""
    body = {"model": "smollm2", "stream": True, "temperature": 0, "max_tokens": 120, "messages": [QUESTION]}
    text, pause, last = "", 0.0, 0.0
    asked = httpx.AsyncClient(timeout=60)
    async with asked as client, client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
        assert response.status_code == 200, await response.aread()
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                choice = json.loads(line[6:])["choices"][0]
                text += choice["delta"].get("content") or ""
                now = time.monotonic()
                pause, last = max(pause, now - last if last else 0.0), now
                if started is not None and len(text) > 100:
                    started.set()
    return text, pause


def test_a_repository_that_is_not_there_is_said_and_put_right(
    tailrace: Installation, namespace: str, hub: HubMirror
) -> None:
    tailrace.cluster.apply(smollm2(hub, "tailrace-tests/no-such-model"), namespace)
    tailrace.cluster.wait(
        "streamingmodel", "smollm2", namespace, lambda seen: reason(seen, "Ready") == "ModelNotFound", 120
    )
    began = time.monotonic()
    tailrace.cluster.apply(smollm2(hub), namespace)
    tailrace.cluster.wait_condition("streamingmodel", "smollm2", namespace, "Ready", timeout_s=LOAD_S)
    print(f"\nfrom apply to Ready, download and model load included: {time.monotonic() - began:.0f} s")
    print(tailrace.cluster.kubectl("get", "sm,sg,jobs,pods,pvc", "-n", namespace))
    tailrace.cluster.wait_condition("streamingmodel", "smollm2", namespace, "Progressing", "False", timeout_s=LOAD_S)


async def test_a_worker_that_is_killed_in_the_middle_of_a_sentence_is_continued_by_the_other(
    tailrace: Installation, namespace: str
) -> None:
    url = tailrace.gateway_url(namespace)
    undisturbed, usual = await answer(url)
    started = asyncio.Event()
    running = asyncio.create_task(answer(url, started))
    await asyncio.wait_for(started.wait(), 60)
    victim = busy_worker(tailrace, namespace)
    names = ("tailrace_worker", "VLLM::")
    await asyncio.to_thread(killing.kill, tailrace.cluster, victim, namespace, "worker", *names)
    text, pause = await running
    print(f"\nkilled {victim}: longest pause {pause:.2f} s, undisturbed {usual:.2f} s; {len(text)} characters")
    assert text == undisturbed


def busy_worker(tailrace: Installation, namespace: str) -> str:
    """The worker that generates now, as its own metrics say."""
    pods = tailrace.cluster.objects("pods", namespace, "app.kubernetes.io/name=tailrace-worker")
    for pod in pods:
        metrics = httpx.get(f"http://{pod['status']['podIP']}:9090/metrics", timeout=5).text
        active = [line for line in metrics.splitlines() if line.startswith("tailrace_worker_active_streams{")]
        if active and not active[0].endswith(" 0.0"):
            return str(pod["metadata"]["name"])
    raise AssertionError("no worker has a stream")
