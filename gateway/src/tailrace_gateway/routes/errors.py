"""Failures as OpenAI's error objects, translated once, at the edge."""

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from tailrace_protocol.errors import ErrorBody, ErrorCode, TailraceError

from tailrace_gateway.delivery import sse

_RETRY_AFTER_S = "1"


def error_response(error: TailraceError, headers: dict[str, str] | None = None) -> Response:
    """The error as an HTTP response, with `Retry-After` where waiting helps."""
    extra = dict(headers or {})
    if error.code in (ErrorCode.QUEUE_FULL, ErrorCode.BROKER_UNAVAILABLE, ErrorCode.SHUTTING_DOWN):
        extra["Retry-After"] = _RETRY_AFTER_S
    return _json(error.body(), error.status, extra)


def install(app: FastAPI) -> None:
    """Make every failure of every route look the same."""

    @app.exception_handler(TailraceError)
    async def _tailrace(request: Request, error: TailraceError) -> Response:
        request.app.state.gateway.metrics.refused.labels(str(error.code)).inc()
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        hint = "see GET /openapi.json for what is served"
        detail = f"{request.method} {request.url.path}: {error.detail}; {hint}"
        body = ErrorBody(code="invalid_request", message=detail, type="invalid_request_error")
        return _json(body, error.status_code, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> Response:
        request.app.state.gateway.metrics.refused.labels(str(ErrorCode.INTERNAL)).inc()
        return error_response(TailraceError(ErrorCode.INTERNAL))


def _json(body: ErrorBody, status: int, headers: dict[str, str]) -> Response:
    return Response(sse.error_json(body), status, headers, "application/json")
