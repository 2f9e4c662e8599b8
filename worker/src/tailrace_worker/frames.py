"""The few OpenAI chunks that Tailrace writes itself: the end of a stream that was stopped by a time limit."""

import msgspec
from tailrace_protocol.opening import CHUNK_OBJECT
from tailrace_protocol.requests import Request


def length_frame(request: Request, model: str, choices: list[int]) -> bytes:
    """The chunk that ends `choices` with `finish_reason: length`: there is no more, and what came is good."""
    rest: dict[str, object] = {"delta": {}} if request.kind == "chat" else {"text": "", "logprobs": None}
    chunk = {
        "id": request.response_id,
        "object": CHUNK_OBJECT[request.kind],
        "created": request.created,
        "model": model,
        "choices": [{"index": index, **rest, "finish_reason": "length"} for index in choices],
    }
    return msgspec.json.encode(chunk)
