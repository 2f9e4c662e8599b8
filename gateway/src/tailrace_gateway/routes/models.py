"""`GET /v1/models`, as OpenAI's API lists them."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from tailrace_protocol.settings import ModelSettings

router = APIRouter(prefix="/v1/models", tags=["OpenAI"])


def _card(model: ModelSettings, name: str) -> dict[str, object]:
    """`name` is the model's own or that of one of its adapters, which then has the model as its parent."""
    card: dict[str, object] = {
        "id": name,
        "object": "model",
        "created": model.created,
        "owned_by": model.namespace,
    }
    if name != model.name:
        card["parent"] = model.name
    if model.max_model_len:
        card["max_model_len"] = model.max_model_len
    return card


@router.get("", summary="The models served here")
async def list_models(request: Request) -> Response:
    """Every model of this gateway's namespace, and every adapter."""
    models = request.app.state.gateway.service.catalog.all()
    cards = [_card(model, name) for model in models for name in (model.name, *model.adapters)]
    return JSONResponse({"object": "list", "data": cards})


@router.get("/{name:path}", summary="One model")
async def get_model(request: Request, name: str) -> Response:
    """The model called `name`; a name with a slash, as other servers have them, is unknown here like any other."""
    return JSONResponse(_card(request.app.state.gateway.service.catalog.get(name), name))
