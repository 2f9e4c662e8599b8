"""The fold that every reader of a log applies: which events belong to the stream, and in which order.

The log is at-least-once and may hold events of workers that were thought dead. The rules, in the broker's order:
a `Started` of a higher attempt that begins right after the last position takes over; events of lower attempts are
void from then on; duplicates are dropped by position; an event that comes too early waits until the gap before it
is filled. Gateways use it to deliver, workers to continue.

The log itself is the truth; what a subscriber sees live is nearly that: messages may be lost, two publishers'
messages may be swapped, and a `Started` that the broker's fence refused is seen although the log does not hold it.
So a live reader that finds a `gap` keeps what arrives meanwhile, folds the log into a fresh cursor (`feed_all`),
asks `agrees_with`, and feeds the kept events to the fresh one.
"""

from collections.abc import Iterable

from tailrace_protocol.events import (
    Accepted,
    Checkpoint,
    Ended,
    Event,
    Positioned,
    Started,
    first_position,
    last_position,
)

#: How many events of one stream wait for a gap to be filled; what comes on top is left to the log.
EARLY_LIMIT = 512


class LogCursor:
    """Folds events in broker order. Holds no history: only the place reached and events that came too early.

    `disputed` means that what was delivered may be wrong: nothing more is, and the log must be read.
    """

    def __init__(self) -> None:
        self.position = 0
        self.attempt = 0
        self.writer: Started | None = None
        self.ended: Ended | None = None
        self.disputed = False
        self.takeovers: list[tuple[int, int]] = []
        self._confirmed = 0  # the highest attempt that surely began where it said: by the log, or by its text
        self._doubted = False  # the present attempt is not confirmed, and something speaks against it
        self._next: Started | None = None  # a take-over that begins after what was delivered
        self._ahead = (0, 0)  # the highest attempt seen to write without its `Started`, and how far it wrote
        self._promised = 0
        self._early: dict[int, Positioned] = {}

    @property
    def gap(self) -> bool:
        """Whether something before what was seen is missing, or the writer is in doubt: read the log."""
        if self.ended is not None:
            return False
        in_doubt = self.disputed or self._doubted or self._next is not None or self._ahead[0] > self.attempt
        return in_doubt or bool(self._early) or self._promised > self.position

    def feed(self, event: Event) -> list[Positioned]:
        """The events that `event` makes deliverable, in order of position: often just itself."""
        return self._fold(event, logged=False)

    def feed_all(self, events: Iterable[Event]) -> list[Positioned]:
        """What a whole log, in broker order, delivers. Unlike `feed`, trusts every `Started`: the log holds it."""
        return [ready for event in events for ready in self._fold(event, logged=True)]

    def agrees_with(self, other: "LogCursor") -> bool:
        """Whether no position that one cursor has delivered belongs, as far as the other knows, to another attempt."""
        behind, further = sorted((self, other), key=lambda cursor: cursor.position)
        if _writers(self.takeovers, behind.position) != _writers(other.takeovers, behind.position):
            return False
        return (
            further.position == behind.position or _owner(further.takeovers, behind.position + 1) >= behind._confirmed
        )

    def _fold(self, event: Event, logged: bool) -> list[Positioned]:
        if self.ended is not None or self.disputed:
            return []
        if isinstance(event, Started):
            self._announce(event, logged)
            return []
        if isinstance(event, Accepted):
            return self._place(event, logged)
        reach = event.seq if isinstance(event, Checkpoint) else last_position(event)
        if event.attempt < self.attempt:
            self._doubted |= self._confirmed < self.attempt and reach > self.position
            return []
        if event.attempt > self.attempt:
            self._ahead = max(self._ahead, (event.attempt, reach))
            return []
        if self._ahead[0] > self.attempt and self._next is None:
            return []  # somebody newer writes, and where that began is unknown: this event may be void
        if isinstance(event, Checkpoint):
            self._promised = max(self._promised, reach)
            return []
        return self._place(event, logged)

    def _announce(self, started: Started, logged: bool) -> None:
        if started.attempt < self.attempt:
            known = (started.attempt, started.base) in self.takeovers
            self._doubted |= self._confirmed < self.attempt and not known
        elif started == self.writer:
            if logged:
                self._confirm()
        elif started.attempt == self.attempt or started.base <= self.position:
            self.disputed = True
        else:
            self._wait_for(started)
            self._take_over(logged)

    def _wait_for(self, started: Started) -> None:
        """Keep the take-over that comes first; of a later one, remember that it was seen."""
        if self._next is not None:
            first, later = sorted((self._next, started), key=lambda s: (s.base, -s.attempt))
            if later.base > first.base:
                self._ahead = max(self._ahead, (later.attempt, later.base - 1))
            started = first
        self._next = started

    def _take_over(self, logged: bool) -> None:
        """Let the awaited attempt begin, if its place is reached."""
        started = self._next
        if started is None or started.base > self.position + 1:
            return
        self._next = None
        if started.base <= self.position:
            self.disputed = True
            return
        self._doubted = not logged and self.gap
        self.attempt, self.writer = started.attempt, started
        self.takeovers.append((started.attempt, started.base))
        self._early.clear()
        self._promised = self._ahead[1] if self._ahead[0] == started.attempt else 0
        if logged:
            self._confirm()

    def _confirm(self) -> None:
        self._confirmed, self._doubted = self.attempt, False

    def _place(self, event: Positioned, logged: bool) -> list[Positioned]:
        first, last = first_position(event), last_position(event)
        if last <= self.position:
            self.disputed |= isinstance(event, Ended) and not logged  # an end that is no duplicate: another writer's
            return []
        if first <= self.position:
            self.disputed = True
            return []
        if first > self.position + 1 and not logged and len(self._early) >= EARLY_LIMIT:
            self._promised = max(self._promised, last)
            return []
        self._early[first] = event
        return self._drain(logged)

    def _drain(self, logged: bool) -> list[Positioned]:
        ready: list[Positioned] = []
        while (following := self._early.pop(self.position + 1, None)) is not None:
            self.position = last_position(following)
            ready.append(following)
            self._confirm()
            if isinstance(following, Ended):
                self.ended = following
                self._early.clear()
                return ready
            self._take_over(logged)
        if ready:
            self._drop_overlaps()
        return ready

    def _drop_overlaps(self) -> None:
        for first in [f for f in self._early if f <= self.position]:
            self.disputed |= last_position(self._early.pop(first)) > self.position


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


def _owner(takeovers: list[tuple[int, int]], position: int) -> int:
    """The attempt that a delivered position belongs to; 0 for what the gateway wrote."""
    return max((attempt for attempt, base in takeovers if base <= position), default=0)
