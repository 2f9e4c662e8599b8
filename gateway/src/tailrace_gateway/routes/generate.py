"""`POST /v1/chat/completions` and `POST /v1/completions`."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from tailrace_protocol.requests import Kind
from tailrace_protocol.subjects import StreamId

from tailrace_gateway.admission import read_ask, read_wishes
from tailrace_gateway.delivery.pump import Outcome
from tailrace_gateway.routes.body import read_body
from tailrace_gateway.routes.responses import StreamResponse, answer_response, hold_for_refusal
from tailrace_gateway.service import Service, Ticket, translated

router = APIRouter(tags=["OpenAI"])


@router.post("/v1/chat/completions", summary="Chat, streaming or not, as OpenAI's API")
async def chat_completions(request: Request) -> Response:
    """OpenAI's chat completions; see the documentation for what Tailrace adds."""
    return await _generate("chat", request)


@router.post("/v1/completions", summary="Legacy completions, streaming or not, as OpenAI's API")
async def completions(request: Request) -> Response:
    """OpenAI's legacy completions."""
    return await _generate("completion", request)


async def _generate(kind: Kind, request: Request) -> Response:
    service = request.app.state.gateway.service
    wishes = read_wishes(request.headers)
    ask = read_ask(kind, await read_body(request, service.settings.max_body_bytes))
    ticket = service.prepare(ask, wishes)
    return await (_stream if ask.streaming else _answer)(request, service, ticket)


async def _stream(request: Request, service: Service, ticket: Ticket) -> Response:
    verbose = ticket.wishes.verbose
    pump = service.reader(ticket.stream, 0, verbose=verbose, live=True)
    submitted = await service.submit(ticket, pump)
    if isinstance(submitted, StreamId):
        pump = service.reader(submitted, 0, verbose=verbose, live=False)
    else:
        await hold_for_refusal(service, submitted, pump)
    return StreamResponse(service, request.app.state.gateway.duties, pump, ticket.model)


async def _answer(request: Request, service: Service, ticket: Ticket) -> Response:
    outcome = Outcome()
    submitted = await service.submit(ticket, outcome)
    if isinstance(submitted, StreamId):
        outcome = Outcome()
        submitted = await translated(service.hub.attach(submitted, ticket.model, outcome))
    return await answer_response(service, request, submitted, outcome)
