"""The gateway's service, without HTTP: accept a request, find a stream, read it, cancel it.

Every protocol stands on this; the routes only translate.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NoStreamResponseError
from tailrace_broker import payloads
from tailrace_broker.logs import Logged, events_of, read_page
from tailrace_protocol import subjects
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Accepted, Ended, Event
from tailrace_protocol.log import LogCursor
from tailrace_protocol.requests import Request
from tailrace_protocol.settings import GatewaySettings, ModelSettings
from tailrace_protocol.subjects import ModelKey, StreamId
from tailrace_protocol.wire import encode

from tailrace_gateway.admission import Ask, Wishes, make_request
from tailrace_gateway.catalog import Catalog
from tailrace_gateway.closing import close_stream
from tailrace_gateway.delivery.pump import Pump
from tailrace_gateway.delivery.reader import Reader
from tailrace_gateway.hub import Hub
from tailrace_gateway.idempotency import Keys
from tailrace_gateway.live import Listener, LiveStream
from tailrace_gateway.metrics import Metrics

log = logging.getLogger("tailrace.gateway")
T = TypeVar("T")

_PUBLISH_TIMEOUT_S = 3.0
_PUBLISH_TRIES = 2
_QUEUE_FULL = 10077
#: How long a claimed key may stand for a stream that has no log yet, before another request takes it over.
_CLAIM_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request that may be submitted, under the name that its stream will have."""

    stream: StreamId
    model: ModelSettings
    ask: Ask
    wishes: Wishes


