"""A whole Tailrace on one machine for tests: a real nats-server, real gateway and worker processes."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from tailrace_operator.local.broker import LocalBroker, apply
from tailrace_operator.render import RenderSettings, render
from tailrace_operator.resources import StreamingModel
from tailrace_protocol.settings import (
    ChunkingSettings,
    GatewaySettings,
    SimulatedSettings,
    TimeoutSettings,
    WorkerSettings,
)
from tailrace_protocol.wire import encode

PATIENCE_S = 30.0
DRAIN_S = 2.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Process:
    """One of our processes, stopped by its own id."""

    name: str
    log: Path
    popen: subprocess.Popen[bytes]
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.popen.pid

    def signal(self, number: int) -> None:
        os.kill(self.popen.pid, number)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(10)

    def tell_to_stop(self) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()

    def stop(self) -> int:
        self.tell_to_stop()
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.popen.returncode

    @property
    def worker_name(self) -> str:
        """What the worker calls itself in the log of a stream."""
        found = re.search(r"worker\.ready worker=(\w+)", self.log.read_text())
        assert found is not None, f"{self.name} is not ready"
        return found.group(1)

    def said(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")


@dataclass
class Stack:
    """What the tests drive. `spec` is the StreamingModel's spec, beyond what a simulated model needs."""

    state: Path
    broker: LocalBroker
    name: str = "sim"
    namespace: str = "default"
    processes: list[Process] = field(default_factory=list)

    async def apply(self, spec: dict[str, Any]) -> None:
        model = StreamingModel.model_validate(
            {
                "apiVersion": "tailrace.dev/v1alpha1",
                "kind": "StreamingModel",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {"engine": {"simulated": {}}, **spec},
            }
        )
        await apply(self.broker, render(model, RenderSettings(nats_servers=(self.broker.url,))).broker)

    async def worker(
        self,
        *,
        capacity: int = 8,
        tokens_per_s: float = 50.0,
        first_token_s: float = 0.0,
        wait: bool = True,
        **settings: Any,
    ) -> Process:
        timeouts = TimeoutSettings(**settings.pop("timeouts", {}))
        chunking = ChunkingSettings(**settings.pop("chunking", {}))
        config = WorkerSettings(
            namespace=self.namespace,
            model=self.name,
            nats=self.broker.settings_for("worker"),
            capacity=capacity,
            simulated=SimulatedSettings(tokens_per_s=tokens_per_s, first_token_s=first_token_s),
            timeouts=timeouts,
            chunking=chunking,
            **settings,
        )
        process = self._spawn("tailrace_worker", encode(config))
        if wait:
            await self.until_ready(process)
        return process

    async def until_ready(self, worker: Process) -> None:
        await self._until(lambda: worker.said("worker.ready"), worker)

    async def gateway(self, *, wait: bool = True, **settings: Any) -> Process:
        port = free_port()
        config = GatewaySettings(
            namespace=self.namespace,
            nats=self.broker.settings_for("gateway"),
            host="127.0.0.1",
            port=port,
            **settings,
        )
        process = self._spawn("tailrace_gateway", encode(config))
        process.port = port
        if wait:
            await self._until_ready(process)
        return process

    def _spawn(self, module: str, settings: bytes) -> Process:
        name = f"{module.removeprefix('tailrace_')}-{len(self.processes)}"
        file, log = self.state / f"{name}.json", self.state / f"{name}.log"
        file.write_bytes(settings)
        with log.open("wb") as out:
            popen = subprocess.Popen(
                [sys.executable, "-m", module, "--settings", str(file)],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        process = Process(name, log, popen)
        self.processes.append(process)
        return process

    def writer(self, frames: "list[Frame]") -> Process:
        """The worker that writes the stream whose events, with Tailrace's own, are given."""
        names = [json.loads(f.data)["worker"] for f in frames if f.event == "tailrace.attempt"]
        by_name = {p.worker_name: p for p in self.processes if p.said("worker.ready")}
        return by_name[names[-1]]

    async def _until_ready(self, process: Process) -> None:
        async with httpx.AsyncClient() as client:
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline and process.popen.poll() is None:
                try:
                    if (await client.get(f"{process.url}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        raise AssertionError(f"{process.name} did not become ready:\n{process.log.read_text()}")

    async def _until(self, condition: Any, process: Process) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline or process.popen.poll() is not None:
                raise AssertionError(f"{process.name} did not become ready:\n{process.log.read_text()}")
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        """End all at once; who would still finish streams that are nobody's concern any more is killed."""
        for process in self.processes:
            process.tell_to_stop()
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline and any(process.popen.poll() is None for process in self.processes):
            time.sleep(0.02)
        for process in self.processes:
            process.kill()

    def refused_rights(self) -> list[str]:
        """What the broker did not let the parts do. Nothing, in any test: a part's rights hold all that it does."""
        log = self.state / "logs" / "nats.log"
        return [line for line in log.read_text(errors="replace").splitlines() if "Violation" in line]


@asynccontextmanager
async def running_stack(state: Path, spec: dict[str, Any] | None = None, name: str = "sim") -> AsyncIterator[Stack]:
    """A broker with one simulated model applied; workers and gateways are started by the test."""
    async with LocalBroker(state) as broker:
        stack = Stack(state, broker, name)
        try:
            await stack.apply(spec or {})
            yield stack
        finally:
            stack.stop()
        assert stack.refused_rights() == []


@dataclass
class Frame:
    """One server-sent event, as a strict parser sees it."""

    id: str | None
    event: str | None
    data: str


class SseParser:
    """The WHATWG algorithm, plus what a person wants to see: comments and times."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.comments: list[str] = []
        self._data: list[str] = []
        self._event: str | None = None
        self._id: str | None = None
        self._rest = b""

    def feed(self, chunk: bytes) -> list[Frame]:
        new: list[Frame] = []
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            frame = self._line(line.decode().rstrip("\r"))
            if frame is not None:
                self.frames.append(frame)
                new.append(frame)
        return new

    def _line(self, line: str) -> Frame | None:
        if not line:
            if not self._data:
                self._event = None
                return None
            frame = Frame(self._id, self._event, "\n".join(self._data))
            self._data, self._event, self._id = [], None, None
            return frame
        if line.startswith(":"):
            self.comments.append(line[1:].strip())
            return None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            self._id = value
        return None


@dataclass
class Answer:
    """What a streaming client got."""

    status: int
    headers: httpx.Headers
    frames: list[Frame]
    comments: list[str]
    body: bytes

    @property
    def stream_id(self) -> str:
        return self.headers["tailrace-stream-id"]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [json.loads(f.data) for f in self.frames if f.event is None and f.data != "[DONE]"]

    @property
    def ids(self) -> list[int]:
        return [int(f.id) for f in self.frames if f.event is None and f.id is not None and f.data != "[DONE]"]

    @property
    def attempts(self) -> list[dict[str, Any]]:
        return [json.loads(f.data) for f in self.frames if f.event == "tailrace.attempt"]

    @property
    def done(self) -> bool:
        return bool(self.frames) and self.frames[-1].data == "[DONE]"

    @property
    def text(self) -> str:
        return text_of(self.chunks)

    @property
    def finish(self) -> str | None:
        reasons = [c["finish_reason"] for chunk in self.chunks for c in chunk.get("choices", []) if c["finish_reason"]]
        return reasons[-1] if reasons else None

    @property
    def error(self) -> dict[str, Any] | None:
        found = [chunk["error"] for chunk in self.chunks if "error" in chunk]
        return found[-1] if found else None


def text_of(chunks: list[dict[str, Any]]) -> str:
    choices = [choice for chunk in chunks for choice in chunk.get("choices", [])]
    return "".join(choice["delta"].get("content") or "" if "delta" in choice else choice["text"] for choice in choices)


def chat(model: str = "sim", **fields: Any) -> dict[str, Any]:
    """A streaming chat body."""
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True, **fields}


async def stream(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    stop_after: int | None = None,
    on_frame: Callable[[list[Frame]], None] | None = None,
    **arguments: Any,
) -> Answer:
    """Read a response to its end, or until `stop_after` events came; then the connection is cut."""
    parser, body = SseParser(), b""
    async with client.stream(method, url, **arguments) as response:
        async for chunk in response.aiter_raw():
            body += chunk
            for frame in parser.feed(chunk):
                if on_frame is not None and frame.event is None:
                    on_frame(parser.frames)
            if stop_after is not None and len(parser.frames) >= stop_after:
                break
        return Answer(response.status_code, response.headers, parser.frames, parser.comments, body)


def decode(data: bytes) -> Any:
    return msgspec.json.decode(data)
