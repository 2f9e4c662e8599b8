"""From the first signal to the last response: drain, then end what is left, then stop the server."""

import asyncio
import logging
import time
from typing import Protocol

from tailrace_gateway import drain
from tailrace_gateway.gateway import Door, Gateway

log = logging.getLogger("tailrace.gateway")

_LOOK_EVERY_S = 0.1


class Server(Door, Protocol):
    """The HTTP server, as far as it is told to stop."""

    def announce_departure(self) -> None:
        """Let every response say that its connection ends with it."""
        ...

    def stop(self) -> None:
        """Take no more connections, and end when the responses have ended."""
        ...


class Departure:
    """What signals do: the first begins the drain, the next ends it."""

    def __init__(self, gateway: Gateway, server: Server) -> None:
        self._gateway = gateway
        self._server = server
        self._draining: asyncio.Task[None] | None = None

    def on_signal(self) -> None:
        """Leave: gently at first, at once when told again or when there is nothing to drain."""
        if self._gateway.settings.drain_s > 0 and not self._gateway.draining:
            self._gateway.draining = True
            self._server.announce_departure()
            self._draining = asyncio.create_task(self._drain())
        else:
            self._leave("told to stop")

    def cancel(self) -> None:
        """The server has stopped, whatever made it."""
        if self._draining is not None:
            self._draining.cancel()

    async def _drain(self) -> None:
        begun = time.monotonic()
        plan = self._plan(0)
        log.info("gateway.draining gateway=%s reason=%s", self._gateway.origin, plan.reason)
        while not plan.over:
            await asyncio.sleep(_LOOK_EVERY_S)
            plan = self._plan(time.monotonic() - begun)
        self._leave(plan.reason)

    def _plan(self, elapsed_s: float) -> drain.DrainPlan:
        settings = self._gateway.settings
        return drain.plan(self._server.open_responses, elapsed_s, settings.drain_s, settings.drain_quiet_s)

    def _leave(self, reason: str) -> None:
        log.info("gateway.stopping gateway=%s reason=%s", self._gateway.origin, reason)
        self._server.stop()
        self._gateway.close_responses()
