"""How messages become bytes: JSON by msgspec, readable with `nats stream view` at 3 a.m.

A message without `v` is version 1; whoever writes a later version says so. A reader ignores fields that it does not
know and message kinds that it has never heard of (`None`), so that gateway and worker can be upgraded in either
order; bytes that are not a message at all are an error.
"""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class MalformedMessageError(ValueError):
    """Bytes that no version of Tailrace would have written."""


class _Tag(msgspec.Struct):
    t: str


_encoder = msgspec.json.Encoder()
_tag = msgspec.json.Decoder(_Tag)


def encode(message: msgspec.Struct) -> bytes:
    """The message as JSON bytes."""
    return _encoder.encode(message)


def decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """The message that `data` holds.

    Raises:
        MalformedMessageError: not JSON, or with wrong fields. The payload is not repeated: it may hold a prompt.
    """
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError(f"{error} ({len(data)} bytes)") from error


def decode_kind(decoder: msgspec.json.Decoder[T], data: bytes, known: frozenset[str]) -> T | None:
    """The message of a union that `data` holds, or `None` for a kind that this version does not know.

    Raises:
        MalformedMessageError: not JSON, or a known kind with wrong fields.
    """
    try:
        return decode(decoder, data)
    except MalformedMessageError:
        if _unknown_kind(data, known):
            return None
        raise


def _unknown_kind(data: bytes, known: frozenset[str]) -> bool:
    try:
        return _tag.decode(data).t not in known
    except msgspec.MsgspecError:
        return False


def tags(*types: Any) -> frozenset[str]:
    """The tags of a union's members."""
    return frozenset(str(t.__struct_config__.tag) for t in types)