class Service:
    """What one gateway does."""

    def __init__(
        self,
        settings: GatewaySettings,
        hub: Hub,
        catalog: Catalog,
        metrics: Metrics,
        on_queued: Callable[[ModelKey], Awaitable[None]],
    ) -> None:
        self._on_queued = on_queued
        self.settings = settings
        self.hub = hub
        self.catalog = catalog
        self.metrics = metrics
        self.closing = False

    def prepare(self, ask: Ask, wishes: Wishes) -> Ticket:
        """Name the stream that `ask` would become.

        Raises:
            TailraceError: `shutting_down`, `model_not_found`, `body_too_large`.
        """
        self.check_open()
        model = self.catalog.get(ask.model)
        if len(ask.body) > model.max_body_bytes:
            limit = f"the body has {len(ask.body)} bytes; the limit is {model.max_body_bytes}: shorten the prompt"
            raise TailraceError(ErrorCode.BODY_TOO_LARGE, limit)
        key = ModelKey(model.namespace, model.name)
        return Ticket(StreamId.new(key, self.hub.origin, int(time.time())), model, ask, wishes)

    async def submit(self, ticket: Ticket, listener: Listener) -> LiveStream | StreamId:
        """Queue the request, `listener` hearing every event from the first; or the stream that its key stands for.

        Raises:
            TailraceError: `queue_full`, `broker_unavailable`, `idempotency_mismatch`.
        """
        ask, wishes = ticket.ask, ticket.wishes
        if wishes.idempotency_key is None:
            return await self._accept(ticket, listener)
        body = ask.kind.encode() + ask.body
        keys = Keys(self.hub.js, ticket.stream.key, wishes.tenant, wishes.idempotency_key, body)
        existing = await translated(self._claim(keys, ticket.stream))
        if existing is not None:
            self.metrics.attached.inc()
            return existing
        try:
            return await self._accept(ticket, listener)
        except TailraceError:
            with contextlib.suppress(NatsError, TimeoutError):
                await keys.give_up()
            raise

    async def _claim(self, keys: Keys, stream: StreamId) -> StreamId | None:
        held = await keys.claim(stream)
        while held is not None:
            if await self._worth_attaching(held.stream):
                return held.stream
            held = await keys.claim(stream, replacing=held.sequence)
        return None

    async def _worth_attaching(self, stream: StreamId) -> bool:
        """A stream that never began, or failed in a way that a retry may mend, is not attached to."""
        deadline = stream.created + _CLAIM_GRACE_S
        while (last := await self._last_event(stream)) is None:
            if time.time() > deadline:
                return False
            await asyncio.sleep(0.1)
        if isinstance(last, Accepted) and time.time() > deadline + self._model_of(stream).queue_timeout_s:
            return False  # its gateway died before it could queue the request
        return not (isinstance(last, Ended) and last.error is not None and last.error.retryable)

    async def _last_event(self, stream: StreamId) -> Event | None:
        after, last = 0, None
        while True:
            page = await read_page(self.hub.js, stream, after)
            last, after = next(iter([*events_of(page.entries)][-1:]), last), page.sequence
            if not page.more:
                return last

    async def _accept(self, ticket: Ticket, listener: Listener) -> LiveStream:
        request, accepted = make_request(ticket.ask, ticket.stream, int(time.time()))
        waits = self.metrics.first_event.labels(ticket.model.name)
        live = self.hub.accept(ticket.stream, ticket.model, ticket.wishes.policy, waits.observe)
        live.attach(listener)
        listener.on_event(accepted)
        try:
            await translated(self._publish(request, accepted, live))
        except BaseException:
            self.hub.forget(ticket.stream)
            raise
        self.metrics.accepted.labels(ticket.model.name, ticket.ask.kind).inc()
        await self._on_queued(ticket.stream.key)
        return live

    async def _publish(self, request: Request, accepted: Accepted, live: LiveStream) -> None:
        nc, js = self.hub.nc, self.hub.js
        if not nc.is_connected:
            # What were published now would be sent after the reconnect, when its client has long been refused.
            raise TailraceError(ErrorCode.BROKER_UNAVAILABLE)
        if not payloads.fits(nc.max_payload, len(bytes(request.body))):
            await payloads.store(js, f"{request.stream}.body", bytes(request.body))
            request = msgspec.structs.replace(request, body=msgspec.Raw(), body_object=f"{request.stream}.body")
        await nc.publish(subjects.log(live.stream), encode(accepted))
        try:
            live.queue_sequence = await self._enqueue(request, live.stream)
        except NatsError:
            if request.body_object:
                await payloads.discard(js, request.body_object)
            raise

    async def _enqueue(self, request: Request, stream: StreamId) -> int:
        """Queue the request once: a repeated publish after a lost acknowledgement is dropped by its message id."""
        subject, data = subjects.requests(stream.key), encode(request)
        headers = {"Nats-Msg-Id": stream.token}
        for attempt in range(_PUBLISH_TRIES):
            try:
                ack = await self.hub.js.publish(subject, data, timeout=_PUBLISH_TIMEOUT_S, headers=dict(headers))
                return ack.seq
            except (TimeoutError, NatsError) as error:
                if isinstance(error, APIError | NoStreamResponseError) or attempt + 1 == _PUBLISH_TRIES:
                    raise
        raise TailraceError(ErrorCode.BROKER_UNAVAILABLE)

    def reader(self, stream: StreamId, position: int, *, verbose: bool, live: bool) -> Pump:
        """A read of the stream after `position`; `live` for one that is about to be accepted here."""
        reader = Reader(position, self.settings.max_unsent_bytes, verbose=verbose, live=live)
        return Pump(self.hub.js, stream, reader, lambda: self.hub.nc.is_connected)

    def check_open(self) -> None:
        """Refuse what a gateway that is shutting down cannot finish.

        Raises:
            TailraceError: `shutting_down`.
        """
        if self.closing:
            raise TailraceError(ErrorCode.SHUTTING_DOWN)

    def close(self) -> None:
        """Refuse new requests and end open responses; their streams go on, to be resumed on another gateway."""
        self.closing = True
        for live in self.hub.streams():
            live.policy = "continue"
            for listener in live.listeners:
                listener.fail(TailraceError(ErrorCode.SHUTTING_DOWN))

    def end_streams_of(self, model: ModelSettings) -> None:
        """The model is gone, and its logs with it: nothing more will come of its streams."""
        detail = f"the model {model.name!r} was removed while this stream ran"
        error = TailraceError(ErrorCode.MODEL_REMOVED, detail)
        for live in self.hub.streams():
            if (live.model.namespace, live.model.name) == (model.namespace, model.name):
                live.abandon(error)

    async def find(self, stream: StreamId) -> tuple[ModelSettings, Logged | None]:
        """The stream's model and, if it has one, the end of its log.

        Raises:
            TailraceError: `stream_not_found`, or `replay_expired` when the log is gone or its window is over.
        """
        model = self._model_of(stream)
        cursor, first, end, more, after = LogCursor(), None, None, True, 0
        while more:
            page = await translated(read_page(self.hub.js, stream, after))
            for entry in page.entries:
                first = first or entry
                if any(isinstance(ready, Ended) for ready in cursor.feed_all(events_of([entry]))):
                    end = entry
            more, after = page.more, page.sequence
        self._check_window(stream, model, first, end, begun=cursor.position > 0)
        return model, end

    def _check_window(
        self, stream: StreamId, model: ModelSettings, first: Logged | None, end: Logged | None, *, begun: bool
    ) -> None:
        now = time.time()
        over = f"the stream ended more than {model.replay_window_s:g} s ago; its replay window is over"
        if end is not None and now - end.time > model.replay_window_s:
            raise TailraceError(ErrorCode.REPLAY_EXPIRED, over)
        if first is not None and not begun:
            raise TailraceError(ErrorCode.REPLAY_EXPIRED, "the beginning of this stream's log has been let go")
        if first is None:
            if now - stream.created > model.replay_window_s:
                raise TailraceError(ErrorCode.REPLAY_EXPIRED, over)
            raise TailraceError(ErrorCode.STREAM_NOT_FOUND, param="stream_id")

    def _model_of(self, stream: StreamId) -> ModelSettings:
        try:
            model = self.catalog.get(stream.model)
        except TailraceError as error:
            raise TailraceError(ErrorCode.STREAM_NOT_FOUND, param="stream_id") from error
        if model.namespace != stream.namespace:
            raise TailraceError(ErrorCode.STREAM_NOT_FOUND, param="stream_id")
        return model

    async def cancel(self, stream: StreamId) -> str:
        """Cancel the stream; what became of it: `cancelled`, `finished`, `failed` (before), or `cancelling`."""
        model, end = await self.find(stream)
        if end is not None and isinstance(end.event, Ended):
            return end.event.outcome
        watcher = _Silent()
        live = await translated(self.hub.attach(stream, model, watcher))
        try:
            await translated(close_stream(self.hub, live, TailraceError(ErrorCode.CANCELLED)))
        finally:
            await self.hub.detach(live, watcher)
        return live.ended.outcome if live.ended is not None else "cancelling"

    async def answer(self, ended: Ended) -> bytes:
        """The one frame of an answer without streaming.

        Raises:
            TailraceError: whatever the stream failed with.
        """
        if ended.error is not None:
            raise failure_of(ended)
        if ended.result:
            frames = msgspec.json.decode(await payloads.load(self.hub.js, ended.result), type=list[msgspec.Raw])
            return bytes(frames[-1])
        return bytes(ended.frames[-1])


