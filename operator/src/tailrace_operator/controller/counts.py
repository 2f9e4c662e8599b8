"""What the broker counts of a model's requests, for the decision about its workers.

The queue itself knows, exactly and for all gateways together: what it ever took, what is delivered and not finished,
and what waits. Nobody's report can leak here, nothing is counted twice, and readers of logs do not appear.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from tailrace_protocol.subjects import WORKERS_CONSUMER, ModelKey, queue_stream

from tailrace_operator.controller.world import Key

log = logging.getLogger("tailrace.operator.counts")

_TIMEOUT_S = 2.0
#: Models that are asked for at a time.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Count:
    """One look at a queue."""

    accepted: int
    active: int
    queued: int

    @property
    def in_flight(self) -> int:
        """What is there."""
        return self.active + self.queued


class _State(msgspec.Struct):
    messages: int = 0
    last_seq: int = 0


class _Stream(msgspec.Struct):
    state: _State | None = None


class _Consumer(msgspec.Struct):
    """An answer without a leader has an error, and no count: that nothing runs is only true where it is said."""

    num_ack_pending: int | None = None


_stream = msgspec.json.Decoder(_Stream)
_consumer = msgspec.json.Decoder(_Consumer)


async def count(client: Client, keys: Collection[Key]) -> dict[Key, Count]:
    """The counts of those models that could be looked at within `_TIMEOUT_S`, all together."""
    found: dict[Key, Count] = {}
    limit = asyncio.Semaphore(_AT_ONCE)

    async def look(key: Key) -> None:
        async with limit:
            counted = await count_one(client, key)
        if counted is not None:
            found[key] = counted

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TIMEOUT_S):
            await asyncio.gather(*(look(key) for key in keys))
    return found


async def count_one(client: Client, key: Key) -> Count | None:
    """One model's; `None` where its queue is not there or does not answer, which is not zero."""
    name = queue_stream(ModelKey(key.namespace, key.name))
    try:
        stream = _stream.decode((await client.request(f"$JS.API.STREAM.INFO.{name}", timeout=_TIMEOUT_S)).data)
        if stream.state is None:
            return None
        if not stream.state.messages:
            return Count(stream.state.last_seq, 0, 0)
        asked = f"$JS.API.CONSUMER.INFO.{name}.{WORKERS_CONSUMER}"
        consumer = _consumer.decode((await client.request(asked, timeout=_TIMEOUT_S)).data)
    except (NatsError, TimeoutError, msgspec.MsgspecError) as error:
        log.debug("counts.unknown stream=%s error=%s", name, type(error).__name__)
        return None
    if consumer.num_ack_pending is None:
        return None
    active = min(consumer.num_ack_pending, stream.state.messages)
    return Count(stream.state.last_seq, active, stream.state.messages - active)
