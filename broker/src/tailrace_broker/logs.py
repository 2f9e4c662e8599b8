"""Reading a stream's log from JetStream, by batched direct gets: no consumer is made for a read.

A direct get is not read-after-write on a replicated stream, so a reader that must know the truth (a gap, a take-over)
asks the stream's leader instead, message by message.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jetstreamext import BatchUnsupportedError, InvalidResponseError, NoMessagesError, get_batch
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError
from tailrace_protocol import subjects
from tailrace_protocol.events import Event, decode_event
from tailrace_protocol.subjects import StreamId

#: The header that fences a publish: the broker refuses it when the subject's last sequence is another one.
FENCE = "Nats-Expected-Last-Subject-Sequence"
#: A log that still takes in events refuses every fence; the pauses double.
_FENCE_PAUSE_S = 0.005
_BATCH = 256
#: A stream that is not there (yet) is "not found" too, and no empty log.
_NO_MESSAGE = 10037
_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Logged:
    """A message of a log, with the sequence and the time (Unix seconds) that the broker gave it.

    `event` is `None` for a kind of a newer version: its sequence counts all the same.
    """

    event: Event | None
    sequence: int
    time: float


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a log's events, the broker sequence up to which they were read, and whether there are more."""

    entries: list[Logged]
    sequence: int
    more: bool


async def read_page(js: JetStreamContext, stream: StreamId, after: int = 0) -> Page:
    """Up to 256 of the stream's events after the broker's sequence `after`, in broker order, as they are now.

    Raises:
        nats.errors.Error: the broker does not answer.
    """
    messages = await _messages(js, stream, after)
    if not messages:
        return Page([], after, more=False)
    entries = [_logged(message) for message in messages]
    return Page(entries, messages[-1].seq or after, _header(messages[-1], "Nats-Num-Pending") != "0")


async def read_log(js: JetStreamContext, stream: StreamId) -> list[Logged]:
    """The whole log, page by page: many times faster than asking the leader for each message.

    On a replicated stream it may lack the latest events, so whoever writes upon it must be fenced.
    """
    entries: list[Logged] = []
    page = Page([], 0, more=True)
    while page.more:
        page = await read_page(js, stream, page.sequence)
        entries += page.entries
    return entries


async def after_refusal(tries: int) -> None:
    """Wait before the log is read anew, after so many refused tries to write upon it before this one."""
    await asyncio.sleep(_FENCE_PAUSE_S * 2**tries)


def events_of(entries: Iterable[Logged]) -> Iterator[Event]:
    """The events that this version knows, in order."""
    return (entry.event for entry in entries if entry.event is not None)


async def read_log_at_leader(js: JetStreamContext, stream: StreamId) -> AsyncIterator[Logged]:
    """The stream's events from its leader: slower than pages, and true even during a change of replicas.

    Raises:
        nats.errors.Error: the broker does not answer, or has no logs of that model.
    """
    name, subject, after = subjects.log_stream(stream.key), subjects.log(stream), 0
    while True:
        try:
            message = await js.get_msg(name, seq=after + 1, subject=subject, direct=False, next=True)
        except NotFoundError as error:
            if error.err_code == _NO_MESSAGE:
                return
            raise
        after = message.seq or after
        yield _logged(message)


async def _messages(js: JetStreamContext, stream: StreamId, after: int) -> list[RawStreamMsg]:
    name, subject = subjects.log_stream(stream.key), subjects.log(stream)
    try:
        async with asyncio.timeout(_ANSWER_S):
            messages = [m async for m in get_batch(js, name, batch=_BATCH, seq=after + 1, subject=subject)]
    except NoMessagesError:
        return []
    except (InvalidResponseError, BatchUnsupportedError) as error:
        raise NatsError(f"the log {name} cannot be read: {error}") from error
    if not messages:
        # The library ends quietly when the connection is lost; an empty log would have been said to be empty.
        raise TimeoutError(f"the log {name} did not answer")
    return messages


def _logged(message: RawStreamMsg) -> Logged:
    return Logged(decode_event(message.data or b""), message.seq or 0, _time(message))


def _time(message: RawStreamMsg) -> float:
    if isinstance(stamp := getattr(message, "time", None), datetime):
        return stamp.timestamp()
    text = _header(message, "Nats-Time-Stamp")
    return datetime.fromisoformat(_microseconds(text)).timestamp() if text else 0.0


def _microseconds(stamp: str) -> str:
    """RFC 3339 with at most six digits of fraction, which is what Python 3.11 reads."""
    whole, _, rest = stamp.rstrip("Z").partition(".")
    return f"{whole}.{rest[:6].ljust(6, '0')}+00:00"


def _header(message: RawStreamMsg, name: str) -> str:
    headers: dict[str, Any] = message.headers or {}
    return str(headers.get(name, ""))
