"""Reading a request body within a limit, without keeping more of it than the limit allows."""

from fastapi import Request
from tailrace_protocol.errors import ErrorCode, TailraceError


async def read_body(request: Request, limit: int) -> bytes:
    """The body.

    Raises:
        TailraceError: `body_too_large`, as soon as that is known.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _too_large(limit: int) -> TailraceError:
    detail = f"the body is larger than this gateway's limit of {limit} bytes: shorten the prompt"
    return TailraceError(ErrorCode.BODY_TOO_LARGE, detail)
