"""The client's JSON as vLLM's own request class, with refusals that name the field."""

import re
from typing import Any

import msgspec
from pydantic import ValidationError
from tailrace_protocol.errors import ErrorCode, TailraceError

from tailrace_worker.engines.engine import Job
from tailrace_worker.engines.vllm.internals import ChatCompletionRequest, CompletionRequest

_CLASSES = {"chat": ChatCompletionRequest, "completion": CompletionRequest}
_FIELD = re.compile(r"[a-z_][a-z0-9_]*")
#: Parts of pydantic's error locations that name a type of a union and not a field.
_TYPES = frozenset({"str", "int", "float", "bool", "list", "dict", "function", "none", "is-instance"})


def parse(job: Job) -> Any:
    """The request that vLLM's serving class takes.

    Raises:
        TailraceError: naming the field and what is wrong with it.
        Exception: what vLLM's own checks raise.
    """
    body = _decoded(job.body)
    body["stream"] = job.request.streaming
    body["request_id"] = job.request.stream
    if body.get("use_beam_search"):
        raise TailraceError(
            ErrorCode.INVALID_REQUEST,
            "`use_beam_search` is not offered, because a beam search cannot be continued; remove it, or sample "
            "several answers with `n`.",
            param="use_beam_search",
        )
    try:
        return _CLASSES[job.request.kind].model_validate(body)
    except ValidationError as error:
        raise _refused(error) from error


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise TailraceError(ErrorCode.INVALID_REQUEST, f"The body is not valid JSON: {error}.") from error
    if not isinstance(decoded, dict):
        raise TailraceError(ErrorCode.INVALID_REQUEST, "The body must be a JSON object.")
    return decoded


def _refused(error: ValidationError) -> TailraceError:
    first = error.errors(include_url=False, include_context=False)[0]
    field = _path(first["loc"]) or "body"
    if first["type"] == "missing":
        message = f"`{field}` is missing; add it to the request."
    else:
        reason = first["msg"].removeprefix("Value error, ")
        message = f"`{field}` cannot be used: {reason[:1].lower()}{reason[1:]}; change it and send the request again."
    return TailraceError(ErrorCode.INVALID_REQUEST, message, param=field)


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _FIELD.fullmatch(part) and part not in _TYPES:
            path += f".{part}" if path else part
    return path
