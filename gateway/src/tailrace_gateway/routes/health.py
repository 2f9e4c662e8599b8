"""`/livez` (alive), `/readyz` (may be sent requests) and `/metrics`."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

router = APIRouter(tags=["Operations"])


@router.get("/livez", summary="Whether the process lives")
async def livez(request: Request) -> Response:
    """200 while the event loop turns: a broken broker is no reason to restart a gateway. 503 when only that helps."""
    defect = request.app.state.gateway.defect()
    return PlainTextResponse(f"{defect or 'alive'}\n", 503 if defect else 200)


@router.get("/readyz", summary="Whether requests may be sent here")
async def readyz(request: Request) -> Response:
    """503 with the reason while the broker is away, the models are unknown, or the gateway drains or shuts down."""
    obstacle = request.app.state.gateway.obstacle()
    return PlainTextResponse(f"{obstacle or 'ready'}\n", 503 if obstacle else 200)


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    """All metrics of this gateway."""
    gateway = request.app.state.gateway
    gateway.observe()
    return Response(generate_latest(gateway.metrics.registry), media_type=CONTENT_TYPE_LATEST)
