"""The worker: connects the engine to the queue and the log, and sees to it that nothing it holds is forgotten."""

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable, Coroutine

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from tailrace_broker.connection import close, connect
from tailrace_broker.inbound import read
from tailrace_broker.worker_reports import WorkerReports
from tailrace_protocol import subjects
from tailrace_protocol.control import Cancel, Retire, Superseded, decode_control
from tailrace_protocol.reports import WorkerReport
from tailrace_protocol.requests import decode_request
from tailrace_protocol.settings import WorkerSettings
from tailrace_protocol.subjects import ModelKey
from tailrace_protocol.termination import TerminationCode
from tailrace_protocol.wire import MalformedMessageError, encode

from tailrace_worker import drain, monitor
from tailrace_worker.engines.engine import Engine
from tailrace_worker.generation import Generation, StopReason, Tools
from tailrace_worker.giving_up import CannotRunError, engine_died, stopped_early
from tailrace_worker.intake import Delivery, Intake
from tailrace_worker.load import LoadMeter
from tailrace_worker.metrics import Metrics
from tailrace_worker.peers import free_slots
from tailrace_worker.retirement import Retirement
from tailrace_worker.status import Status

log = logging.getLogger("tailrace.worker")

_REPORT_EVERY_S = 0.5
_CHECKPOINT_EVERY_S = 1.0
_KEEP_ALIVES_PER_ACK_WAIT = 4
_DRAIN_ROUND_S = 0.6
_PULL_LIFE_PER_ACK_WAIT = 0.7


