"""From a client's body and headers to a request: a pure decision, with one clear error for each kind of bad input.

Only what the gateway itself needs is looked at. Everything else of OpenAI's API belongs to the engine, which checks
it and answers in the same error shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Accepted
from tailrace_protocol.opening import opening
from tailrace_protocol.requests import Kind, Request
from tailrace_protocol.settings import OnDisconnect
from tailrace_protocol.subjects import StreamId

_MAX_CHOICES = 128
_MAX_KEY_LENGTH = 255
_PREFIX: dict[Kind, str] = {"chat": "chatcmpl", "completion": "cmpl"}


class _Body(msgspec.Struct):
    model: str
    stream: bool | None = None
    n: int | None = None
    messages: msgspec.Raw = msgspec.Raw(b"null")
    prompt: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the client wants of Tailrace, beyond the answer."""

    verbose: bool
    policy: OnDisconnect | None
    idempotency_key: str | None
    tenant: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A body that the gateway understands."""

    kind: Kind
    model: str
    streaming: bool
    choices: int
    body: bytes


_decoder = msgspec.json.Decoder(_Body)


def read_ask(kind: Kind, body: bytes) -> Ask:
    """What the body asks for.

    Raises:
        TailraceError: `invalid_request`, naming the field and the remedy.
    """
    try:
        fields = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(f"the body is not valid JSON: {error}", None) from error
    if not fields.model:
        raise _invalid("'model' is empty: name a model of GET /v1/models", "model")
    choices = 1 if fields.n is None else fields.n
    if not 1 <= choices <= _MAX_CHOICES:
        raise _invalid(f"'n' is {choices}: use 1 to {_MAX_CHOICES}", "n")
    _check_input(kind, fields)
    prompts = 1 if kind == "chat" else _count_prompts(bytes(fields.prompt))
    if choices * prompts > _MAX_CHOICES:
        raise _invalid(f"{prompts} prompts with n={choices} are more than {_MAX_CHOICES} answers: send fewer", "prompt")
    return Ask(kind, fields.model, bool(fields.stream), choices * prompts, body)


def _count_prompts(prompt: bytes) -> int:
    """A legacy completion may hold several prompts: texts, or token ids in a list for each."""
    value = msgspec.json.decode(prompt)
    several = isinstance(value, list) and value and not isinstance(value[0], int)
    return len(value) if several else 1


def _check_input(kind: Kind, fields: _Body) -> None:
    name = "messages" if kind == "chat" else "prompt"
    value = bytes(fields.messages if kind == "chat" else fields.prompt).strip()
    if value == b"null":
        raise _invalid(f"'{name}' is missing: a {kind} request needs it", name)
    if kind == "chat" and not value.startswith(b"["):
        raise _invalid("'messages' must be an array of message objects", "messages")
    if value == b"[]":
        raise _invalid(f"'{name}' is empty: give at least one", name)


def _wrong_field(message: str) -> TailraceError:
    """msgspec says e.g. "Expected `bool`, got `str` - at `$.stream`"; OpenAI's `param` is the bare field."""
    text, _, path = message.partition(" - at `$.")
    if path:
        field = path.rstrip("`")
        return _invalid(f"'{field}' is wrong: {text[0].lower()}{text[1:]}", field)
    if "missing required field" in message:
        field = message.rsplit("`", 2)[-2]
        return _invalid(f"'{field}' is missing", field)
    return _invalid(f"the body is wrong: {message}; send a JSON object", None)


def _invalid(detail: str, param: str | None) -> TailraceError:
    return TailraceError(ErrorCode.INVALID_REQUEST, detail, param=param)


def read_wishes(headers: Mapping[str, str]) -> Wishes:
    """What the headers ask for. An `Idempotency-Key` implies `continue`: its sender means to come back.

    Raises:
        TailraceError: `invalid_request`, naming the header and its values.
    """
    key = headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= _MAX_KEY_LENGTH:
        raise _invalid(f"Idempotency-Key must have 1 to {_MAX_KEY_LENGTH} characters", "Idempotency-Key")
    policy = _policy(headers.get("tailrace-on-disconnect")) or ("continue" if key is not None else None)
    return Wishes(read_verbose(headers), policy, key, headers.get("authorization", ""))


def read_verbose(headers: Mapping[str, str], default: Literal["all", "openai"] = "openai") -> bool:
    """Whether Tailrace's named events are wanted.

    Raises:
        TailraceError: `invalid_request`, naming the header and its values.
    """
    events = headers.get("tailrace-events", default).strip().lower()
    if events not in ("all", "openai"):
        raise _invalid(f"Tailrace-Events is {events!r}: use 'all' or 'openai'", "Tailrace-Events")
    return events == "all"


def _policy(value: str | None) -> OnDisconnect | None:
    if value is None:
        return None
    match value.strip().lower():
        case "cancel":
            return "cancel"
        case "continue":
            return "continue"
    raise _invalid(f"Tailrace-On-Disconnect is {value!r}: use 'cancel' or 'continue'", "Tailrace-On-Disconnect")


def read_position(last_event_id: str | None, starting_after: str | None) -> int:
    """The last position that a resuming client has; 0 for none. The header wins: browsers send it on their own.

    Raises:
        TailraceError: `invalid_request`, naming the header or parameter.
    """
    name = "Last-Event-ID" if last_event_id else "starting_after"
    value = last_event_id or starting_after or "0"
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise _invalid(f"{name} is {value[:40]!r}: use the id of the last event received, a whole number", name)
    return int(value)


def make_request(ask: Ask, stream: StreamId, now: int) -> tuple[Request, Accepted]:
    """The request for the queue and the log's first event, accepted at `now` (Unix seconds)."""
    response_id = f"{_PREFIX[ask.kind]}-{stream.token}"
    first = (ask.choices if ask.streaming else 1) + 1
    body = msgspec.Raw(ask.body)
    request = Request(str(stream), ask.kind, response_id, now, ask.streaming, body, first_position=first)
    return request, opening(request, ask.model)
