"""`GET` and `DELETE /v1/streams/{id}`: read a stream again, or further; or stop it."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from tailrace_protocol.subjects import StreamId

from tailrace_gateway.admission import read_position, read_verbose
from tailrace_gateway.routes.responses import STREAM_HEADER, StreamResponse

router = APIRouter(prefix="/v1/streams", tags=["Streams"])


@router.get("/{stream_id}", summary="Read a stream from a position on; on any gateway")
async def read_stream(
    request: Request,
    stream_id: str,
    starting_after: Annotated[str | None, Query(description="The id of the last event that you have.")] = None,
    last_event_id: Annotated[str | None, Header(description="The same; browsers send it.")] = None,
) -> Response:
    """Events after the given position, then whatever is still generated; 204 when there is nothing more."""
    service = request.app.state.gateway.service
    position = read_position(last_event_id, starting_after)
    verbose = read_verbose(request.headers, default="all")
    service.check_open()
    stream = StreamId.parse(stream_id)
    model, end = await service.find(stream)
    service.metrics.resumed.inc()
    if end is not None and position >= end.event.count:
        return Response(status_code=204, headers={STREAM_HEADER: stream_id})
    pump = service.reader(stream, position, verbose=verbose, live=None)
    return StreamResponse(service, request.app.state.gateway.duties, pump, model)


@router.delete("/{stream_id}", summary="Cancel a stream")
async def cancel_stream(request: Request, stream_id: str) -> Response:
    """Stop generating at once. 200 when the stream has its end, 202 when a worker has yet to confirm."""
    stream = StreamId.parse(stream_id)
    status = await request.app.state.gateway.service.cancel(stream)
    code = 202 if status == "cancelling" else 200
    return JSONResponse({"id": stream_id, "object": "stream", "status": status}, code)