class Worker:
    """One engine, serving one model's queue until `stop` is set."""

    def __init__(self, settings: WorkerSettings, make_engine: Callable[[], Engine]) -> None:
        self.name = subjects.random_token(8)
        self._settings = settings
        self._make_engine = make_engine
        self._engine: Engine
        self._model = ModelKey(settings.namespace, settings.model)
        self._status = Status(settings.capacity)
        self._metrics = Metrics(settings.model)
        self._load_meter = LoadMeter(self._metrics.tokens_so_far)
        self._retirement = Retirement()
        self._leaving = False
        self._reports = WorkerReports()
        self._running: dict[str, Generation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._nc: Client
        self._js: JetStreamContext
        self._intake: Intake

    async def serve(self, stop: asyncio.Event) -> None:
        """Load the engine, serve until `stop` is set or the engine dies, then drain.

        Raises:
            TailraceError: the broker does not answer.
            CannotRunError: the engine cannot be started, or it died; or `stop` was set before it had loaded.
        """
        settings, began = self._settings, time.monotonic()
        async with monitor.served(settings.http_host, settings.http_port, self._status, self._metrics):
            if await self._done_before(stop, self._connect()):
                await self._serve_connected(stop)
        if self._status.state in ("starting", "loading"):
            raise stopped_early(time.monotonic() - began, self._status.progress)

    async def _connect(self) -> None:
        self._say("waiting for the broker")
        name = subjects.worker_client_name(self.name)
        settings = self._settings
        self._nc = await connect(settings.nats, name, on_reconnect=self._on_reconnect, within_s=settings.broker_wait_s)
        self._js = self._nc.jetstream()
        # The pulls of a worker that hangs must have lapsed before its requests are delivered again: to others.
        pull_expires_s = settings.ack_wait_s * _PULL_LIFE_PER_ACK_WAIT
        self._intake = Intake(self._nc, self._model, settings.capacity, self._accept, pull_expires_s)

    async def _serve_connected(self, stop: asyncio.Event) -> None:
        reporting = asyncio.create_task(self._every(_REPORT_EVERY_S, self._report))
        try:
            if await self._load(stop):
                await self._serve_until(stop)
            if not stop.is_set():
                raise self._loss()
        finally:
            reporting.cancel()
            if hasattr(self, "_engine"):
                await self._engine.stop()
            await close(self._nc)

    def _loss(self) -> CannotRunError:
        if self._nc.is_closed:
            sentence = "the broker ended the connection for good: its log says why; a new process will try again"
            return CannotRunError(TerminationCode.BROKER_UNAVAILABLE, sentence)
        return engine_died(self._engine.failure)

    async def _load(self, stop: asyncio.Event) -> bool:
        """Whether the engine has loaded before `stop` was set."""
        self._status.state = "loading"
        return await self._done_before(stop, self._start_engine())

    async def _start_engine(self) -> None:
        self._say("importing the engine")
        # Importing vLLM takes tens of seconds: whoever waits shall see that somebody is there.
        self._engine = await asyncio.to_thread(self._make_engine)
        await self._engine.start(self._say)

    async def _done_before(self, stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
        """Whether `work` was done before `stop` was set, which cancels it; raises what it raises."""
        working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
            return False
        await working
        return not stop.is_set()

    async def _serve_until(self, stop: asyncio.Event) -> None:
        await self._subscribe()
        self._status.state, self._status.progress = "ready", ""
        await self._intake.open()
        capacity, pid = self._settings.capacity, os.getpid()
        log.info("worker.ready worker=%s model=%s capacity=%d pid=%d", self.name, self._model, capacity, pid)
        keep_alive = self._settings.ack_wait_s / _KEEP_ALIVES_PER_ACK_WAIT
        upkeep = [
            asyncio.create_task(self._every(keep_alive, self._keep_alive)),
            asyncio.create_task(self._every(keep_alive, self._clear_doubts)),
            asyncio.create_task(self._every(_CHECKPOINT_EVERY_S, self._checkpoint)),
            asyncio.create_task(self._every(_DRAIN_ROUND_S, self._retire)),
        ]
        try:
            await self._wait(stop)
            if not self._nc.is_closed:
                await self._drain()
        finally:
            for task in upkeep:
                task.cancel()

    async def _wait(self, stop: asyncio.Event) -> None:
        while not stop.is_set() and self._engine.healthy and not self._nc.is_closed:
            try:
                async with asyncio.timeout(_REPORT_EVERY_S):
                    await stop.wait()
            except TimeoutError:
                continue
        if not stop.is_set():
            self._status.defect = self._loss().message
            log.error("worker.defect worker=%s reason=%s", self.name, self._status.defect)

    async def _subscribe(self) -> None:
        await self._nc.subscribe(subjects.controls_of_model(self._model), cb=self._on_control)
        await self._nc.subscribe(subjects.worker_report(self._model, "*"), cb=self._reports.on_message)
        leaders = f"$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.{subjects.log_stream(self._model)}"
        await self._nc.subscribe(leaders, cb=self._on_leader_elected)

    def _say(self, progress: str) -> None:
        self._status.progress = progress
        log.info("engine.progress worker=%s progress=%s", self.name, progress)

    def _accept(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._run(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, delivery: Delivery) -> None:
        try:
            request = decode_request(delivery.data)
        except MalformedMessageError as error:
            log.error("request.malformed error=%s", error)
            await self._nc.publish(delivery.ack, b"+TERM")
            await self._intake.release(delivery)
            return
        if self._status.state != "ready" or not self._engine.healthy:
            await self._intake.stop_pulling()
            await self._intake.hand_back(delivery)
            return
        tools = Tools(self.name, self._nc, self._js, self._engine, self._intake, self._settings, self._metrics)
        generation = Generation(tools, request, delivery)
        if (older := self._running.get(request.stream)) is not None:
            older.stop(StopReason.SUPERSEDED)
        self._running[request.stream] = generation
        self._status.active = len(self._running)
        try:
            await generation.run()
        finally:
            if self._running.get(request.stream) is generation:
                del self._running[request.stream]
            self._status.active = len(self._running)
            await self._intake.release(delivery)

    async def _on_control(self, message: Msg) -> None:
        if message.subject == subjects.worker_control(self._model, self.name):
            if isinstance(asked := read(decode_control, message), Retire):
                self._retirement.ask(asked.lease_s, time.monotonic())
                await self._retire()
            return
        generation = self._running.get(message.subject.removeprefix("tr.ctl."))
        if generation is None:
            return
        control = read(decode_control, message)
        if isinstance(control, Cancel):
            generation.cancel(control.code)
        elif isinstance(control, Superseded) and control.attempt > generation.attempt:
            generation.stop(StopReason.SUPERSEDED)

    async def _on_reconnect(self) -> None:
        log.info("broker.reconnected worker=%s", self.name)
        if self._status.state == "ready":
            await self._intake.forget_pulls()
        await self._republish()
        for generation in self._running.values():
            generation.in_doubt = True

    async def _on_leader_elected(self, _: Msg) -> None:
        await self._republish()

    async def _republish(self) -> None:
        for generation in list(self._running.values()):
            if generation.writer is not None:
                await generation.writer.republish()

    async def _keep_alive(self) -> None:
        await self._intake.keep_alive()
        await self._intake.demand()
        now, limits = time.monotonic(), self._settings.timeouts
        for generation in list(self._running.values()):
            allowed = limits.between_tokens_s if generation.produced else limits.first_token_s
            if now - generation.last_step > allowed:
                generation.stop(StopReason.STALLED)
            elif generation.age_s() > limits.total_s:
                generation.stop(StopReason.TOTAL_TIMEOUT)

    async def _clear_doubts(self) -> None:
        """One log after the other, beside all else: whole logs are read, and the broker has just come back."""
        for generation in [running for running in self._running.values() if running.in_doubt]:
            await generation.check_ownership()

    async def _checkpoint(self) -> None:
        writers = [g.writer for g in self._running.values() if g.writer is not None]
        if self._nc.is_connected:
            await asyncio.gather(*(writer.checkpoint() for writer in writers))

    async def _report(self) -> None:
        load = self._load_meter.look(self._status.active)
        report = WorkerReport(
            worker=self.name,
            namespace=self._model.namespace,
            model=self._model.name,
            state=self._status.state,
            capacity=self._status.capacity,
            active=self._carried(),
            progress=self._status.progress,
            pod=os.environ.get("POD_NAME", ""),
            oldest_s=round(max((g.age_s() for g in self._running.values()), default=0.0), 1),
            tokens_per_s=load.tokens_per_s,
            inter_token_s=load.inter_token_s,
            kv_use=load.kv_use,
            waiting=load.waiting,
        )
        if self._nc.is_connected:
            await self._nc.publish(subjects.worker_report(self._model, self.name), encode(report))

    async def _every(self, seconds: float, action: Callable[[], Coroutine[None, None, None]]) -> None:
        while True:
            try:
                await action()
            except (NatsError, TimeoutError) as error:
                log.warning("upkeep.failed error=%s", type(error).__name__)
            except Exception:  # A bug in one round must not end all rounds: leases and keep-alives hang on them.
                log.exception("upkeep.broken action=%s", action.__name__)
            await asyncio.sleep(seconds)

    def _carried(self) -> int:
        """Streams, and requests that are just being taken: a worker that reports none may be taken away."""
        return max(self._status.active, self._intake.held) if hasattr(self, "_intake") else 0

    async def _retire(self) -> None:
        """Be empty while that is asked, and come back when it is not."""
        if self._leaving or not self._nc.is_connected:
            return
        if self._retirement.holds(time.monotonic()):
            await self._be_empty()
        elif self._status.retiring:
            log.info("worker.returns worker=%s", self.name)
            self._status.retiring, self._status.state = False, "ready"
            await self._intake.resume()

    async def _be_empty(self) -> None:
        if not self._status.retiring:
            log.info("worker.retires worker=%s streams=%d", self.name, len(self._running))
            self._status.retiring, self._status.state = True, "draining"
            await self._intake.stop_pulling()
        # One that has not begun to answer would only begin again elsewhere, and one about to end is gone before.
        worth_moving = [g for g in self._running.values() if g.produced and not g.ends_soon()]
        peer_slots = free_slots(self.name, self._reports.live(time.monotonic()))
        decision = drain.plan(len(worth_moving), peer_slots, math.inf)
        for generation in drain.youngest(worth_moving, decision.hand_over):
            generation.stop(StopReason.HAND_OVER)

    async def _drain(self) -> None:
        self._leaving = True
        self._status.retiring, self._status.state = False, "draining"
        await self._intake.stop_pulling()
        deadline = time.monotonic() + self._settings.drain_s
        while self._running:
            now = time.monotonic()
            peer_slots = free_slots(self.name, self._reports.live(now))
            decision = drain.plan(len(self._running), peer_slots, deadline - now)
            log.info("worker.draining worker=%s reason=%s", self.name, decision.reason)
            for generation in drain.youngest(list(self._running.values()), decision.hand_over):
                generation.stop(StopReason.HAND_OVER)
            await asyncio.sleep(0 if deadline <= now else min(_DRAIN_ROUND_S, deadline - now))
            if deadline <= now:
                break
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=5)
