"""One attempt at one stream: from a delivered request to events in the log.

It ends in one of few ways, each with its own treatment of log and queue; whoever stops it from outside says which.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import Enum

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from tailrace_broker import payloads
from tailrace_broker.logs import Logged, after_refusal, events_of, read_log, read_log_at_leader
from tailrace_protocol import subjects
from tailrace_protocol.control import Superseded
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Outcome
from tailrace_protocol.log import LogCursor
from tailrace_protocol.opening import opening
from tailrace_protocol.requests import Request
from tailrace_protocol.settings import WorkerSettings
from tailrace_protocol.subjects import StreamId
from tailrace_protocol.wire import encode

from tailrace_worker import continuation
from tailrace_worker.engines.engine import Engine, Job, Step
from tailrace_worker.frames import length_frame
from tailrace_worker.intake import Delivery, Intake
from tailrace_worker.metrics import Metrics
from tailrace_worker.remaining import Remaining
from tailrace_worker.writer import FencedError, LogWriter

log = logging.getLogger("tailrace.worker.generation")

#: A log that still takes in a dead worker's last events refuses the fence: the pauses after tries add up to 0.6 s.
_FENCE_TRIES = 7
#: A first delivery that waited longer than this may be a second one of which a restarted broker knows nothing.
_FRESH_S = 2.0
#: Between tries while a log has no leader; electing one takes a few seconds. It doubles up to the longer one.
_OUTAGE_PAUSES_S = (0.1, 1.0)
#: As long a hand-over waits for a log without a leader: what it lacks would be lost to the next worker.
_SETTLE_S = 15.0


class _Asked(msgspec.Struct):
    model: str


class StopReason(Enum):
    """Why a generation is stopped from outside."""

    CANCELLED = "cancelled"
    HAND_OVER = "handed over"
    SUPERSEDED = "superseded"
    STALLED = "stalled"
    TOTAL_TIMEOUT = "total timeout"


@dataclass(frozen=True, slots=True)
class Tools:
    """What every generation of a worker shares."""

    worker: str
    nc: Client
    js: JetStreamContext
    engine: Engine
    intake: Intake
    settings: WorkerSettings
    metrics: Metrics


class Generation:
    """Runs one delivery to its end. `run` is the whole life; `stop` ends it early."""

    def __init__(self, tools: Tools, request: Request, delivery: Delivery) -> None:
        self.stream = StreamId.parse(request.stream)
        self.delivery = delivery
        self.attempt = delivery.attempt
        self._reconnects = tools.nc.stats["reconnects"]
        self._cancel_code = str(ErrorCode.CANCELLED)
        self.writer: LogWriter | None = None
        self.produced = False
        self._is_again = False
        self.in_doubt = False
        self._started = False
        self.last_step = time.monotonic()
        self._tools = tools
        self._request = request
        self._reason: StopReason | None = None
        self._task: asyncio.Task[None] | None = None
        self._finished: set[int] = set()
        self._body = b""
        self._remaining = Remaining()

    async def run(self) -> None:
        """Serve the delivery; never raises but for cancellation of the worker itself."""
        self._task = asyncio.current_task()
        try:
            await self._serve_through_outages()
        except asyncio.CancelledError:
            if self._reason is None:
                raise
            await self._stopped(self._reason)
        except TailraceError as error:
            await self._refused(error)
        except Exception as error:
            # Nobody foresaw this; were it left at that, the request would be held and kept alive for ever.
            log.exception("generation.bug stream=%s", self.stream)
            detail = f"the engine failed in an unforeseen way: {type(error).__name__}"
            await self._refused(TailraceError(ErrorCode.ENGINE_FAILED, detail))

    def stop(self, reason: StopReason) -> None:
        """End early for `reason`; a second call changes nothing."""
        if self._reason is None and self._task is not None:
            self._reason = reason
            self._task.cancel()

    def cancel(self, code: str) -> None:
        """End the stream: as cancelled, or as failed with another `code` of the error table."""
        self._cancel_code = code
        self.stop(StopReason.CANCELLED)

    def ends_soon(self) -> bool:
        """Whether it reaches the most tokens that its request allows within two seconds, at its present speed."""
        return self._remaining.ends_soon(time.monotonic())

    async def check_ownership(self) -> None:
        """After the broker was away: a newer attempt may have begun without our hearing of it."""
        cursor = LogCursor()
        cursor.feed_all(events_of(await read_log(self._tools.js, self.stream)))
        self.in_doubt = False
        if cursor.attempt > self.attempt:
            self.stop(StopReason.SUPERSEDED)

    async def _fold(self) -> tuple[LogCursor, int]:
        """The whole log as its leader has it, and its last broker sequence."""
        cursor, sequence = LogCursor(), 0
        async for entry in read_log_at_leader(self._tools.js, self.stream):
            cursor.feed_all(events_of([entry]))
            sequence = entry.sequence
        return cursor, sequence

    async def _acknowledge(self) -> None:
        """Remove the request from the queue, unless a newer attempt, which we could not hear of, needs it there."""
        if self._reconnects != self._tools.nc.stats["reconnects"]:
            cursor, _ = await self._fold()
            if cursor.ended is None:
                await self._tools.intake.release(self.delivery)
                return
        await self._tools.intake.acknowledge(self.delivery)

    async def _serve_through_outages(self) -> None:
        """Keep the request while the broker cannot take the answer: handed back, it would wear out its deliveries."""
        pause, longest = _OUTAGE_PAUSES_S
        while True:
            try:
                return await self._serve()
            except (NatsError, TimeoutError) as error:
                log.warning("generation.broker_lost stream=%s error=%s", self.stream, error)
            await asyncio.sleep(pause)
            pause, self._is_again = min(2 * pause, longest), True
            self.produced, self.last_step = False, time.monotonic()

    async def _serve(self) -> None:
        for attempt in range(_FENCE_TRIES):
            decision, fence = await self._decide(at_leader=attempt > 0 or self._is_again)
            if isinstance(decision, continuation.Done):
                await self._acknowledge()
                return
            self.writer = self._new_writer(decision.position, decision.previous, fence)
            if isinstance(decision, continuation.GiveUp):
                raise decision.error
            try:
                await self._generate(decision)
                return
            except FencedError:
                log.info("generation.fenced stream=%s attempt=%d", self.stream, self.attempt)
                await after_refusal(attempt)
        await self._hand_back()

    def _new_writer(self, position: int, previous: int, fence: int | None) -> LogWriter:
        tools = self._tools
        return LogWriter(tools.nc, tools.js, self.stream, self.attempt, position, previous, fence)

    async def _decide(self, *, at_leader: bool) -> tuple[continuation.Decision, int | None]:
        """Pages are fast and may lag behind the leader; the fence finds that out, and then the leader is asked."""
        if not at_leader and self.delivery.attempt == 1 and self.delivery.waited_s < _FRESH_S:
            return continuation.Continue(self._request.first_position - 1, 0, (), "first attempt"), None
        logged = await self._read_log(at_leader=at_leader) or await self._begin_anew()
        decision = continuation.decide(events_of(logged), self._tools.settings.max_attempts, self.delivery.attempt)
        self.attempt = max(self.attempt, decision.previous + 1)
        log.info("generation.continues stream=%s reason=%s", self.stream, decision.reason)
        await self._tell_older_attempts()
        return decision, logged[-1].sequence if logged else 0

    async def _read_log(self, *, at_leader: bool) -> list[Logged]:
        if at_leader:
            return [entry async for entry in read_log_at_leader(self._tools.js, self.stream)]
        return await read_log(self._tools.js, self.stream)

    async def _begin_anew(self) -> list[Logged]:
        """A log without anything that cannot have expired has lost its beginning in an outage."""
        if self.age_s() > self._tools.settings.timeouts.total_s:
            return []
        self._body = self._body or await self._load_body()
        log.info("generation.begins_anew stream=%s", self.stream)
        await self._tools.js.publish(subjects.log(self.stream), self._opening())
        return await self._read_log(at_leader=True)

    def _opening(self) -> bytes:
        return encode(opening(self._request, msgspec.json.decode(self._body, type=_Asked).model))

    def age_s(self) -> float:
        """How long ago the request was queued."""
        return time.monotonic() - self.delivery.received + self.delivery.waited_s

    async def _tell_older_attempts(self) -> None:
        message = encode(Superseded(attempt=self.attempt))
        await self._tools.nc.publish(subjects.control(self.stream), message)

    async def _generate(self, decision: continuation.Continue) -> None:
        assert self.writer is not None  # noqa: S101 - set by _serve
        if decision.replay:
            self._tools.metrics.continuations.inc()
        self._finished = {g.choice for groups in decision.replay for g in groups if g.finish}
        self._body = self._body or await self._load_body()
        job = Job(self._request, self._body, decision.replay, self._tools.settings.chunking)
        steps = await self._tools.engine.generate(job)
        async with contextlib.aclosing(steps):
            await self.writer.start(self._tools.worker, self.delivery.ack, self._opening)
            self._started, self.last_step = True, time.monotonic()
            logged = sum(len(g.tokens) for groups in decision.replay for g in groups)
            self._remaining = Remaining.of(self._body, logged)
            await self._copy(steps, self.writer)

    async def _copy(self, steps: AsyncGenerator[Step, None], writer: LogWriter) -> None:
        async for step in steps:
            self.last_step, self.produced = time.monotonic(), True
            self._finished.update(g.choice for g in step.groups if g.finish)
            tokens = sum(len(g.tokens) for g in step.groups)
            self._remaining.made += tokens
            self._tools.metrics.tokens.inc(tokens)
            if step.usage is None:
                await writer.write(step.groups, step.frames)
                continue
            await writer.end("finished", step.groups, step.frames, step.usage)
            self._tools.metrics.ended("finished")
            await self._acknowledge()
            return
        raise TailraceError(ErrorCode.ENGINE_FAILED, "the engine ended without finishing the answer")

    async def _load_body(self) -> bytes:
        """The client's JSON.

        Raises:
            TailraceError: it is gone.
            nats.errors.Error: the broker does not answer now: no reason to end a stream that may have begun.
        """
        if not self._request.body_object:
            return bytes(self._request.body)
        try:
            return await payloads.load(self._tools.js, self._request.body_object)
        except TailraceError as error:
            if error.code is ErrorCode.BROKER_UNAVAILABLE:
                raise NatsError(error.message) from error
            raise

    async def _stopped(self, reason: StopReason) -> None:
        log.info("generation.stopped stream=%s reason=%s", self.stream, reason.value)
        if reason is StopReason.SUPERSEDED:
            self._tools.metrics.ended("superseded")
            await self._tools.intake.release(self.delivery)
        elif reason is StopReason.CANCELLED:
            await self._end_cancelled()
        elif reason is StopReason.TOTAL_TIMEOUT:
            await self._end_at_limit()
        else:
            await self._hand_over()

    async def _refused(self, error: TailraceError) -> None:
        """An engine that failed midway may be this worker's trouble alone: another attempt shall try."""
        healthy = self._tools.engine.healthy
        if error.code is ErrorCode.ENGINE_FAILED and (self._started or not healthy):
            log.warning("generation.engine_failed stream=%s detail=%s", self.stream, error.message)
            if not healthy:
                await self._tools.intake.stop_pulling()
            await self._hand_over()
        else:
            await self._fail(error)

    async def _hand_over(self) -> None:
        if self.writer is not None:
            await self.writer.settle(_SETTLE_S)
        await self._hand_back()

    async def _hand_back(self) -> None:
        self._tools.metrics.ended("handed_over")
        await self._tools.intake.hand_back(self.delivery)

    async def _end_cancelled(self) -> None:
        error = _error_of(self._cancel_code)
        await self._end("cancelled" if error.code is ErrorCode.CANCELLED else "failed", error=error)

    async def _end_at_limit(self) -> None:
        """The total time is over: a stream ends gracefully with what there is; a single answer cannot be cut."""
        if not self._request.streaming or not self.produced:
            await self._fail(TailraceError(ErrorCode.TOTAL_TIMEOUT))
            return
        # A stream's first event holds one frame for each choice.
        choices = self._request.first_position - 1
        open_choices = [index for index in range(choices) if index not in self._finished]
        frame = length_frame(self._request, self._tools.settings.model, open_choices)
        await self._end("finished", frames=(frame,))

    async def _fail(self, error: TailraceError) -> None:
        log.info("generation.failed stream=%s code=%s", self.stream, error.code)
        await self._end("failed", error=error)

    async def _end(self, outcome: Outcome, frames: tuple[bytes, ...] = (), error: TailraceError | None = None) -> None:
        """Write the last event; if somebody wrote meanwhile, the next delivery decides anew."""
        writer = self.writer or await self._writer_at_the_end()
        try:
            await writer.end(outcome, frames=frames, error=error)
        except FencedError:
            await self._hand_back()
        else:
            self._tools.metrics.ended(outcome)
            await self._acknowledge()

    async def _writer_at_the_end(self) -> LogWriter:
        cursor, fence = await self._fold()
        return self._new_writer(cursor.position, cursor.attempt, fence)


def _error_of(code: str) -> TailraceError:
    try:
        return TailraceError(ErrorCode(code))
    except ValueError:
        return TailraceError(ErrorCode.CANCELLED)
