"""A stream that this gateway has an eye on: one that it accepted, or one that it delivers for another gateway.

It holds no history but the last moment's. It knows who writes, whether the end came, who reads, and what the request
wants to happen when nobody does.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from tailrace_protocol.errors import TailraceError
from tailrace_protocol.events import Ended, Event, Started
from tailrace_protocol.settings import ModelSettings, OnDisconnect
from tailrace_protocol.subjects import StreamId

from tailrace_gateway.heard import Heard


class Listener(Protocol):
    """Whoever wants the live events of a stream."""

    def on_event(self, event: Event) -> None:
        """A live event, in the order of arrival."""
        ...

    def read_again(self) -> None:
        """Live events may have been missed."""
        ...

    def fail(self, error: TailraceError) -> None:
        """This gateway cannot go on serving the reader."""
        ...


class LiveStream:
    """`own` streams were accepted here; their disconnect policy, timeouts and hand-backs are this gateway's duty.

    `on_start` is told how long the request waited for its first worker, in seconds.
    """

    def __init__(
        self,
        stream: StreamId,
        model: ModelSettings,
        *,
        own: bool,
        policy: OnDisconnect,
        on_start: Callable[[float], None] = lambda waited_s: None,
    ) -> None:
        self.stream = stream
        self.model = model
        self.own = own
        self.policy = policy
        self._on_start = on_start
        self.accepted = time.monotonic()
        self.queue_sequence = 0
        self.cancel_requested = False
        self.end_claimed = False
        self.started: Started | None = None
        self.ended: Ended | None = None
        self.first_sign = asyncio.Event()
        self.end_seen = asyncio.Event()
        self.heard = Heard()
        self.listeners: list[Listener] = []
        self.unwatched_since: float | None = None
        self._leases: dict[str, float] = {}

    def on_event(self, event: Event) -> None:
        """Note what concerns the stream as a whole, and pass the event on."""
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Ended) and self.ended is None and event.attempt >= self.attempt:
            self.settle(event)
        elif isinstance(event, Ended) and self.ended is None:
            # Void, unless the attempt that seemed to follow was refused by the log: to be looked up.
            self.end_claimed = True
        for listener in self.listeners:
            listener.on_event(event)

    def _start(self, started: Started) -> None:
        if self.started is None:
            self._on_start(time.monotonic() - self.accepted)
        if started.attempt >= self.attempt:
            self.started = started
        self.first_sign.set()

    def settle(self, ended: Ended) -> None:
        """The stream has its end."""
        self.ended = ended
        self.end_claimed = False
        self.heard.forget()
        self.first_sign.set()
        self.end_seen.set()

    def abandon(self, error: TailraceError) -> None:
        """The stream has no log any more: it failed with `error`, and so does every response that is not complete."""
        if self.ended is None:
            self.settle(Ended(self.attempt, 0, 0, "failed", error=error.body()))
        for listener in self.listeners:
            listener.fail(error)

    def unsettle(self) -> None:
        """The end that was heard is not in the log: the broker refused it."""
        self.ended = None
        self.end_seen.clear()

    @property
    def attempt(self) -> int:
        """The latest attempt seen; 0 before the first."""
        return self.started.attempt if self.started is not None else 0

    def attach(self, listener: Listener) -> None:
        """Somebody reads the stream; attaching twice is attaching once."""
        if listener not in self.listeners:
            self.listeners.append(listener)
        self.unwatched_since = None

    def detach(self, listener: Listener, now: float) -> None:
        """That reader left."""
        if listener in self.listeners:
            self.listeners.remove(listener)
        if not self.listeners:
            self.unwatched_since = now

    def lease(self, gateway: str, until: float, now: float) -> None:
        """Another gateway has readers until `until` (monotonic seconds); `until` in the past ends its lease."""
        self._leases[gateway] = until
        if until <= now and not self.listeners:
            self.unwatched_since = now

    def to_cancel(self, now: float) -> bool:
        """Whether nobody has read the stream for the grace period, and the request does not want it to go on."""
        if not self.own or self.policy == "continue" or self.ended is not None or self.unwatched_since is None:
            return False
        if any(until > now for until in self._leases.values()):
            self.unwatched_since = now
            return False
        return now - self.unwatched_since >= self.model.disconnect_grace_s

    def waited_s(self, now: float) -> float:
        """For how long the stream, if it is our own, waits for its first worker; 0 when it does not."""
        waiting = self.own and self.started is None and self.ended is None
        return now - self.accepted if waiting else 0.0

    def log_only_readers(self) -> int:
        """Readers for whom no engine works: of another gateway's stream, of one that has ended, and second ones."""
        if not self.own or self.ended is not None:
            return len(self.listeners)
        return max(0, len(self.listeners) - 1)

    def queue_timed_out(self, now: float) -> bool:
        """Whether no worker took the request in time."""
        return self.waited_s(now) > self.model.queue_timeout_s
