"""Server-sent events as bytes, in the forms that OpenAI's own SDKs survive.

Their decoders keep the last id and take every blank line for an event, so a comment must not be followed by a blank
line once an id was sent, and what is neither chunk nor error goes only to those who asked for it.
"""

import msgspec
from tailrace_protocol.errors import ErrorBody
from tailrace_protocol.events import Ended, Positioned, Started, first_position

HEARTBEAT = b": heartbeat\n"


def events_after(position: int, event: Positioned) -> bytes:
    """The event's frames after `position`, each with its id."""
    first = first_position(event)
    parts: list[bytes] = []
    for place, frame in enumerate(event.frames, first):
        if place > position:
            parts.append(b"id: %d\ndata: %b\n\n" % (place, bytes(frame)))
    return b"".join(parts)


def ending(ended: Ended) -> bytes:
    """What follows the last frame: the error if there is one, then the mark that OpenAI's clients wait for."""
    if ended.outcome == "finished":
        return done(ended.count)
    body = ended.error or ErrorBody(code="cancelled", message="The stream was cancelled.")
    return error(body, ended.count) + done(ended.count)


def error(body: ErrorBody, position: int | None) -> bytes:
    """A failure after the first byte, in the shape that OpenAI's SDKs raise as an API error."""
    prefix = b"" if position is None else b"id: %d\n" % position
    return b"%bdata: %b\n\n" % (prefix, error_json(body))


def done(position: int) -> bytes:
    """The end of the stream."""
    return b"id: %d\ndata: [DONE]\n\n" % position


def error_json(body: ErrorBody) -> bytes:
    """OpenAI's error object, with whether a retry makes sense and up to where the text is good."""
    fields: dict[str, object] = {
        "message": body.message,
        "type": body.type,
        "param": body.param,
        "code": body.code,
        "retryable": body.retryable,
    }
    if body.position is not None:
        fields["position"] = body.position
    return msgspec.json.encode({"error": fields})


def comment(text: str) -> bytes:
    """A line that no client shows, for a person who looks at the wire."""
    return b": %b\n" % text.replace("\n", " ").replace("\r", " ").encode()


def named(name: str, data: dict[str, object]) -> bytes:
    """A Tailrace event, for those who asked for it. It has no id: it is not part of the log."""
    return b"event: tailrace.%b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


def attempt(started: Started) -> bytes:
    """An attempt began: `position` is the last one that earlier attempts wrote."""
    return named("attempt", {"attempt": started.attempt, "position": started.base - 1, "worker": started.worker})
