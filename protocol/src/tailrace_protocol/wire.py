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


#: The default of raw fields. An empty `Raw` that is not this one would be written as no JSON at all.
NOTHING = msgspec.Raw()

_encoder = msgspec.json.Encoder()
_tag = msgspec.json.Decoder(_Tag)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


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
    except _UNREADABLE as error:
        raise MalformedMessageError(f"{_reason(error)} ({len(data)} bytes)") from None


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
    except _UNREADABLE:
        return False


def _reason(error: Exception) -> str:
    """What is wrong and where, without the value: msgspec repeats the values of enumerations and tags."""
    if isinstance(error, RecursionError):
        return "Nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "Not UTF-8"
    what, at, where = str(error).rpartition(" - at `")
    for repeated in ("Invalid enum value", "Invalid value"):
        if what.startswith(repeated):
            return f"{repeated}{at}{where}"
    return str(error)


def normalise_raw(message: msgspec.Struct, field: str) -> None:
    """For `__post_init__`: makes an empty raw field the default, so that it is left out."""
    value = getattr(message, field)
    if value is not NOTHING and value == NOTHING:
        msgspec.structs.force_setattr(message, field, NOTHING)


def tags(*types: Any) -> frozenset[str]:
    """The tags of a union's members."""
    return frozenset(str(t.__struct_config__.tag) for t in types)
