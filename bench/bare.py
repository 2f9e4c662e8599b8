"""The bare server: the same engine, frames and pace behind uvicorn, and nothing in between.

A raw ASGI application, the cheapest streaming server that Python has. What Tailrace adds is measured against it.
"""

import argparse
import json
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn
import uvloop
from tailrace_protocol.requests import Request
from tailrace_protocol.settings import SimulatedSettings
from tailrace_worker.engines.engine import Job
from tailrace_worker.engines.simulated import SimulatedEngine

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


class BareApp:
    """Answers every request with the simulated engine's stream."""

    def __init__(self, model: str, tokens_per_s: float) -> None:
        self._model = model
        self._engine = SimulatedEngine(SimulatedSettings(tokens_per_s=tokens_per_s), model, capacity=1_000_000)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        body = await _body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        request = Request("bare", "chat", "chatcmpl-bare", int(time.time()), streaming=True, body=msgspec.Raw(body))
        await send(_event(1, self._role_chunk()))
        position = 1
        async for step in await self._engine.generate(Job(request, body)):
            for frame in step.frames:
                position += 1
                await send(_event(position, frame))
        await send(_event(position, b"[DONE]"))
        await send({"type": "http.response.body", "body": b""})

    def _role_chunk(self) -> bytes:
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        envelope = {"id": "chatcmpl-bare", "object": "chat.completion.chunk", "created": 0, "model": self._model}
        return json.dumps({**envelope, "choices": [choice]}).encode()


def _event(position: int, data: bytes) -> Message:
    return {"type": "http.response.body", "body": b"id: %d\ndata: %b\n\n" % (position, data), "more_body": True}


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def main() -> None:
    """Serve on a port of the loopback until SIGTERM."""
    parser = argparse.ArgumentParser(prog="bench.bare", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens-per-s", type=float, required=True)
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port), backlog=4096)
    config = uvicorn.Config(
        BareApp(options.model, options.tokens_per_s),
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    uvloop.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
