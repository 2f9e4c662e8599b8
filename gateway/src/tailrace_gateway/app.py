"""The FastAPI application: routes on top, and the parts that live as long as it does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from nats.aio.client import Client
from tailrace_broker.connection import close, connect, connect_system
from tailrace_broker.worker_reports import WorkerReports
from tailrace_protocol import subjects
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.settings import GatewaySettings

from tailrace_gateway.catalog import Catalog
from tailrace_gateway.duties import Duties
from tailrace_gateway.failover import Failover
from tailrace_gateway.hub import Hub
from tailrace_gateway.metrics import Metrics
from tailrace_gateway.routes import errors, generate, health, models, streams
from tailrace_gateway.service import Service


class Gateway:
    """Everything behind the routes, from connections to background duties."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.origin = subjects.random_token(8)
        self.metrics = Metrics()
        self.catalog = Catalog(settings.namespace)
        self.reports = WorkerReports()
        self.service: Service
        self.duties: Duties
        self.failover: Failover
        self._clients: list[Client | None] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect and begin the duties.

        Raises:
            TailraceError: `broker_unavailable`, when no broker answers.
        """
        name = f"tailrace-gateway-{self.origin}"
        nc = await connect(self.settings.nats, name, on_reconnect=self._read_again)
        system = await connect_system(self.settings.nats, name)
        self._clients = [nc, system]
        hub = Hub(nc, nc.jetstream(), self.origin)
        await hub.open()
        self.failover = Failover(hub)
        if system is not None:
            await self.failover.open(system, self.settings.nats.account)
        await nc.subscribe(subjects.ALL_WORKER_REPORTS, cb=self.reports.on_message)
        self.service = Service(self.settings, hub, self.catalog, self.metrics)
        self.duties = Duties(hub, self.reports, self.settings.heartbeat_s)
        self._tasks = [asyncio.create_task(self.catalog.watch(hub.js)), asyncio.create_task(self.duties.run())]

    async def _read_again(self) -> None:
        await self.service.hub.read_again()

    def close_responses(self) -> None:
        """Refuse new requests and end open responses; their streams go on, to be resumed on another gateway."""
        if not hasattr(self, "service"):
            return
        self.service.closing = True
        for live in self.service.hub.streams():
            live.policy = "continue"
            for listener in live.listeners:
                listener.fail(TailraceError(ErrorCode.SHUTTING_DOWN))

    async def stop(self) -> None:
        """End the duties and disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.duties.stop()
        await close(*self._clients)


def make_app(gateway: Gateway) -> FastAPI:
    """The application over `gateway`, which it starts and stops."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await gateway.start()
        app.state.service, app.state.duties = gateway.service, gateway.duties
        app.state.failover = gateway.failover
        try:
            yield
        finally:
            await gateway.stop()

    app = FastAPI(title="Tailrace gateway", version="0.1.0", lifespan=lifespan)
    app.state.metrics = gateway.metrics
    errors.install(app)
    for module in (generate, streams, models, health):
        app.include_router(module.router)
    return app
