"""`GET /v1/models`, as OpenAI's API lists them."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from tailrace_protocol.settings import ModelSettings

router = APIRouter(prefix="/v1/models", tags=["OpenAI"])


def _card(model: ModelSettings) -> dict[str, object]:
    card: dict[str, object] = {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": model.namespace,
    }
    if model.max_model_len:
        card["max_model_len"] = model.max_model_len
    return card


@router.get("", summary="The models served here")
async def list_models(request: Request) -> Response:
    """Every model of this gateway's namespace."""
    models = request.app.state.gateway.service.catalog.all()
    return JSONResponse({"object": "list", "data": [_card(model) for model in models]})


@router.get("/{name:path}", summary="One model")
async def get_model(request: Request, name: str) -> Response:
    """The model called `name`; a name with a slash, as other servers have them, is unknown here like any other."""
    return JSONResponse(_card(request.app.state.gateway.service.catalog.get(name)))
