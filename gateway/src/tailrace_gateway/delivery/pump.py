"""The edge that drives a reader: live events wake it, the broker's log feeds it when it is behind or in doubt."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable

import msgspec
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from tailrace_broker import payloads
from tailrace_broker.logs import events_of, read_log_at_leader, read_page
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Ended, Event
from tailrace_protocol.log import LogCursor
from tailrace_protocol.subjects import StreamId

from tailrace_gateway.delivery.reader import Reader

log = logging.getLogger("tailrace.gateway.delivery")

_SETTLE_S = 0.05
_REPAIR_FOR_S = 10.0
#: Servers that lost their majority, or a log its leader, answer again when enough of them are back.
UNREADABLE_FOR_S = 120.0


class Pump:
    """One open response: a reader, what wakes it, and when it last said something."""

    def __init__(self, js: JetStreamContext, stream: StreamId, reader: Reader, connected: Callable[[], bool]) -> None:
        self._connected = connected
        self.ended: Ended | None = None
        self.stream = stream
        self.reader = reader
        self.last_sent = time.monotonic()
        self.sent_events = 0
        self.told = ""
        self._js = js
        self._sequence = 0
        self._wake = asyncio.Event()
        self._doubt_since: float | None = None
        self._failing_since: float | None = None
        self._reading: asyncio.Task[None] | None = None

    def on_event(self, event: Event) -> None:
        """A live event of the stream."""
        if isinstance(event, Ended):
            self.ended = event
        if isinstance(event, Ended) and event.result:
            self.reader.behind = True
        else:
            self.reader.feed_live(event)
        if self.reader.has_work:
            self._wake.set()

    def read_again(self) -> None:
        """Events may have been missed (the broker was away): read the log from where the client is."""
        self.reader.behind = True
        self._wake.set()

    def say(self, data: bytes) -> None:
        """Send something that is not part of the log."""
        self.reader.say(data)
        self._wake.set()

    def fail(self, error: TailraceError) -> None:
        """End this response, not the stream."""
        self.reader.fail(error)
        self._wake.set()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The response's body: whatever waits, as one chunk, until the stream's end."""
        try:
            while True:
                self._wake.clear()
                if self.reader.ready:
                    self.last_sent = time.monotonic()
                    yield self.reader.take()
                elif self.reader.finished:
                    return
                else:
                    await self._advance()
        finally:
            if self._reading is not None:
                self._reading.cancel()

    async def _advance(self) -> None:
        """Wait for something to happen; what is to be read is read beside, since a broker may take long to answer."""
        if self._reading is None and not (self.reader.in_doubt or self.reader.behind):
            self._doubt_since = self._failing_since = None
            await self._wake.wait()
            return
        self._reading = reading = self._reading or asyncio.create_task(self._read())
        waking = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait({reading, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
        if reading.done():
            self._reading = None
            await reading

    async def _read(self) -> None:
        try:
            await (self._repair() if self.reader.in_doubt else self._catch_up())
        except TailraceError as error:
            self.reader.fail(error)
        except (NatsError, TimeoutError) as error:
            log.warning("delivery.read_failed stream=%s error=%s", self.stream, type(error).__name__)
            await self._bear_failure()
        else:
            self._failing_since = None

    async def _bear_failure(self) -> None:
        """A broker that is away comes back; one that is there and has no log for us will not.

        Nothing is lost for as long as it cannot be looked up.
        """
        now, self._doubt_since = time.monotonic(), None
        self._failing_since = self._failing_since or now
        if not self._connected():
            self._failing_since = None
        elif now - self._failing_since > UNREADABLE_FOR_S:
            self.reader.fail(TailraceError(ErrorCode.BROKER_UNAVAILABLE, "the log of this stream cannot be read"))
        await asyncio.sleep(_SETTLE_S * 4)

    async def _catch_up(self) -> None:
        """Feed the reader one page of the log; after the last page it is live."""
        self.reader.hold()
        caught_up = False
        try:
            page = await read_page(self._js, self.stream, self._sequence)
            for event in events_of(page.entries):
                self.reader.feed(await self._whole(event), logged=True)
            self._sequence = page.sequence
            caught_up = not page.more
        finally:
            self.reader.release(caught_up=caught_up)
        if caught_up and self.ended is not None:
            self.reader.feed(await self._whole(self.ended))

    async def _repair(self) -> None:
        """Something is missing: give it a moment to arrive, then ask the log's leader for the truth."""
        now = time.monotonic()
        self._doubt_since = self._doubt_since or now
        if now - self._doubt_since > _REPAIR_FOR_S:
            raise TailraceError(ErrorCode.LOG_GAP)
        await asyncio.sleep(_SETTLE_S)
        if self.reader.in_doubt:
            await self._read_leader()

    async def _read_leader(self) -> None:
        self.reader.hold()
        cursor = LogCursor()
        trusted = False
        try:
            async for entry in read_log_at_leader(self._js, self.stream):
                for ready in cursor.feed_all([await self._whole(event) for event in events_of([entry])]):
                    self.reader.correct(cursor, ready)
            trusted = cursor.position >= self.reader.cursor.position
            if trusted:
                self.reader.cursor = cursor
        finally:
            self.reader.release(caught_up=True)

    async def _whole(self, event: Event) -> Event:
        if not isinstance(event, Ended) or not event.result:
            return event
        frames = msgspec.json.decode(await payloads.load(self._js, event.result), type=list[msgspec.Raw])
        return msgspec.structs.replace(event, frames=frames, result="")


class Outcome:
    """Waits for a stream's end: what an answer without streaming needs."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.doubt = asyncio.Event()
        self.end_heard: float | None = None
        self._cursor = LogCursor()

    def on_event(self, event: Event) -> None:
        """A live event of the stream. An end that does not follow from what was heard is looked up in the log."""
        self._cursor.feed(event)
        if self._cursor.ended is not None and not self.ended.done():
            self.ended.set_result(self._cursor.ended)
        elif isinstance(event, Ended):
            self.end_heard = self.end_heard or time.monotonic()
            self.doubt.set()

    def read_again(self) -> None:
        """The end may have been missed: whoever waits shall look for it in the log."""
        self.doubt.set()

    def fail(self, error: TailraceError) -> None:
        """Whoever waits is told why it is in vain."""
        if not self.ended.done():
            self.ended.set_exception(error)
