"""Events: what a stream's log holds.

A *position* is a place in the client's view of the stream: dense, starting at 1, one for each frame; an event
without frames (tokens that produced no text yet) takes one position that no client sees. `Accepted` is written by
the gateway and holds what comes before the first token; everything after it is written by workers. `Started` and
`Checkpoint` take no position: they say who writes, and how far the log must reach.
"""

from typing import Literal

import msgspec

from tailrace_protocol.errors import ErrorBody
from tailrace_protocol.wire import NOTHING, decode_kind, normalise_raw, tags

Outcome = Literal["finished", "cancelled", "failed"]


class TokenGroup(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens that the engine produced for one choice in one step.

    `replay` is what the engine needs beside the token ids to replay the group (logprobs, where a later frame
    repeats them); only the engine that wrote it reads it. `finish` is set on a choice's last group.
    """

    choice: int
    tokens: list[int]
    finish: str | None = None
    stop: int | str | None = None
    replay: msgspec.Raw = NOTHING

    def __post_init__(self) -> None:
        normalise_raw(self, "replay")


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Token counts of the whole stream, over all attempts."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="accepted"):
    """A gateway took the request: position 1 and, with several choices, the next ones. Written once."""

    frames: list[msgspec.Raw]
    created: int
    kind: str
    streaming: bool = True
    v: int = 1


class Started(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="started"):
    """An attempt begins to write at position `base`; events of lower attempts after this one are void.

    Written with a fence (the broker's expected last sequence of the subject) for every attempt above 1.
    `ack` is the request message's acknowledgement subject: who learns of the worker's death hands it back there.
    """

    attempt: int
    base: int
    worker: str
    ack: str = ""
    v: int = 1


class Delta(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="delta"):
    """Tokens, and the ready OpenAI chunks (JSON) that they produced, from position `seq` on."""

    attempt: int
    seq: int
    groups: list[TokenGroup]
    frames: list[msgspec.Raw]
    v: int = 1


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="checkpoint"):
    """Acknowledged by the broker: the log reaches position `seq`. A reader that has less has a gap."""

    attempt: int
    seq: int
    v: int = 1


class Ended(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="ended"):
    """The last event, acknowledged by the broker. `count` is the stream's last position.

    When its frames are too large for a message they are empty, and `result` names an object in the payload store
    that holds them as a JSON array.
    """

    attempt: int
    seq: int
    count: int
    outcome: Outcome
    groups: list[TokenGroup] = []
    frames: list[msgspec.Raw] = []
    usage: Usage | None = None
    error: ErrorBody | None = None
    result: str = ""
    v: int = 1


Event = Accepted | Started | Delta | Checkpoint | Ended
Positioned = Accepted | Delta | Ended

_decoder = msgspec.json.Decoder(Event)
_KNOWN = tags(Accepted, Started, Delta, Checkpoint, Ended)


def decode_event(data: bytes) -> Event | None:
    """The event in `data`, or `None` for a kind of a newer version.

    Raises:
        MalformedMessageError: bytes that are no event.
    """
    return decode_kind(_decoder, data, _KNOWN)


def first_position(event: Positioned) -> int:
    """The position of the event's first frame."""
    return 1 if isinstance(event, Accepted) else event.seq


def last_position(event: Positioned) -> int:
    """The position of the event's last frame."""
    if isinstance(event, Ended):
        return event.count
    return first_position(event) + max(1, len(event.frames)) - 1
