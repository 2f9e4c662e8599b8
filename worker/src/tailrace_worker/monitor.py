"""The worker's HTTP port: the kubelet's probes and the metrics.

It runs in the worker's own event loop on purpose: a loop that hangs must not look alive. uvicorn without a framework is
the leanest server that is already in vLLM's environment and in the gateway.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from tailrace_protocol.termination import TerminationCode

from tailrace_worker import probes
from tailrace_worker.giving_up import CannotRunError
from tailrace_worker.metrics import Metrics
from tailrace_worker.status import Status

log = logging.getLogger("tailrace.worker.monitor")

_PROBES: dict[str, Callable[[Status], probes.Answer]] = {
    "/livez": probes.live,
    "/startupz": probes.startup,
    "/readyz": probes.ready,
}
_TEXT = "text/plain; charset=utf-8"
_BACKLOG = 64


@contextlib.asynccontextmanager
async def served(host: str, port: int, status: Status, metrics: Metrics) -> AsyncIterator[None]:
    """While inside, serve probes and metrics; with `port` 0, nothing.

    Raises:
        CannotRunError: the address cannot be listened on.
    """
    if not port:
        yield
        return
    import uvicorn  # Takes a third of a second: only who serves waits for it.

    listener = _listen(host, port)
    config = uvicorn.Config(
        _Application(status, metrics), ws="none", lifespan="off", log_level="warning", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # they are the worker's
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Application:
    """The four pages, as ASGI."""

    def __init__(self, status: Status, metrics: Metrics) -> None:
        self._status = status
        self._metrics = metrics

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        status, kind, body = self._page(scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _page(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, self._metrics.page(self._status)
        if (probe := _PROBES.get(path)) is not None:
            answer = probe(self._status)
            return answer.status, _TEXT, f"{answer.sentence}\n".encode()
        return 404, _TEXT, b"served here: /livez, /startupz, /readyz, /metrics\n"


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        sentence = f"cannot listen on {host}:{port}: {error.strerror}; stop what listens there, or change http_port"
        raise CannotRunError(TerminationCode.ADDRESS_IN_USE, sentence) from error
    return listener
