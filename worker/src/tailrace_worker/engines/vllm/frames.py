"""Frames: vLLM's server-sent events as the log holds them.

Ids and times are the request's own, whoever writes the frame. The role chunk is not ours to send: the gateway wrote
it, before a worker had the request.
"""

from typing import Any

import msgspec
from tailrace_protocol.requests import Request

_PREFIX = "data: "
_DONE = "[DONE]"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL = (b"null", b"")
#: What a role chunk may carry beside the role, each only when the request asked for it.
_WORTH_KEEPING = ("prompt_token_ids", "prompt_text", "usage")


class FrameError(Exception):
    """The serving class ended the stream with an error event."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.error = error
        super().__init__(str(error.get("message", "unknown error")))


class FrameReader:
    """Turns events into frames. `first` is true until the first group of tokens is settled: role chunks come then."""

    def __init__(self, request: Request) -> None:
        self.first = request.kind == "chat"
        self._id = msgspec.Raw(msgspec.json.encode(request.response_id))
        self._created = msgspec.Raw(msgspec.json.encode(request.created))

    def read(self, event: str) -> bytes | None:
        """The frame in `event`; `None` when there is nothing to send.

        Raises:
            FrameError: the event is an error.
        """
        data = event.removeprefix(_PREFIX).rstrip("\n")
        if data == _DONE:
            return None
        members = _members.decode(data)
        if "error" in members:
            raise FrameError(msgspec.json.decode(members["error"]))
        if self.first and not _without_role(members):
            return None
        return self._stamped(members)

    def stamp(self, data: bytes) -> bytes:
        """A complete response with the request's id and time."""
        return self._stamped(_members.decode(data))

    def _stamped(self, members: dict[str, msgspec.Raw]) -> bytes:
        members["id"] = self._id
        members["created"] = self._created
        return msgspec.json.encode(members)


def _without_role(members: dict[str, msgspec.Raw]) -> bool:
    """Take the role out of a role chunk; whether anything worth sending is left. Other chunks stay as they are."""
    choices: list[dict[str, Any]] = msgspec.json.decode(members.get("choices", b"[]"))
    if not any((choice.get("delta") or {}).pop("role", None) for choice in choices):
        return True
    members["choices"] = msgspec.Raw(msgspec.json.encode(choices))
    return any(bytes(members.get(name, b"")) not in _NULL for name in _WORTH_KEEPING)