class _Silent:
    """Keeps a subscription open for whoever waits for the end."""

    def on_event(self, event: Event) -> None:
        """Nothing to deliver."""

    def read_again(self) -> None:
        """Nothing was missed."""

    def fail(self, error: TailraceError) -> None:
        """Nobody is told."""


def failure_of(ended: Ended) -> TailraceError:
    """The failure that a log ended with, as it was when it happened."""
    body = ended.error
    assert body is not None  # noqa: S101 - asked only of failed streams
    try:
        code = ErrorCode(body.code)
    except ValueError:
        code = ErrorCode.INTERNAL
    return TailraceError(code, body.message, param=body.param, status=body.status)


async def translated(work: Awaitable[T]) -> T:
    """The broker's failures as rows of the error table."""
    try:
        return await work
    except NoStreamResponseError as error:
        raise TailraceError(ErrorCode.BROKER_UNAVAILABLE, "the model's queue does not exist yet: try again") from error
    except APIError as error:
        if error.err_code == _QUEUE_FULL:
            raise TailraceError(ErrorCode.QUEUE_FULL) from error
        detail = f"the message broker refused: {error.description}"
        raise TailraceError(ErrorCode.BROKER_UNAVAILABLE, detail) from error
    except (NatsError, TimeoutError) as error:
        raise TailraceError(ErrorCode.BROKER_UNAVAILABLE) from error
