"""A log's first event, and the chunks that clients get before the first token.

The gateway writes it. It follows from the request alone, so that a worker can write it again where the broker lost it.
"""

import msgspec

from tailrace_protocol.events import Accepted
from tailrace_protocol.requests import Kind, Request

#: What OpenAI calls a chunk of each kind.
CHUNK_OBJECT: dict[Kind, str] = {"chat": "chat.completion.chunk", "completion": "text_completion"}


def opening(request: Request, model: str) -> Accepted:
    """The first event of a request for `model`, as the client called it."""
    choices = request.first_position - 1 if request.streaming else 0
    frames = [_chunk(request, model, index) for index in range(choices)]
    return Accepted(frames=frames, created=request.created, kind=request.kind, streaming=request.streaming)


def _chunk(request: Request, model: str, index: int) -> msgspec.Raw:
    """The role of a chat, or an empty piece of text."""
    chat = {"delta": {"role": "assistant", "content": ""}}
    content: dict[str, object] = dict(chat) if request.kind == "chat" else {"text": ""}
    choice = {"index": index, **content, "logprobs": None, "finish_reason": None}
    envelope = {"id": request.response_id, "object": CHUNK_OBJECT[request.kind], "created": request.created}
    return msgspec.Raw(msgspec.json.encode({**envelope, "model": model, "choices": [choice]}))
