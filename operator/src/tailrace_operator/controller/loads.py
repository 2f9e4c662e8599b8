"""How many streams each model has, running and waiting, as the broker counts them.

The queue itself knows: what is delivered and not acknowledged runs, the rest waits. Nobody's report can leak here. Who
counts the streams also sees which are missing, and which are nobody's.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from tailrace_protocol.subjects import WORKERS_CONSUMER, ModelKey, log_stream, queue_stream

from tailrace_operator.controller.broker_link import BrokerLink
from tailrace_operator.controller.orphans import Orphans
from tailrace_operator.controller.world import Key, World

log = logging.getLogger("tailrace.operator.loads")

_EVERY_S = 5.0
#: Which streams are queues: those that take requests.
_QUEUES = "tr.req.>"
_LOGS = "tr.log.>"
_TIMEOUT_S = 5.0


class _Config(msgspec.Struct):
    name: str


class _State(msgspec.Struct):
    messages: int


class _Stream(msgspec.Struct):
    config: _Config
    state: _State


class _Error(msgspec.Struct):
    description: str = ""


class _Page(msgspec.Struct):
    """An answer without a meta leader has an error, and no streams."""

    total: int = 0
    error: _Error | None = None
    streams: list[_Stream] = []


class _Names(msgspec.Struct):
    total: int = 0
    error: _Error | None = None
    streams: list[str] | None = None


_page = msgspec.json.Decoder(_Page)
_names = msgspec.json.Decoder(_Names)


class Loads:
    """Streams and waiting requests by model; unknown while the broker is away. `namespaces` are those watched."""

    def __init__(
        self,
        broker: BrokerLink,
        world: World,
        wake: Callable[[Key], None],
        namespaces: Collection[str] = (),
        measure: Callable[[Key, tuple[int, int] | None], None] = lambda key, load: None,
    ) -> None:
        self._measure = measure
        self._broker = broker
        self._world = world
        self._wake = wake
        self._orphans = Orphans(world, namespaces)
        self._loads: dict[Key, tuple[int, int]] = {}
        self._fresh: dict[Key, tuple[int, int]] = {}

    def of(self, key: Key) -> tuple[int, int] | None:
        """Running and waiting streams of a model as they were counted last; `None` before they were."""
        return self._loads.get(key)

    def fresh(self, key: Key) -> tuple[int, int] | None:
        """The same, to decide by: `None` where the last look could not count them."""
        return self._fresh.get(key)

    async def run(self) -> None:
        """Count every few seconds until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            client = self._broker.client
            if client is None:
                self._forget()
                continue
            try:
                self._take_in(await self._count(client))
            except (NatsError, TimeoutError, msgspec.MsgspecError) as error:
                log.warning("loads.unknown error=%s", type(error).__name__)
                self._forget()

    async def _count(self, client: Client) -> dict[Key, tuple[int, int] | None]:
        """The models that have a queue; `None` for one whose queue does not tell."""
        messages, logs = await _messages_by_stream(client), await _log_names(client)
        self._orphans.look({*messages, *logs})
        jetstream = client.jetstream(timeout=_TIMEOUT_S)
        counted: dict[Key, tuple[int, int] | None] = {}
        for key, _ in self._world.resources("StreamingModel"):
            model = ModelKey(key.namespace, key.name)
            stream = queue_stream(model)
            if stream in messages:
                counted[key] = await self._load(jetstream, stream) if messages[stream] else (0, 0)
            is_whole = stream in messages and log_stream(model) in logs
            if not is_whole and self._broker.miss(model):
                self._wake(key)  # Somebody deleted what the operator had made.
        return counted

    async def _load(self, jetstream: JetStreamContext, stream: str) -> tuple[int, int] | None:
        """One model's; a queue without a leader holds up no others."""
        try:
            return await _load(jetstream, stream)
        except (NatsError, TimeoutError) as error:
            log.warning("loads.stale stream=%s error=%s", stream, type(error).__name__)
            return None

    def _forget(self) -> None:
        """What was counted is old: the status keeps it, but nobody shall scale by it."""
        self._fresh = {}
        for key in self._loads:
            self._measure(key, None)

    def _take_in(self, counted: dict[Key, tuple[int, int] | None]) -> None:
        before = self._loads
        self._fresh = {key: load for key, load in counted.items() if load is not None}
        self._loads = {key: before[key] for key in counted if key in before} | self._fresh
        for key in {*counted, *before}:
            self._measure(key, self._fresh.get(key))
            if self._loads.get(key) != before.get(key):
                self._wake(key)


async def _messages_by_stream(client: Client) -> dict[str, int]:
    """Messages in each model's queue. Asked page by page, and only what is needed is read: models may be thousands."""
    found: dict[str, int] = {}
    offset, total = 0, 1
    while offset < total:
        wanted = msgspec.json.encode({"offset": offset, "subject": _QUEUES})
        page = _page.decode((await client.request("$JS.API.STREAM.LIST", wanted, timeout=_TIMEOUT_S)).data)
        found |= {stream.config.name: stream.state.messages for stream in page.streams}
        offset, total = _after(offset, page)
    return found


async def _log_names(client: Client) -> set[str]:
    """Which models' logs there are: their names suffice, and cost little."""
    found: set[str] = set()
    offset, total = 0, 1
    while offset < total:
        wanted = msgspec.json.encode({"offset": offset, "subject": _LOGS})
        page = _names.decode((await client.request("$JS.API.STREAM.NAMES", wanted, timeout=_TIMEOUT_S)).data)
        found |= set(page.streams or ())
        offset, total = _after(offset, page)
    return found


def _after(offset: int, page: _Page | _Names) -> tuple[int, int]:
    """Where the next page begins, and how many there are.

    Not after as many as were found: streams made meanwhile shift others, which then come twice, and the last page
    would be asked for again for ever.
    """
    if page.error is not None:
        raise NatsError(page.error.description)
    length = len(page.streams or ())
    return offset + length, page.total if length else 0


async def _load(jetstream: JetStreamContext, stream: str) -> tuple[int, int] | None:
    try:
        info = await jetstream.consumer_info(stream, WORKERS_CONSUMER)
    except NotFoundError:  # Somebody deleted it: which requests run is known to nobody until it is made anew.
        return None
    return info.num_ack_pending or 0, info.num_pending or 0
