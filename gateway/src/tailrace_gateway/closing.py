"""Ending streams from the gateway's side: cancelled, never served, or silent beyond their time."""

import asyncio
import logging

from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError
from tailrace_broker.logs import FENCE, after_refusal, events_of, read_log_at_leader
from tailrace_protocol import subjects
from tailrace_protocol.control import Cancel
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Ended, Outcome
from tailrace_protocol.log import LogCursor
from tailrace_protocol.wire import encode

from tailrace_gateway.hub import Hub
from tailrace_gateway.live import LiveStream

log = logging.getLogger("tailrace.gateway.closing")

_WORKER_ANSWERS_WITHIN_S = 1.0
_FENCE_TRIES = 5


async def close_stream(hub: Hub, live: LiveStream, error: TailraceError) -> bool:
    """Stop generation and see to it that the log has an end; whether it has.

    The request is taken out of the queue first, so that no worker begins or repeats it; then whoever generates is
    told; and if nobody writes the end, the gateway does.
    """
    log.info("stream.closing stream=%s code=%s", live.stream, error.code)
    await _remove_request(hub, live)
    await hub.nc.publish(subjects.control(live.stream), encode(Cancel(reason=error.message, code=str(error.code))))
    if live.started is not None or not live.own:
        await _wait_for_end(live)
    if live.ended is None:
        await _write_end(hub, live, error)
        await _wait_for_end(live)
    return live.ended is not None


async def _wait_for_end(live: LiveStream) -> None:
    try:
        async with asyncio.timeout(_WORKER_ANSWERS_WITHIN_S):
            await live.end_seen.wait()
    except TimeoutError:
        log.info("stream.silent stream=%s attempt=%d", live.stream, live.attempt)


async def _remove_request(hub: Hub, live: LiveStream) -> None:
    if not live.queue_sequence:
        return
    try:
        await hub.js.delete_msg(subjects.queue_stream(live.stream.key), live.queue_sequence)
    except (APIError, NotFoundError, NatsError, TimeoutError) as error:
        log.debug("request.gone stream=%s error=%s", live.stream, type(error).__name__)


async def learn_end(hub: Hub, live: LiveStream) -> None:
    """Look up whether the log has its end; if so, everyone who reads it is told to look as well."""
    live.end_claimed = False
    cursor, _ = await _fold(hub, live)
    if cursor.writer is not None and cursor.attempt > live.attempt:
        live.started = cursor.writer


async def _fold(hub: Hub, live: LiveStream) -> tuple[LogCursor, int]:
    """The whole log, and its last broker sequence."""
    cursor, sequence = LogCursor(), 0
    async for entry in read_log_at_leader(hub.js, live.stream):
        cursor.feed_all(events_of([entry]))
        sequence = entry.sequence
    if cursor.ended is not None and live.ended is None:
        live.settle(cursor.ended)
        for listener in live.listeners:
            listener.read_again()
    return cursor, sequence


async def _write_end(hub: Hub, live: LiveStream, error: TailraceError) -> None:
    outcome: Outcome = "cancelled" if error.code is ErrorCode.CANCELLED else "failed"
    for attempt in range(_FENCE_TRIES):
        cursor, fence = await _fold(hub, live)
        if cursor.ended is not None:
            return
        last = cursor.position + 1
        ended = Ended(cursor.attempt, last, last, outcome, error=error.body(cursor.position))
        headers = {FENCE: str(fence)}
        try:
            await hub.js.publish(subjects.log(live.stream), encode(ended), headers=headers)
            return
        except APIError as refused:
            log.info("stream.close_fenced stream=%s error=%s", live.stream, refused.err_code)
            if live.ended == ended:
                live.unsettle()
            await after_refusal(attempt)
