"""Control: what flows back to whoever generates or owns a stream. Has its own door; never in the log."""

import msgspec

from tailrace_protocol.wire import decode_kind, tags


class Cancel(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="cancel"):
    """Stop generating now and end the log: as cancelled, or as failed with another `code` of the error table."""

    reason: str = ""
    code: str = "cancelled"
    v: int = 1


class Superseded(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="superseded"):
    """A newer attempt has begun: older ones stop and write nothing more."""

    attempt: int
    v: int = 1


class Attached(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="attached"):
    """Another gateway has readers on this stream for the next `lease_s` seconds: do not cancel it meanwhile."""

    gateway: str
    lease_s: float
    v: int = 1


class Detached(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="detached"):
    """That gateway's last reader left: the origin's disconnect policy applies again."""

    gateway: str
    v: int = 1


class Retire(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="retire"):
    """To a worker: take nothing new and hand over what you have, for the next `lease_s` seconds; with 0, come back."""

    lease_s: float
    v: int = 1


Control = Cancel | Superseded | Attached | Detached | Retire

_decoder = msgspec.json.Decoder(Control)
_KNOWN = tags(Cancel, Superseded, Attached, Detached, Retire)


def decode_control(data: bytes) -> Control | None:
    """The control message in `data`, or `None` for a kind of a newer version.

    Raises:
        MalformedMessageError: bytes that are no control message.
    """
    return decode_kind(_decoder, data, _KNOWN)
