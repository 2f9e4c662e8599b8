"""How soon the operator answers: from a request in the queue to a Deployment that has more workers.

Models at zero get their first request, one after the other, among others that are idle; then each gets a rush. What is
timed is what a gateway would see: its call goes out with the request, and a watch at the API server tells of the new
number. The operator runs under its ServiceAccount on an API server of its own; no node runs the workers, so nothing but
the operator's way is in the figures.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import yaml
from harness import launch
from harness.cluster import API
from nats.aio.client import Client
from operator_stack import Stack, broker_client, operator_stack, simulated
from tailrace_protocol import subjects
from tailrace_protocol.subjects import ModelKey

from bench.machine import Machine, describe
from bench.stats import Spread, spread

_NAMESPACE = "bench-wake"
_PATIENCE_S = 300.0
_RUSH = 40


class Scenario(msgspec.Struct, frozen=True):
    """So many models get requests, and so many are idle beside them."""

    woken: int
    idle: int


FULL = Scenario(woken=60, idle=140)
#: For the smoke test.
TINY = Scenario(woken=3, idle=3)


class Report(msgspec.Struct, frozen=True):
    """In milliseconds, over the models that were called for."""

    machine: Machine
    scenario: Scenario
    from_zero_ms: Spread
    rush_ms: Spread


def measure(scenario: Scenario) -> Report:
    """Run the scenario on a fresh API server."""
    machine = describe()
    cluster = launch.start(API)
    try:
        with tempfile.TemporaryDirectory() as folder, operator_stack(cluster, Path(folder)) as stack:
            _make(stack, scenario)
            from_zero, rush = asyncio.run(_call(stack, scenario))
            return Report(machine, scenario, spread(from_zero), spread(rush))
    finally:
        cluster.stop()


def _make(stack: Stack, scenario: Scenario) -> None:
    stack.cluster.kubectl("create", "namespace", _NAMESPACE)
    spec = {"scaling": {"maxReplicas": 8}, "engine": {"simulated": {"maxStreams": 8}}}
    models = [
        {**simulated(f"m{number}", **spec), "metadata": {"name": f"m{number}", "namespace": _NAMESPACE}}
        for number in range(scenario.woken + scenario.idle)
    ]
    stack.cluster.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(models), timeout_s=_PATIENCE_S)
    deadline = time.monotonic() + _PATIENCE_S
    while len(stack.cluster.objects("deployments", _NAMESPACE)) < len(models):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all of {len(models)} models were brought about within {_PATIENCE_S:.0f} s")
        time.sleep(1)


async def _call(stack: Stack, scenario: Scenario) -> tuple[list[float], list[float]]:
    names = [f"m{number}" for number in range(scenario.woken)]
    async with broker_client(stack) as client, _watch(stack) as sizes:
        from_zero = [await _timed(client, sizes, name, requests=1) for name in names]
        rush = [await _timed(client, sizes, name, requests=_RUSH) for name in names]
    return from_zero, rush


class _Sizes:
    """The workers that each Deployment asks for, as the API server's watch tells of them."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self.changed = asyncio.Event()

    async def follow(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            name, _, size = line.decode().strip().partition(" ")
            if size:
                self.of[name] = int(size)
                self.changed.set()
                self.changed.clear()

    async def above(self, name: str, size: int) -> None:
        async with asyncio.timeout(30):
            while self.of.get(name, 0) <= size:
                await self.changed.wait()


@asynccontextmanager
async def _watch(stack: Stack) -> AsyncIterator[_Sizes]:
    template = "{.metadata.name} {.spec.replicas}{'\\n'}"
    arguments = ("get", "deployments", "-n", _NAMESPACE, "--watch", "-o", f"jsonpath={template}")
    kubectl, environment = str(stack.cluster.kubectl_path), stack.cluster.environment()
    process = await asyncio.create_subprocess_exec(kubectl, *arguments, env=environment, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    sizes = _Sizes()
    following = asyncio.create_task(sizes.follow(process.stdout))
    try:
        await asyncio.sleep(2)
        yield sizes
    finally:
        following.cancel()
        process.kill()
        await process.wait()


async def _timed(client: Client, sizes: _Sizes, name: str, requests: int) -> float:
    """From the call to the new size. The pause before it keeps the calls from falling into step with the rounds."""
    model, deployment = ModelKey(_NAMESPACE, name), f"{name}-worker"
    await asyncio.sleep(0.137)
    before = sizes.of.get(deployment, 0)
    for _ in range(requests):
        await client.publish(subjects.requests(model), b"{}")
    began = time.monotonic()
    await client.publish(subjects.wake(model))
    await sizes.above(deployment, before)
    return round(1000 * (time.monotonic() - began), 1)


def render(report: Report) -> str:
    """The table, in Markdown."""
    s, m = report.scenario, report.machine
    head = f"{s.woken} models called for, {s.idle} idle; {m.cpu}, {m.cores} cores for operator, API server and broker."
    rows = [
        ("the first request at zero until its Deployment has a worker", report.from_zero_ms, "p95 ≤ 100 ms"),
        (f"{_RUSH} requests at once until it has more", report.rush_ms, "≤ 1 s"),
    ]
    lines = [
        f"| {what} | {times.p50:.0f} ms | {times.p95:.0f} ms | {times.max:.0f} ms | {aim} |"
        for what, times, aim in rows
    ]
    return "\n".join([head, "", "| | p50 | p95 | longest | aim |", "|---|---|---|---|---|", *lines, ""])
