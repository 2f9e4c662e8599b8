"""The fold that every reader of a log applies: which events belong to the stream, and in which order.

The log is at-least-once and may hold events of workers that were thought dead. The rules, in the broker's order:
a `Started` of a higher attempt that begins right after the last position takes over; events of lower attempts are
void from then on; duplicates are dropped by position; an event that comes too early waits until the gap before it
is filled. Gateways use it to deliver, workers to continue.
"""

from collections.abc import Iterable

from tailrace_protocol.events import (
    Accepted,
    Checkpoint,
    Delta,
    Ended,
    Event,
    Positioned,
    Started,
    first_position,
    last_position,
)


class LogCursor:
    """Folds events in broker order. Holds no history: only the place reached and events that came too early."""

    def __init__(self) -> None:
        self.position = 0
        self.attempt = 0
        self.writer: Started | None = None
        self.ended: Ended | None = None
        self.disputed = False
        self.takeovers: list[tuple[int, int]] = []
        self._promised = 0
        self._early: dict[int, Positioned] = {}

    @property
    def gap(self) -> bool:
        """Whether something before what was seen is missing, or the writer is in doubt: read the log."""
        return self.disputed or bool(self._early) or self._promised > self.position

    def feed(self, event: Event) -> list[Positioned]:
        """The events that `event` makes deliverable, in order of position: often just itself."""
        if self.ended is not None:
            return []
        if isinstance(event, Started):
            self._take_over(event)
            return []
        attempt = 0 if isinstance(event, Accepted) else event.attempt
        if isinstance(event, Checkpoint):
            if attempt == self.attempt:
                self._promised = max(self._promised, event.seq)
            return []
        if attempt < self.attempt and not isinstance(event, Accepted):
            return []
        if attempt > self.attempt:
            self._promised = max(self._promised, self.position + 1)
            return []
        return self._place(event)

    def feed_all(self, events: Iterable[Event]) -> list[Positioned]:
        """What a whole log, in broker order, delivers."""
        return [ready for event in events for ready in self.feed(event)]

    def agrees_with(self, other: "LogCursor") -> bool:
        """Whether both cursors attribute every position that both have reached to the same attempt."""
        reach = min(self.position, other.position)
        return _writers(self.takeovers, reach) == _writers(other.takeovers, reach)

    def _take_over(self, started: Started) -> None:
        if started.attempt < self.attempt:
            return
        if started.attempt == self.attempt and self.writer is not None and started.base == self.writer.base:
            return
        if started.base == self.position + 1 and started.attempt > self.attempt:
            self.attempt, self.writer = started.attempt, started
            self.takeovers.append((started.attempt, started.base))
            self._early.clear()
            self._promised = 0
        elif started.base > self.position + 1:
            self._promised = max(self._promised, started.base - 1)
        else:
            self.disputed = True

    def _place(self, event: Positioned) -> list[Positioned]:
        if last_position(event) <= self.position:
            return []
        self._early[first_position(event)] = event
        ready: list[Positioned] = []
        while (following := self._early.pop(self.position + 1, None)) is not None:
            self.position = last_position(following)
            ready.append(following)
            if isinstance(following, Ended):
                self.ended = following
                self._early.clear()
                self._promised = 0
        return ready


def _writers(takeovers: list[tuple[int, int]], reach: int) -> list[tuple[int, int]]:
    """The attempts that own at least one position up to `reach`, with where each begins."""
    owners: list[tuple[int, int]] = []
    for attempt, base in takeovers:
        if base > reach:
            break
        if owners and owners[-1][1] == base:
            owners.pop()
        owners.append((attempt, base))
    return owners


def token_groups(events: Iterable[Positioned]) -> list[Delta]:
    """The events whose tokens a continuation replays."""
    return [event for event in events if isinstance(event, Delta) and event.groups]
