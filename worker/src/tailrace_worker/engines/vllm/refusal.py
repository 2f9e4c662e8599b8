"""vLLM's failures in the words of the error table: translated once, here."""

import re
from typing import Any

from tailrace_protocol.errors import ErrorCode, TailraceError

from tailrace_worker.engines.vllm.frames import FrameError
from tailrace_worker.engines.vllm.internals import EngineDeadError, error_response

_TOO_LONG = re.compile(r"maximum (context|model) length|maximum context|exceeds model's maximum", re.IGNORECASE)
_GRAMMAR = re.compile(r"schema|grammar|structured.?output|structural tag|regex|\bchoices?\b", re.IGNORECASE)
_PROMPT_FIELDS = {"chat": "messages", "completion": "prompt"}
#: Names that vLLM gives to what the client knows by another name.
_INNER_PARAMS = frozenset({"input_tokens", "input_text"})
#: What vLLM appends for its own logs, and how its messages begin when they name a field in no other way.
_APPENDED = re.compile(r"\s*\(parameter=.*\)\s*$", re.DOTALL)
_SUBJECT = re.compile(r"`?([a-z][a-z_]*)`? (?:must|cannot|should|has|is|contains)\b")
_GRAMMAR_FIELDS = ("response_format", "structured_outputs", "tools")


def of_exception(error: BaseException, kind: str, request: Any) -> TailraceError:
    """`error`, which vLLM raised for a request of that kind."""
    if isinstance(error, TailraceError):
        return error
    if isinstance(error, EngineDeadError):
        return TailraceError(ErrorCode.ENGINE_FAILED, "The inference engine died; another worker will be tried.")
    if isinstance(error, FrameError):
        return of_error(error.error, kind, request)
    if isinstance(error, Exception):
        return of_error(error_response(error).error.model_dump(), kind, request)
    return TailraceError(ErrorCode.ENGINE_FAILED, f"{type(error).__name__}: {error}")


def of_error(error: dict[str, Any], kind: str, request: Any) -> TailraceError:
    """`error`, as vLLM's HTTP server tells it: message, param and HTTP status in `code`."""
    message = " ".join(_APPENDED.sub("", str(error.get("message") or "")).split())
    param, status = error.get("param"), int(error.get("code") or 500)
    if status == 404:
        return TailraceError(ErrorCode.MODEL_NOT_FOUND, message, param=param or "model")
    if status == 503:
        return TailraceError(ErrorCode.QUEUE_FULL, message)
    if status == 501:
        return TailraceError(ErrorCode.INVALID_REQUEST, message, param=param)
    if status >= 500:
        return TailraceError(ErrorCode.ENGINE_FAILED, message)
    if param in _INNER_PARAMS or _TOO_LONG.search(message):
        field = _PROMPT_FIELDS[kind]
        return TailraceError(
            ErrorCode.CONTEXT_LENGTH_EXCEEDED, f"`{field}` is too long. {message} Shorten `{field}`.", param=field
        )
    return _invalid(message, param or _subject(message, request) or _grammar_field(message, request))


def _invalid(message: str, param: str | None) -> TailraceError:
    if param is None:
        return TailraceError(ErrorCode.INVALID_REQUEST, message)
    told = f"`{param}` cannot be used: {message.rstrip('.')}. Change `{param}` and send the request again."
    return TailraceError(ErrorCode.INVALID_REQUEST, told, param=param)


def _subject(message: str, request: Any) -> str | None:
    """The field that the message begins with, if it is one."""
    match = _SUBJECT.match(message)
    return match[1] if match and match[1] in getattr(type(request), "model_fields", ()) else None


def _grammar_field(message: str, request: Any) -> str | None:
    """vLLM does not say which field a grammar came from; only one that was sent can be to blame."""
    if not _GRAMMAR.search(message):
        return None
    return next((field for field in _GRAMMAR_FIELDS if getattr(request, field, None) is not None), None)
