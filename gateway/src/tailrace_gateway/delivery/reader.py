"""One client's read of one log: pure, without I/O or clock.

Events are fed in, live or from the log; bytes are taken out. What the client has not taken is bounded: when it falls
further behind, the reader refuses events and is `behind`, and whoever drives it feeds it from the log at the
client's own pace.
"""

from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Ended, Event, Positioned, Started, last_position
from tailrace_protocol.log import LogCursor

from tailrace_gateway.delivery import sse


class Reader:
    """Delivers every position after `position` once and in order.

    Args:
        position: the last position that the client has.
        max_unsent_bytes: how much may wait for the client before it is served from the log.
        verbose: whether the client asked for Tailrace's own named events.
        live: whether it reads a stream from its beginning as it is written; otherwise it begins `behind`.
    """

    def __init__(self, position: int, max_unsent_bytes: int, *, verbose: bool = False, live: bool = False) -> None:
        self.position = position
        self.verbose = verbose
        self.behind = not live
        self.finished = False
        self.failure: TailraceError | None = None
        self.cursor = LogCursor()
        self._max_unsent = max_unsent_bytes
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._held: list[Event] | None = None

    @property
    def ready(self) -> bool:
        """Whether there is something to take."""
        return bool(self._unsent)

    @property
    def full(self) -> bool:
        """Whether the client leaves so much untaken that nothing more is kept for it."""
        return self._unsent_bytes > self._max_unsent

    @property
    def in_doubt(self) -> bool:
        """Whether something is missing before what was seen, so that the log must be read at its leader."""
        return self.cursor.gap and not self.finished

    @property
    def has_work(self) -> bool:
        """Whether there is anything to do for whoever drives it; a checkpoint that says nothing new makes none."""
        return bool(self._unsent) or self.behind or self.finished or self.cursor.gap

    def feed_live(self, event: Event) -> None:
        """Take in an event as it is written; while the log is read instead, only what comes during a read is held."""
        if self._held is not None:
            self._held.append(event)
        elif self.full:
            self.behind = True
        elif not self.behind:
            self.feed(event)

    def feed(self, event: Event, *, logged: bool = False) -> None:
        """Take in an event, in broker order; `logged` for one that was read from the log, which is the truth."""
        if self.finished:
            return
        before = self.cursor.attempt
        for ready in self.cursor.feed_all([event]) if logged else self.cursor.feed(event):
            self._deliver(ready)
        if self.verbose and isinstance(event, Started) and before < self.cursor.attempt:
            self._push(sse.attempt(event))

    def hold(self) -> None:
        """A read of the log begins: keep the live events that it may miss."""
        self._held = []

    def release(self, *, caught_up: bool) -> None:
        """The read is over; with `caught_up`, what was held closes the distance and the reader is live again."""
        held, self._held = self._held or [], None
        if caught_up:
            self.behind = False
            for event in held:
                self.feed(event)

    def correct(self, cursor: LogCursor, event: Positioned) -> None:
        """Deliver an event that `cursor`, made anew at the log's leader, has placed.

        Raises:
            TailraceError: `log_conflict` when the client was given a position that the log attributes to another
                attempt.
        """
        if last_position(event) > self.position and not self.cursor.agrees_with(cursor):
            raise TailraceError(ErrorCode.LOG_CONFLICT)
        self._deliver(event)

    def take(self) -> bytes:
        """All that waits for the client."""
        data = b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_bytes = 0
        return data

    def say(self, data: bytes) -> None:
        """Add a heartbeat, a comment or a named event; dropped for a client that does not even take its tokens."""
        if not self.finished and not self.full:
            self._push(data)

    def fail(self, error: TailraceError) -> None:
        """End the response with an error event; the stream itself may live on."""
        if not self.finished:
            self._push(sse.error(error.body(self.position), None) + sse.done(self.position))
            self.finished, self.failure = True, error

    def _deliver(self, event: Positioned) -> None:
        last = last_position(event)
        if last > self.position:
            self._push(sse.events_after(self.position, event))
            self.position = last
        if isinstance(event, Ended) and not self.finished:
            self._push(sse.ending(event))
            self.finished = True

    def _push(self, data: bytes) -> None:
        if data:
            self._unsent.append(data)
            self._unsent_bytes += len(data)
