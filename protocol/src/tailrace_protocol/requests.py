"""Requests: what waits in a model's work queue.

The client's body travels untouched, so that everything the engine's API offers works without the gateway knowing
it. Deadlines are durations beside the broker's own timestamp, never wall-clock times of another machine.
"""

from typing import Literal

import msgspec

from tailrace_protocol.wire import NOTHING, decode, normalise_raw

Kind = Literal["chat", "completion"]


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """One generation to do.

    `body` is the client's JSON; when it is too large for a message it is empty and `body_object` names it in the
    payload store. `response_id` and `created` (Unix seconds) are stamped on every frame, whatever attempt wrote it.
    """

    stream: str
    kind: Kind
    response_id: str
    created: int
    streaming: bool
    body: msgspec.Raw = NOTHING
    body_object: str = ""
    first_position: int = 2
    v: int = 1

    def __post_init__(self) -> None:
        normalise_raw(self, "body")


_decoder = msgspec.json.Decoder(Request)


def decode_request(data: bytes) -> Request:
    """The request in `data`.

    Raises:
        MalformedMessageError: bytes that are no request.
    """
    return decode(_decoder, data)
