"""How many streams each model has, running and waiting, as the broker counts them.

The queue itself knows: what is delivered and not acknowledged runs, the rest waits. Nobody's report can leak here.
"""

import asyncio
import logging
from collections.abc import Callable

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from tailrace_protocol.subjects import WORKERS_CONSUMER, ModelKey, queue_stream

from tailrace_operator.controller.broker_link import BrokerLink
from tailrace_operator.controller.world import Key, World

log = logging.getLogger("tailrace.operator.loads")

_EVERY_S = 5.0
_PAGE = 256
_TIMEOUT_S = 5.0


class Loads:
    """Streams and waiting requests by model; unknown while the broker is away."""

    def __init__(self, broker: BrokerLink, world: World, wake: Callable[[Key], None]) -> None:
        self._broker = broker
        self._world = world
        self._wake = wake
        self._loads: dict[Key, tuple[int, int]] = {}

    def of(self, key: Key) -> tuple[int, int] | None:
        """Running and waiting streams of a model; `None` while they are not known."""
        return self._loads.get(key)

    async def run(self) -> None:
        """Count every few seconds until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            client = self._broker.client
            if client is None:
                continue
            try:
                self._take_in(await self._count(client.jetstream(timeout=_TIMEOUT_S)))
            except (NatsError, TimeoutError) as error:
                log.warning("loads.unknown error=%s", type(error).__name__)

    async def _count(self, jetstream: JetStreamContext) -> dict[Key, tuple[int, int]]:
        messages = await _messages_by_stream(jetstream)
        counted: dict[Key, tuple[int, int]] = {}
        for key, _ in self._world.resources("StreamingModel"):
            stream = queue_stream(ModelKey(key.namespace, key.name))
            if stream in messages:
                counted[key] = await _load(jetstream, stream) if messages[stream] else (0, 0)
        return counted

    def _take_in(self, counted: dict[Key, tuple[int, int]]) -> None:
        changed = [key for key in {*counted, *self._loads} if counted.get(key) != self._loads.get(key)]
        self._loads = counted
        for key in changed:
            self._wake(key)


async def _messages_by_stream(jetstream: JetStreamContext) -> dict[str, int]:
    found: dict[str, int] = {}
    offset = 0
    while True:
        page = await jetstream.streams_info(offset=offset)
        found |= {str(stream.config.name): stream.state.messages for stream in page}
        offset += len(page)
        if len(page) < _PAGE:
            return found


async def _load(jetstream: JetStreamContext, stream: str) -> tuple[int, int]:
    try:
        info = await jetstream.consumer_info(stream, WORKERS_CONSUMER)
    except NotFoundError:
        return 0, 0
    return info.num_ack_pending or 0, info.num_pending or 0
