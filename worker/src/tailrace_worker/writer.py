"""Writing one attempt's events to the log.

Deltas are core publishes, which the broker captures without acknowledging; what no checkpoint has confirmed is kept
and published again after a reconnect or a change of the log's leader, and readers drop the duplicates. The first
event of a later attempt and the last event of any attempt are acknowledged. The gateway's first event was not either,
so a first attempt says it again: the log may have had no leader then.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError
from tailrace_broker import payloads
from tailrace_broker.logs import FENCE
from tailrace_protocol import subjects
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Checkpoint, Delta, Ended, Outcome, Started, TokenGroup, Usage
from tailrace_protocol.subjects import StreamId
from tailrace_protocol.wire import encode

log = logging.getLogger("tailrace.worker.writer")

_ACK_TIMEOUT_S = 2.0
_SETTLE_PAUSE_S = 0.2
_WRONG_LAST_SEQUENCE = (10071, 10164)


class FencedError(Exception):
    """Somebody wrote to the log since it was read: read it again."""


class LogWriter:
    """Writes the events of one attempt, from `position` on, where the log's `previous` attempt left it.

    `fence` is the log's last broker sequence, as it was read; `None` for a first attempt, whose log nobody else
    writes. What is written first must follow it. An attempt that fails before it has started ends the log in the
    name of the previous one.
    """

    def __init__(
        self,
        nc: Client,
        js: JetStreamContext,
        stream: StreamId,
        attempt: int,
        position: int,
        previous: int,
        fence: int | None,
    ) -> None:
        self.stream = stream
        self.attempt = attempt
        self.position = position
        self._writing_as = previous
        self._fence = fence
        self._nc = nc
        self._js = js
        self._subject = subjects.log(stream)
        self._unconfirmed: deque[tuple[int, bytes]] = deque()
        self._confirmed = position if fence is not None else position - 1
        self._is_doubtful = False

    async def start(self, worker: str, ack: str, opening: Callable[[], bytes]) -> None:
        """Announce the attempt; the first one after the stream's `opening`.

        Raises:
            FencedError: the log has grown since.
            nats.errors.Error: the broker does not answer.
        """
        started = encode(Started(attempt=self.attempt, base=self.position + 1, worker=worker, ack=ack))
        if self._fence is None:
            for data in (opening(), started):
                self._unconfirmed.append((self.position, data))
                await self._nc.publish(self._subject, data)
        else:
            await self._publish_fenced(started)
        self._writing_as = self.attempt

    async def write(self, groups: tuple[TokenGroup, ...], frames: tuple[bytes, ...]) -> None:
        """Append tokens and the frames that they produced.

        Raises:
            TailraceError: the event is larger than the broker takes.
        """
        first = self.position + 1
        delta = Delta(attempt=self.attempt, seq=first, groups=list(groups), frames=[msgspec.Raw(f) for f in frames])
        data = encode(delta)
        if not payloads.fits(self._nc.max_payload, len(data)):
            detail = "one step of the answer is larger than a message may be: ask for fewer logprobs or choices"
            raise TailraceError(ErrorCode.INVALID_REQUEST, detail, param="top_logprobs")
        self.position += max(1, len(frames))
        self._unconfirmed.append((self.position, data))
        if self._nc.is_connected:
            await self._nc.publish(self._subject, data)

    async def settle(self, within_s: float) -> None:
        """Have the log take all that was written, also one that has no leader just now: nobody says it afterwards."""
        until = time.monotonic() + within_s
        await self.checkpoint()
        while self._is_doubtful and time.monotonic() < until:
            await asyncio.sleep(_SETTLE_PAUSE_S)
            await self.republish()
            await self.checkpoint()

    async def checkpoint(self) -> None:
        """Have the broker confirm the log up to here; what it confirms is kept until the next one confirms too.

        A leader that was lost between two checkpoints may have taken unacknowledged events with it although the
        second was acknowledged, so a confirmation releases only what an earlier one covered.
        """
        reached, reconnects = self.position, self._reconnects()
        if not self._unconfirmed:
            return
        data = encode(Checkpoint(attempt=self.attempt, seq=reached))
        try:
            await self._js.publish(self._subject, data, timeout=_ACK_TIMEOUT_S)
        except (NatsError, TimeoutError) as error:
            log.warning("checkpoint.failed stream=%s error=%s", self.stream, error)
            self._is_doubtful = True
            return
        if reconnects == self._reconnects():
            self._release(self._confirmed)
            self._confirmed = reached

    async def republish(self) -> None:
        """Publish again whatever no checkpoint has confirmed, in order."""
        self._is_doubtful = False
        for _, data in list(self._unconfirmed):
            await self._nc.publish(self._subject, data)

    async def end(
        self,
        outcome: Outcome,
        groups: tuple[TokenGroup, ...] = (),
        frames: tuple[bytes, ...] = (),
        usage: Usage | None = None,
        error: TailraceError | None = None,
    ) -> None:
        """Append the last event and wait until the broker has it, through reconnects if need be.

        Raises:
            FencedError: the attempt had not started, and the log has grown since it was read.
        """
        first, last = self.position + 1, self.position + max(1, len(frames))
        body = error.body(self.position) if error is not None else None
        ended = Ended(
            self._writing_as, first, last, outcome, list(groups), [msgspec.Raw(f) for f in frames], usage, body
        )
        data = encode(await self._fit(ended))
        while not await self._acknowledged(data):  # noqa: ASYNC110 - nothing local tells when the broker is back
            await asyncio.sleep(_SETTLE_PAUSE_S)
        self.position = last
        self._unconfirmed.clear()

    async def _fit(self, ended: Ended) -> Ended:
        if payloads.fits(self._nc.max_payload, len(encode(ended))):
            return ended
        name = f"{self.stream}.result"
        await payloads.store(self._js, name, msgspec.json.encode(ended.frames))
        return msgspec.structs.replace(ended, groups=[], frames=[], result=name)

    async def _acknowledged(self, data: bytes) -> bool:
        before = self._reconnects()
        try:
            if self._fence is None:
                await self._js.publish(self._subject, data, timeout=_ACK_TIMEOUT_S)
            else:
                await self._publish_fenced(data)
        except (NatsError, TimeoutError) as error:
            log.warning("end.retry stream=%s error=%s", self.stream, error)
            return False
        if before != self._reconnects():
            await self.republish()
        return True

    async def _publish_fenced(self, data: bytes) -> None:
        headers = {FENCE: str(self._fence)}
        try:
            await self._js.publish(self._subject, data, timeout=_ACK_TIMEOUT_S, headers=headers)
        except APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise FencedError(str(self.stream)) from error
            raise
        self._fence = None

    def _reconnects(self) -> int:
        return int(self._nc.stats["reconnects"])

    def _release(self, position: int) -> None:
        while self._unconfirmed and self._unconfirmed[0][0] <= position:
            self._unconfirmed.popleft()
