"""The last events that a gateway heard of a stream: what a worker said right before it died, the log may not have.

Deltas are not acknowledged. A client may be given one that the broker's servers had not yet passed to the log's
leader, and an attempt that begins without it would write other tokens at its place. So whoever hands a dead worker's
request back first says again what it heard; readers drop what the log had already.
"""

from collections import deque

from tailrace_protocol.events import Delta, Event, Started

#: More than a log lags behind what its listeners hear; at 50 events a second these are 0.6 s.
LIMIT = 32
LIMIT_BYTES = 64 * 1024


class Heard:
    """The last encoded events of a stream's present attempt, and its beginning where the log need not have taken it."""

    def __init__(self) -> None:
        self._writer: Started | None = None
        self._beginning: list[bytes] = []
        self._events: deque[bytes] = deque()
        self._bytes = 0

    def note(self, event: Event, data: bytes, *, fenced: bool) -> None:
        """Keep an event; `fenced` if the log may have refused it: to say that again would overrule the refusal."""
        if isinstance(event, Started):
            self._begin(event, data, fenced=fenced)
        elif isinstance(event, Delta) and self._writer is not None and event.attempt == self._writer.attempt:
            self._keep(data)

    def messages(self) -> list[bytes]:
        """What to say again, in order."""
        return [*self._beginning, *self._events]

    def forget(self) -> None:
        """The stream has its end: nobody goes on with it."""
        self._beginning = []
        self._events.clear()
        self._bytes = 0

    def _begin(self, started: Started, data: bytes, *, fenced: bool) -> None:
        if started == self._writer or (self._writer is not None and started.attempt < self._writer.attempt):
            return
        self.forget()
        self._writer = started
        self._beginning = [] if fenced else [data]

    def _keep(self, data: bytes) -> None:
        self._events.append(data)
        self._bytes += len(data)
        while len(self._events) > LIMIT or self._bytes > LIMIT_BYTES:
            self._bytes -= len(self._events.popleft())
