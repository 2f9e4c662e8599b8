"""What is measured, as processes of this machine: a broker, workers that simulate, a gateway, and a bare server.

Each scenario starts its own, so that none measures what an earlier one left behind. All are ended by their own ids,
also when the benchmark itself is killed.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
from tailrace_operator.local.broker import LocalBroker, apply, free_port
from tailrace_operator.local.processes import Child, Program, Reaper
from tailrace_operator.render import RenderSettings, render
from tailrace_operator.resources import StreamingModel
from tailrace_protocol.settings import GatewaySettings, SimulatedSettings, WorkerSettings
from tailrace_protocol.wire import encode

from bench import load

MODEL = "bench"
_PATIENCE_S = 30.0
_LOAD_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Size:
    """How large a stack is. `pace` is tokens per second of each stream; `capacity` is each worker's."""

    workers: int
    capacity: int
    pace: float


@dataclass(slots=True)
class Stack:
    """The running processes."""

    state: Path
    size: Size
    broker: LocalBroker
    reaper: Reaper
    workers: list[Child]
    gateway: Child
    gateway_url: str
    bare: Child
    bare_url: str

    @property
    def pids(self) -> dict[str, list[int]]:
        """The process ids of each part."""
        return {
            "gateway": [self.gateway.pid],
            "workers": [worker.pid for worker in self.workers],
            "nats-server": [self.broker.child.pid],
            "bare server": [self.bare.pid],
        }

    def name_of(self, worker: Child) -> str:
        """What a worker calls itself in the log of a stream."""
        found = re.search(r"worker\.ready worker=(\w+)", worker.program.log.read_text())
        if found is None:
            raise RuntimeError(f"{worker.program.name} is not ready: {worker.program.log.read_text()[-500:]}")
        return found.group(1)


@asynccontextmanager
async def running_stack(size: Size) -> AsyncIterator[Stack]:
    """A stack, ready to be loaded, in a directory of its own that is removed with it."""
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory, Reaper() as reaper:
        state = Path(directory)
        async with LocalBroker(state, reaper=reaper) as broker:
            children: list[Child] = []
            try:
                yield await _start(state, size, broker, reaper, children)
            except Exception as error:
                error.add_note("\n".join(_last_words(child) for child in children))
                raise
            finally:
                await asyncio.gather(*(child.stop() for child in children))


def _last_words(child: Child) -> str:
    """The end of what a process said: its log goes with the stack."""
    return f"--- {child.program.name}\n{child.program.log.read_text(errors='replace')[-1500:]}"


async def _start(state: Path, size: Size, broker: LocalBroker, reaper: Reaper, children: list[Child]) -> Stack:
    await apply(broker, render(_model(size), RenderSettings(nats_servers=(broker.url,))).broker)
    ports = free_port(), free_port()

    async def start(name: str, *command: str) -> Child:
        program = Program(name, [sys.executable, "-m", *command], state / f"{name}.log", stop_within_s=2.0)
        children.append(await Child.start(program, reaper))
        return children[-1]

    def settings(name: str, value: msgspec.Struct) -> str:
        file = state / f"{name}.json"
        file.write_bytes(encode(value))
        return str(file)

    file = settings("worker", _worker_settings(size, broker))
    workers = [await start(f"worker-{n}", "tailrace_worker", "--settings", file) for n in range(size.workers)]
    gateway_settings = GatewaySettings(
        namespace="default", nats=broker.settings_for("gateway"), host="127.0.0.1", port=ports[0], shutdown_s=1.0
    )
    gateway = await start("gateway", "tailrace_gateway", "--settings", settings("gateway", gateway_settings))
    bare_options = ("--port", str(ports[1]), "--model", MODEL, "--tokens-per-s", str(size.pace))
    bare = await start("bare", "bench.bare", *bare_options)
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    stack = Stack(state, size, broker, reaper, workers, gateway, urls[0], bare, urls[1])
    await _ready(stack)
    return stack


def _model(size: Size) -> StreamingModel:
    return StreamingModel.model_validate(
        {
            "apiVersion": "tailrace.dev/v1alpha1",
            "kind": "StreamingModel",
            "metadata": {"name": MODEL, "namespace": "default"},
            "spec": {
                "engine": {"simulated": {"maxStreams": size.capacity}},
                "replicas": size.workers,
                "queue": {"maxWaiting": 4096},
            },
        }
    )


def _worker_settings(size: Size, broker: LocalBroker) -> WorkerSettings:
    return WorkerSettings(
        namespace="default",
        model=MODEL,
        nats=broker.settings_for("worker"),
        capacity=size.capacity,
        simulated=SimulatedSettings(tokens_per_s=size.pace),
    )


async def _ready(stack: Stack) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    for worker in stack.workers:
        while "worker.ready" not in worker.program.log.read_text():
            await _wait_a_little(worker, deadline)
    async with httpx.AsyncClient() as client:
        for child, url in ((stack.gateway, f"{stack.gateway_url}/readyz"), (stack.bare, stack.bare_url)):
            while not await _answers(client, url):
                await _wait_a_little(child, deadline)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        async with client.stream("GET", url) as response:
            return response.status_code == 200
    except httpx.TransportError:
        return False


async def _wait_a_little(child: Child, deadline: float) -> None:
    if child.returncode is not None or time.monotonic() > deadline:
        raise RuntimeError(f"{child.program.name} did not become ready: {child.program.log.read_text()[-2000:]}")
    await asyncio.sleep(0.02)


async def put_load(plan: load.Plan) -> load.Result:
    """Have the load generator carry out `plan` in a process of its own.

    Raises:
        RuntimeError: a stream missed an event or did not end: the numbers would mean nothing.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(msgspec.json.encode(plan)), _LOAD_PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"the load generator failed with status {process.returncode}")
    result = msgspec.json.decode(out, type=load.Result)
    if result.troubles:
        raise RuntimeError(f"streams were not whole, nothing is reported: {result.troubles}")
    return result
