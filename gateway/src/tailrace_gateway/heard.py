"""The last events that a gateway heard of a stream: what a worker said right before it died, the log may not have.

Deltas are not acknowledged. A client may be given one that the broker's servers had not yet passed to the log's
leader, and an attempt that begins without it would write other tokens at its place. So whoever hands a dead worker's
request back first says again what it heard; readers drop what the log had already.
"""

from collections import deque

from tailrace_protocol.events import Checkpoint, Delta, Event, Started, last_position

#: More than a log lags behind what its listeners hear; at 50 events a second these are 0.6 s.
LIMIT = 32


class Heard:
    """The encoded events of a stream's present attempt that at most one checkpoint covers: the last `LIMIT` of them."""

    def __init__(self) -> None:
        self._attempt = 0
        self._events: deque[tuple[int, bytes]] = deque(maxlen=LIMIT)
        self._covered = 0

    def note(self, event: Event, data: bytes) -> None:
        """Keep an event, or forget what an earlier checkpoint covers: the log's leader has had it for long."""
        if isinstance(event, Started):
            self._begin(event, data)
        elif isinstance(event, Checkpoint):
            self._release(self._covered)
            self._covered = event.seq
        elif isinstance(event, Delta) and event.attempt == self._attempt:
            self._events.append((last_position(event), data))

    def messages(self) -> list[bytes]:
        """What to say again, in order."""
        return [data for _, data in self._events]

    def _begin(self, started: Started, data: bytes) -> None:
        """Of later attempts the log has the beginning, or refused it: to say that again would overrule the refusal."""
        if started.attempt < self._attempt:
            return
        self._attempt = started.attempt
        self._events.clear()
        if started.attempt == 1:
            self._events.append((started.base - 1, data))

    def _release(self, position: int) -> None:
        while self._events and self._events[0][0] <= position:
            self._events.popleft()
