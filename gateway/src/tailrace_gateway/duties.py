"""What a gateway does for its streams as time passes: heartbeats, progress, grace periods, time limits, leases."""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine

from nats.errors import Error as NatsError
from tailrace_protocol import subjects
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.reports import GatewayReport
from tailrace_protocol.settings import GatewaySettings
from tailrace_protocol.wire import encode

from tailrace_gateway.closing import close_stream, learn_end
from tailrace_gateway.cpu import CpuMeter
from tailrace_gateway.delivery import sse
from tailrace_gateway.delivery.pump import Pump
from tailrace_gateway.demand import Demand
from tailrace_gateway.hub import Hub
from tailrace_gateway.live import LiveStream
from tailrace_gateway.outlook import Outlook

log = logging.getLogger("tailrace.gateway.duties")

_TICK_S = 0.25
_TICKS_PER_REPORT = 2
_TICKS_PER_LEASE = 4
#: How long after a stream's total time its worker may still write the end itself.
_TOTAL_MARGIN_S = 5.0
#: A free worker takes a request within milliseconds.
_TAKEN_WITHIN_S = 0.2
#: What changes is told at once, but to one client no more often than this.
_PROGRESS_EVERY_S = 0.3
#: The operator may have just learned of the demand: it is not asked for hope before.
_HOPE_FOR_S = 5.0


class Duties:
    """Ticks four times a second, over all streams, so that no stream needs a timer of its own."""

    def __init__(
        self, hub: Hub, outlook: Outlook, demand: Demand, settings: GatewaySettings, idle: Callable[[], int]
    ) -> None:
        self._namespace, self._name = settings.namespace, settings.gateway
        self._cpu = CpuMeter()
        self.pumps: set[Pump] = set()
        self._hub = hub
        self._outlook = outlook
        self._demand = demand
        self._heartbeat_s = settings.heartbeat_s
        self._idle = idle
        self._closing: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Tick until cancelled."""
        tick = 0
        while True:
            tick += 1
            try:
                await self._tick(tick, time.monotonic())
            except (NatsError, TimeoutError) as error:
                log.warning("duties.broker_lost error=%s", type(error).__name__)
            except Exception:  # A bug in one round must not end all rounds: every stream's time limits hang on them.
                log.exception("duties.broken")
            await asyncio.sleep(_TICK_S)

    async def stop(self) -> None:
        """Wait for what is being closed."""
        if self._closing:
            await asyncio.wait(set(self._closing.values()), timeout=3)

    async def _tick(self, tick: int, now: float) -> None:
        self._beat(now)
        for live in list(self._hub.own.values()):
            self._judge(live, now)
        if not self._hub.nc.is_connected:
            return
        for model in {live.stream.key for live in self._hub.own.values() if live.waited_s(now) > _TAKEN_WITHIN_S}:
            await self._demand.call(model, now)
        if tick % _TICKS_PER_LEASE == 0:
            await self._hub.renew_leases()
        if tick % _TICKS_PER_REPORT == 0:
            await self._hub.nc.publish(subjects.gateway_report(self._hub.origin), encode(self._report()))

    def _beat(self, now: float) -> None:
        for pump in self.pumps:
            silent_s = now - pump.last_sent
            if silent_s >= self._heartbeat_s or (silent_s >= _PROGRESS_EVERY_S and self._has_news(pump, now)):
                pump.last_sent = now
                pump.say(self.progress(pump, now) if self._waits(pump) else sse.HEARTBEAT)

    def _waits(self, pump: Pump) -> bool:
        live = self._hub.own.get(str(pump.stream))
        return live is not None and live.started is None

    def _has_news(self, pump: Pump, now: float) -> bool:
        """Whether it waits for something else than it was told last. The numbers of a queue are no news."""
        if not self._waits(pump):
            return False
        state = self._outlook.describe(pump.stream.key, now)
        return pump.told != (state["state"] if state["state"] == "queued" else state["detail"])

    def progress(self, pump: Pump, now: float) -> bytes:
        """Why the stream waits, in the form that its client can take."""
        state = self._outlook.describe(pump.stream.key, now)
        pump.told = str(state["state"] if state["state"] == "queued" else state["detail"])
        return sse.named("progress", state) if pump.reader.verbose else sse.comment(str(state["detail"]))

    def _judge(self, live: LiveStream, now: float) -> None:
        if live.ended is not None:
            if not live.listeners:
                self._hub.forget(live.stream)
        elif live.end_claimed and self._hub.nc.is_connected:
            self._begin(live, learn_end(self._hub, live))
        elif live.cancel_requested or live.to_cancel(now):
            self._close(live, TailraceError(ErrorCode.CANCELLED))
        elif live.queue_timed_out(now):
            self._close(live, TailraceError(ErrorCode.QUEUE_TIMEOUT))
        elif live.waited_s(now) > _HOPE_FOR_S and (why := self._outlook.despair(live.stream.key, now)):
            self._close(live, TailraceError(ErrorCode.NO_CAPACITY, f"no worker can be started for this model: {why}"))
        elif now - live.accepted > live.model.total_timeout_s + _TOTAL_MARGIN_S:
            self._close(live, TailraceError(ErrorCode.TOTAL_TIMEOUT))

    def _close(self, live: LiveStream, error: TailraceError) -> None:
        self._begin(live, self._close_if_true(live, error))

    async def _close_if_true(self, live: LiveStream, error: TailraceError) -> None:
        """A worker's beginning may have been missed while the broker was away: the log knows."""
        if error.code in (ErrorCode.QUEUE_TIMEOUT, ErrorCode.NO_CAPACITY):
            await learn_end(self._hub, live)
            if live.started is not None or live.ended is not None:
                return
        await close_stream(self._hub, live, error)

    def _begin(self, live: LiveStream, work: Coroutine[None, None, object]) -> None:
        name = str(live.stream)
        if name in self._closing:
            work.close()
            return
        task = asyncio.create_task(self._quietly(live, work))
        self._closing[name] = task
        task.add_done_callback(lambda _: self._closing.pop(name, None))

    async def _quietly(self, live: LiveStream, work: Coroutine[None, None, object]) -> None:
        try:
            await work
        except (NatsError, TimeoutError) as failure:
            log.warning("stream.close_retried stream=%s error=%s", live.stream, type(failure).__name__)

    def _report(self) -> GatewayReport:
        unfinished = [live for live in self._hub.own.values() if live.ended is None]
        return GatewayReport(
            gateway=self._hub.origin,
            connections=self._hub.open_readers(),
            streams=Counter(str(live.stream.key) for live in unfinished),
            queued=Counter(str(live.stream.key) for live in unfinished if live.started is None),
            log_only=sum(live.log_only_readers() for live in self._hub.streams()),
            idle=self._idle(),
            cpu=self._cpu.cores(),
            namespace=self._namespace,
            name=self._name,
            pod=os.environ.get("POD_NAME", ""),
        )
