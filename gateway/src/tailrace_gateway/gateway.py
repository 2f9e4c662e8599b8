"""Everything behind the routes, from connections to background duties.

It lives from the first moment, so that a gateway whose broker is away can say so instead of crashing; what needs the
broker comes when the broker does.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from nats.aio.client import Client
from tailrace_broker.connection import close, connect, connect_system
from tailrace_broker.tasks import end
from tailrace_protocol import subjects
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.settings import GatewaySettings, ModelSettings
from tailrace_protocol.subjects import ModelKey

from tailrace_gateway.catalog import Catalog
from tailrace_gateway.demand import Demand
from tailrace_gateway.duties import Duties
from tailrace_gateway.failover import Failover
from tailrace_gateway.hub import Hub
from tailrace_gateway.metrics import Metrics
from tailrace_gateway.outlook import Outlook
from tailrace_gateway.service import Service

log = logging.getLogger("tailrace.gateway")

_RETRY_S = 1.0


class Door(Protocol):
    """What the HTTP server knows of its clients."""

    @property
    def connections(self) -> int:
        """Open client connections."""
        ...

    @property
    def open_responses(self) -> int:
        """Requests that have come and are not answered to the end."""
        ...


@dataclass(frozen=True, slots=True)
class _Parts:
    """What needs the broker."""

    hub: Hub
    service: Service
    duties: Duties
    failover: Failover


class Gateway:
    """One gateway, from start to stop."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.origin = subjects.random_token(8)
        self.metrics = Metrics()
        self.catalog = Catalog(settings.namespace, settings.gateway, self._end_streams_of)
        self.outlook = Outlook()
        self.draining = False
        self.door: Door | None = None
        self._parts: _Parts | None = None
        self._clients: list[Client] = []
        self._running: asyncio.Task[None] | None = None

    @property
    def service(self) -> Service:
        """What the routes stand on.

        Raises:
            TailraceError: `broker_unavailable`, until the broker has been reached.
        """
        return self._opened().service

    @property
    def duties(self) -> Duties:
        """What is done for streams as time passes; raises as `service` does."""
        return self._opened().duties

    def _opened(self) -> _Parts:
        if self._parts is None:
            detail = "this gateway has not reached the message broker yet: try again in a moment"
            raise TailraceError(ErrorCode.BROKER_UNAVAILABLE, detail)
        return self._parts

    def start(self) -> None:
        """Begin: look for the broker, then serve."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the duties and disconnect."""
        if self._running is not None:
            await end(self._running)
        if self._parts is not None:
            await self._parts.duties.stop()
        await close(*self._clients)

    async def _run(self) -> None:
        self._parts = parts = await self._open()
        log.info("gateway.open gateway=%s", self.origin)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.catalog.watch(parts.hub.js))
            group.create_task(parts.duties.run())

    async def _open(self) -> _Parts:
        while True:
            try:
                return await self._connect()
            except TailraceError as error:
                log.warning("gateway.waiting reason=%s", error.message)
            await close(*self._clients)
            self._clients = []
            await asyncio.sleep(_RETRY_S)

    async def _connect(self) -> _Parts:
        name = f"tailrace-gateway-{self.origin}"
        nc = await connect(self.settings.nats, name, on_reconnect=self._read_again, within_s=math.inf)
        self._clients.append(nc)
        hub = Hub(nc, nc.jetstream(), self.origin)
        await hub.open()
        failover = Failover(hub)
        system = await connect_system(self.settings.nats, name, within_s=math.inf)
        if system is not None:
            self._clients.append(system)
            await failover.open(system, self.settings.nats.account)
        await nc.subscribe(subjects.ALL_WORKER_REPORTS, cb=self.outlook.workers.on_message)
        await nc.subscribe(subjects.ALL_MODEL_REPORTS, cb=self.outlook.on_message)
        demand = Demand(nc)
        service = Service(self.settings, hub, self.catalog, self.metrics, self._waker(demand))
        duties = Duties(hub, self.outlook, demand, self.settings, self._idle)
        return _Parts(hub, service, duties, failover)

    def _waker(self, demand: Demand) -> Callable[[ModelKey], Awaitable[None]]:
        async def on_queued(model: ModelKey) -> None:
            now = time.monotonic()
            if not self.outlook.is_served(model, now):
                await demand.call(model, now)

        return on_queued

    def _idle(self) -> int:
        """Open connections that ask for nothing."""
        return max(0, self.door.connections - self.door.open_responses) if self.door else 0

    async def _read_again(self) -> None:
        if self._parts is not None:
            await self._parts.hub.read_again()

    def _end_streams_of(self, model: ModelSettings) -> None:
        if self._parts is not None:
            self._parts.service.end_streams_of(model)

    def close_responses(self) -> None:
        """Refuse new requests and end open responses; their streams go on, to be resumed on another gateway."""
        if self._parts is not None:
            self._parts.service.close()

    def defect(self) -> str:
        """What only a new process can mend; empty while nothing is."""
        if self._running is not None and self._running.done():
            return "the background duties have ended: the log says why"
        if any(client.is_closed for client in self._clients):
            return "the broker ended a connection for good: its log says why"
        return ""

    def obstacle(self) -> str:
        """Why no request should be sent here; empty when there is no reason."""
        if self.draining:
            return "draining"
        if self._parts is None:
            return "waiting for the broker"
        if self._parts.service.closing:
            return "shutting down"
        if not self._parts.hub.nc.is_connected:
            return "not connected to NATS"
        if not self.catalog.synced:
            return "models not known yet: the operator has not made the models bucket"
        return ""

    def observe(self) -> None:
        """Bring the gauges up to date."""
        self.metrics.draining.set(self.draining)
        if self.door is not None:
            self.metrics.connections.set(self.door.connections)
            self.metrics.responses.set(self.door.open_responses)
        if self._parts is not None:
            hub = self._parts.hub
            self.metrics.readers.set(hub.open_readers())
            self.metrics.streams.set(sum(1 for live in hub.own.values() if live.ended is None))
            self.metrics.handed_back.set(self._parts.failover.handed_back)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While inside, it is started."""
        self.start()
        try:
            yield
        finally:
            await self.stop()
