"""A model that the operator scales, on real nodes: from zero to five workers and back, streams open all the time.

Each test prints the timeline of the model's size with the operator's reasons (`-s`), and counts what became of the
streams. What clients feel is compared with nothing: no stream may break, and none may be cut.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import killing
import pytest
from harness.cluster import Cluster
from installation import Installation, installed, simulated
from streaming import Load

MODEL = "scaled"
pytestmark = pytest.mark.timeout(480, func_only=True)
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

    def show(self, what: str, *loads: Load) -> None:
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
            assert not broken, broken
            assert not cuts, cuts


async def threaded(action: Any, *args: Any) -> Any:
    return await asyncio.to_thread(action, *args)


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


async def test_the_first_request_is_told_all_the_while_how_far_its_worker_is(
    tailrace: Installation, namespace: str
) -> None:
    async with Timeline(tailrace, namespace).kept() as timeline:
        await timeline.until(0, within_s=60)
    url, told = tailrace.gateway_url(namespace), list[tuple[float, str]]()
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
    assert len({what for _, what in told}) >= 2
    assert response.status_code == 200


async def test_nats_away_for_a_while_holds_the_size(tailrace: Installation, namespace: str) -> None:
    load = Load(tailrace.gateway_url(namespace), MODEL, 8, 200)
    async with Timeline(tailrace, namespace).kept() as timeline, load.open():
        await timeline.until(2, ready=2)
        await load.wait_all_running()
        await asyncio.sleep(2)
        held = len(timeline.seen)
        sizes = [pod["metadata"]["name"] for pod in tailrace.release.pods("nats")]
        for pod in sizes:
            await threaded(killing.kill, tailrace.cluster, pod, tailrace.namespace, "nats", "nats-server")
        await asyncio.sleep(10)
        assert {wanted for _, wanted, _, _ in timeline.seen[held - 1 :]} == {2}
    timeline.show("NATS killed, all its servers")
