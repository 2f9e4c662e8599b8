"""The FastAPI application: routes on top of a gateway that lives as long as it does."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from tailrace_gateway.gateway import Gateway
from tailrace_gateway.routes import errors, generate, health, models, streams


def make_app(gateway: Gateway) -> FastAPI:
    """The application over `gateway`, which it starts and stops."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with gateway.running():
            yield

    app = FastAPI(title="Tailrace gateway", version="0.1.0", lifespan=lifespan)
    app.state.gateway = gateway
    errors.install(app)
    for module in (generate, streams, models, health):
        app.include_router(module.router)
    return app
