"""uvicorn, with a socket and a shutdown that fit streams.

A stalled client must not swallow megabytes into kernel buffers before the gateway notices (`TCP_NOTSENT_LOWAT`), and
a shutdown must tell clients where they stand instead of cutting them off or hanging for ever.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

import uvicorn
from sse_starlette.sse import AppStatus
from tailrace_protocol.settings import GatewaySettings

from tailrace_gateway.app import make_app
from tailrace_gateway.departure import Departure
from tailrace_gateway.gateway import Gateway

log = logging.getLogger("tailrace.gateway")

_NOTSENT_BYTES = 16 * 1024
_BACKLOG = 4096
_CLOSE = (b"connection", b"close")


class ListenError(Exception):
    """The address cannot be listened on; the message says which and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections keep little unsent data in the kernel.

    Raises:
        ListenError: the address is taken or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _NOTSENT_BYTES)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        remedy = "stop what listens there, or choose another port"
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}; {remedy}") from error
    listener.listen(_BACKLOG)
    return listener


class _Server(uvicorn.Server):
    """Leaves signals to us, and knows what its clients are doing."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @property
    def connections(self) -> int:
        """Open client connections."""
        return len(self.server_state.connections)

    @property
    def open_responses(self) -> int:
        """Requests that have come and are not answered to the end."""
        return len(self.server_state.tasks)

    def announce_departure(self) -> None:
        """Let every response say `Connection: close`, and every connection that is answered now end with its answer.

        Idle ones stay open: a request that is on its way there is served.
        """
        self.config.encoded_headers.append(_CLOSE)
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        for connection in self.server_state.connections:
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                connection.shutdown()

    def stop(self) -> None:
        """Take no more connections, and end when the responses have ended."""
        self.should_exit = True


async def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT; then drain, and finish what can be finished within `shutdown_s`."""
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    gateway = Gateway(settings)
    gateway.door = server = _Server(_config(gateway))
    listener = listen(settings.host, settings.port)
    departure = Departure(gateway, server)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, departure.on_signal)
    log.info("gateway.listening gateway=%s host=%s port=%d", gateway.origin, settings.host, settings.port)
    try:
        await server.serve(sockets=[listener])
    finally:
        departure.cancel()
    if not server.started:
        raise SystemExit(1)


def _config(gateway: Gateway) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(gateway),
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, int(gateway.settings.shutdown_s)),
    )
