"""The hub: one subscription for all streams that this gateway accepted, one more for each that it reads for another.

It routes live events to whoever reads them, and keeps its promises about streams that nobody reads: grace, then
cancel. It asks the broker; it never guesses.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from tailrace_broker.inbound import read
from tailrace_broker.logs import FENCE
from tailrace_protocol import subjects
from tailrace_protocol.control import Attached, Cancel, Detached, decode_control
from tailrace_protocol.errors import ErrorCode
from tailrace_protocol.events import Started, decode_event
from tailrace_protocol.settings import ModelSettings, OnDisconnect
from tailrace_protocol.subjects import StreamId
from tailrace_protocol.wire import encode

from tailrace_gateway.live import Listener, LiveStream

_LEASE_S = 3.0


@dataclass(slots=True)
class _Foreign:
    live: LiveStream
    subscription: Subscription


class Hub:
    """All streams that this gateway has an eye on."""

    def __init__(self, nc: Client, js: JetStreamContext, origin: str) -> None:
        self.origin = origin
        self.nc = nc
        self.js = js
        self.own: dict[str, LiveStream] = {}
        self._foreign: dict[str, _Foreign] = {}
        self._attaching = asyncio.Lock()

    async def open(self) -> None:
        """Subscribe to this gateway's own streams."""
        for subject, callback in (
            (subjects.logs_of_origin(self.origin), self._on_log),
            (subjects.controls_of_origin(self.origin), self._on_control),
        ):
            # Nothing may be dropped silently: a slow moment is bounded by the readers, not here.
            await self.nc.subscribe(subject, cb=callback, pending_msgs_limit=0, pending_bytes_limit=0)

    def accept(
        self,
        stream: StreamId,
        model: ModelSettings,
        policy: OnDisconnect | None,
        on_start: Callable[[float], None] = lambda waited_s: None,
    ) -> LiveStream:
        """Begin to watch a stream of our own."""
        live = LiveStream(stream, model, own=True, policy=policy or model.on_disconnect, on_start=on_start)
        self.own[str(stream)] = live
        return live

    def forget(self, stream: StreamId) -> None:
        """A stream of our own that did not come to be, or has ended and is read by nobody."""
        self.own.pop(str(stream), None)

    async def attach(self, stream: StreamId, model: ModelSettings, listener: Listener) -> LiveStream:
        """Give `listener` the live events of any stream, our own or another gateway's."""
        if (live := self.own.get(str(stream))) is not None:
            live.attach(listener)
            return live
        async with self._attaching:
            foreign = self._foreign.get(str(stream)) or await self._subscribe(stream, model)
            foreign.live.attach(listener)
        try:
            await self._tell_origin(foreign.live)
        except BaseException:
            await self.detach(foreign.live, listener)
            raise
        return foreign.live

    async def detach(self, live: LiveStream, listener: Listener) -> None:
        """That listener is gone."""
        live.detach(listener, time.monotonic())
        if live.own or live.listeners:
            return
        foreign = self._foreign.pop(str(live.stream), None)
        if foreign is None:
            return
        await foreign.subscription.unsubscribe()
        if self.nc.is_connected:
            await self.nc.publish(subjects.control(live.stream), encode(Detached(gateway=self.origin)))

    async def renew_leases(self) -> None:
        """Tell the origins that their streams are still read here."""
        for foreign in list(self._foreign.values()):
            await self._tell_origin(foreign.live)

    async def read_again(self) -> None:
        """The broker was away: live events may have been missed, so everyone reads the log again."""
        for live in self.streams():
            live.end_claimed = live.own and live.ended is None
            for listener in live.listeners:
                listener.read_again()

    def open_readers(self) -> int:
        """How many clients are being served."""
        return sum(len(live.listeners) for live in self.streams())

    def streams(self) -> list[LiveStream]:
        """Every stream that is watched here, our own and others'."""
        return [*self.own.values(), *(foreign.live for foreign in self._foreign.values())]

    async def _subscribe(self, stream: StreamId, model: ModelSettings) -> _Foreign:
        live = LiveStream(stream, model, own=False, policy="continue")
        subscription = await self.nc.subscribe(subjects.log(stream), cb=self._on_foreign_log)
        try:
            await self.nc.flush(2)
        except BaseException:
            await subscription.unsubscribe()
            raise
        self._foreign[str(stream)] = foreign = _Foreign(live, subscription)
        return foreign

    async def _tell_origin(self, live: LiveStream) -> None:
        message = encode(Attached(gateway=self.origin, lease_s=_LEASE_S))
        await self.nc.publish(subjects.control(live.stream), message)

    async def _on_log(self, message: Msg) -> None:
        live = self.own.get(message.subject[7:])
        if live is not None:
            _dispatch(live, message)
        if (live is None or live.ended is not None) and isinstance(read(decode_event, message), Started):
            # The request was refused to its client, or has its end: nobody wants what begins here.
            control = subjects.control(StreamId.parse(message.subject[7:]))
            await self.nc.publish(control, encode(Cancel(reason="nobody waits for this stream")))

    async def _on_foreign_log(self, message: Msg) -> None:
        if (foreign := self._foreign.get(message.subject[7:])) is not None:
            _dispatch(foreign.live, message)

    async def _on_control(self, message: Msg) -> None:
        live = self.own.get(message.subject.removeprefix("tr.ctl."))
        if live is None:
            return
        control = read(decode_control, message)
        now = time.monotonic()
        if isinstance(control, Attached):
            live.lease(control.gateway, now + control.lease_s, now)
        elif isinstance(control, Detached):
            live.lease(control.gateway, now, now)
        elif isinstance(control, Cancel) and control.code == ErrorCode.CANCELLED:
            live.cancel_requested = True


def _dispatch(live: LiveStream, message: Msg) -> None:
    event = read(decode_event, message)
    if event is None:
        return
    if live.own:
        live.heard.note(event, message.data, fenced=FENCE in (message.headers or {}))
    live.on_event(event)
