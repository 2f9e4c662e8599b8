"""A stream as an HTTP response: server-sent events, or one answer."""

import asyncio
import contextlib
import time
from typing import Any

import anyio
from fastapi import Request
from fastapi.responses import Response
from nats.errors import Error as NatsError
from sse_starlette import EventSourceResponse
from starlette.types import Message, Receive, Scope, Send
from tailrace_broker.logs import Logged
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Ended
from tailrace_protocol.settings import ModelSettings

from tailrace_gateway.delivery.pump import UNREADABLE_FOR_S, Outcome, Pump
from tailrace_gateway.duties import Duties
from tailrace_gateway.live import Listener, LiveStream
from tailrace_gateway.service import Service, failure_of, translated

#: How long the response's status waits for a worker to accept or refuse the request.
_HOLD_S = 0.25
_LOOK_EVERY_S = 0.2
_LOOK_FOR_S = 10.0
_SERVERS_FAULT = 500
STREAM_HEADER = "Tailrace-Stream-Id"


class StreamResponse(EventSourceResponse):
    """The stream from the reader's position on, as it grows. Heartbeats are ours: the library's break SDKs.

    However the response ends, and also when its client left before it began, its reader is taken off the stream.
    """

    def __init__(self, service: Service, duties: Duties, pump: Pump, model: ModelSettings) -> None:
        self._service, self._duties, self._pump, self._model = service, duties, pump, model
        headers = {STREAM_HEADER: str(pump.stream), "Cache-Control": "no-cache, no-transform"}
        super().__init__(pump.chunks(), headers=headers, ping=0, sep="\n")
        # The library's `keep-alive` is HTTP/1.1's default, and would contradict a gateway that is leaving.
        del self.headers["connection"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        pump, hub = self._pump, self._service.hub
        if self._service.closing and not pump.reader.finished:
            pump.fail(TailraceError(ErrorCode.SHUTTING_DOWN))
        live = await translated(hub.attach(pump.stream, self._model, pump))
        self._duties.pumps.add(pump)
        if pump.reader.verbose and live.own and live.started is None:
            pump.say(self._duties.progress(pump, time.monotonic()))
        try:
            await self._send_until_the_client_leaves(receive, send)
            if pump.reader.finished:
                count(self._service, self._model, live.ended, pump.reader.failure)
        finally:
            self._duties.pumps.discard(pump)
            await leave(self._service, live, pump)

    async def _send_until_the_client_leaves(self, receive: Receive, send: Send) -> None:
        """As the library does, but for its tasks for pings and for the server's end: 10 KiB a stream."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._end_with_the_client, receive, group.cancel_scope)
            await self._stream_response(send)
            group.cancel_scope.cancel()

    async def _end_with_the_client(self, receive: Receive, response: anyio.CancelScope) -> None:
        await self._listen_for_disconnect(receive)
        response.cancel()

    async def _send_with_timeout(self, send: Send, message: Message) -> None:
        """Without the library's time limit, which costs more than the chunk: a slow client is the reader's concern."""
        await send(message)


def count(service: Service, model: ModelSettings, ended: Ended | None, failure: TailraceError | None) -> None:
    """Note how a response came to its end: with the stream's, or with a failure of its own."""
    service.metrics.ended.labels(model.name, _outcome(ended, failure)).inc()


def _outcome(ended: Ended | None, failure: TailraceError | None) -> str:
    """A request that is wrong is no failing stream, and one that this gateway cannot keep goes on at another."""
    if failure is not None:
        moved = failure.code is ErrorCode.SHUTTING_DOWN
        return "moved" if moved else "failed" if failure.status >= _SERVERS_FAULT else "refused"
    if ended is None:
        return "replayed"
    refused = ended.error is not None and ended.error.status < _SERVERS_FAULT and ended.outcome == "failed"
    return "refused" if refused else ended.outcome


async def leave(service: Service, live: LiveStream, listener: Listener) -> None:
    """Take the listener off the stream, whatever state the broker is in."""
    with contextlib.suppress(NatsError):
        await service.hub.detach(live, listener)


async def hold_for_refusal(service: Service, live: LiveStream, listener: Listener) -> None:
    """Wait a moment, so that a request that a worker refuses gets its proper status and not a broken stream.

    Raises:
        TailraceError: what the worker refused the request with; the listener has left then.
    """
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HOLD_S):
                await live.first_sign.wait()
        if live.ended is not None and live.started is None and live.ended.error is not None:
            raise failure_of(live.ended)
    except BaseException:
        await leave(service, live, listener)
        raise


async def answer_response(service: Service, request: Request, live: LiveStream, outcome: Outcome) -> Response:
    """The complete answer; a client that goes away before it is treated like one that leaves a stream."""
    try:
        ended = live.ended or await _counted_end_of(service, live, outcome, request)
        if ended is None:
            return Response(status_code=499)
        count(service, live.model, ended, None)
        headers = {STREAM_HEADER: str(live.stream)}
        return Response(await service.answer(ended), 200, headers, "application/json")
    finally:
        await leave(service, live, outcome)


async def _counted_end_of(service: Service, live: LiveStream, outcome: Outcome, request: Request) -> Ended | None:
    try:
        return await _end_of(service, live, outcome, request)
    except TailraceError as error:
        count(service, live.model, None, error)
        raise


async def _end_of(service: Service, live: LiveStream, outcome: Outcome, request: Request) -> Ended | None:
    if not live.own:
        outcome.read_again()
    leaving = asyncio.create_task(_disconnect(request))
    try:
        while not leaving.done() and not outcome.ended.done():
            await _look_in_the_log(service, live, outcome, leaving)
            doubting = asyncio.create_task(outcome.doubt.wait())
            either: set[asyncio.Future[Any]] = {outcome.ended, leaving, doubting}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            doubting.cancel()
        return outcome.ended.result() if outcome.ended.done() else None
    finally:
        leaving.cancel()


async def _look_in_the_log(service: Service, live: LiveStream, outcome: Outcome, leaving: asyncio.Task[None]) -> None:
    """Look once; again and again when the end was heard or the broker was away, until it is found."""
    until = time.monotonic() + UNREADABLE_FOR_S
    while outcome.doubt.is_set() and not outcome.ended.done() and not leaving.done():
        outcome.doubt.clear()
        try:
            _, end = await service.find(live.stream)
        except TailraceError as error:
            if not _may_come_back(service, error, until):
                raise
            outcome.doubt.set()
        else:
            _settle(outcome, end)
        if outcome.doubt.is_set():
            await asyncio.sleep(_LOOK_EVERY_S)


def _may_come_back(service: Service, error: TailraceError, until: float) -> bool:
    """Servers that are away come back; those that are there have until then to have the log again."""
    patient = time.monotonic() < until or not service.hub.nc.is_connected
    return error.code is ErrorCode.BROKER_UNAVAILABLE and patient


def _settle(outcome: Outcome, end: Logged | None) -> None:
    if outcome.ended.done():
        return
    if end is not None and isinstance(end.event, Ended):
        outcome.ended.set_result(end.event)
    elif outcome.end_heard is not None:
        # The log may lag behind what was heard for a moment, but not for long.
        outcome.doubt.set()
        if time.monotonic() - outcome.end_heard > _LOOK_FOR_S:
            outcome.fail(TailraceError(ErrorCode.LOG_GAP))


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
