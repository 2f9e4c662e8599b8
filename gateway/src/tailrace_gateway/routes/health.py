"""`/healthz` (alive), `/readyz` (may be sent requests) and `/metrics`."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

router = APIRouter(tags=["Operations"])


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> Response:
    """Always 200 while the event loop turns: a broken broker is no reason to restart a gateway."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", summary="Whether requests may be sent here")
async def readyz(request: Request) -> Response:
    """503 with the reason while the broker is away, the models are unknown, or the gateway shuts down."""
    service = request.app.state.service
    if service.closing:
        return PlainTextResponse("shutting down\n", 503)
    if not service.hub.nc.is_connected:
        return PlainTextResponse("not connected to NATS\n", 503)
    if not service.catalog.synced:
        return PlainTextResponse("models not known yet: the operator has not made the models bucket\n", 503)
    return PlainTextResponse("ready\n")


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    """All metrics of this gateway."""
    state = request.app.state
    state.metrics.readers.set(state.service.hub.open_readers())
    state.metrics.streams.set(sum(1 for live in state.service.hub.own.values() if live.ended is None))
    state.metrics.handed_back.set(state.failover.handed_back)
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
