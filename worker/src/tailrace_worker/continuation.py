"""What to do with a delivered request, given what its log holds: a pure decision.

The log is the only memory. A request that is delivered for the first time, one whose worker died, and one that was
handed over are the same case with different logs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Accepted, Delta, Ended, Event, TokenGroup
from tailrace_protocol.log import LogCursor

_SILENT_DELIVERIES_PER_ATTEMPT = 4


@dataclass(frozen=True, slots=True)
class Continue:
    """Generate on after `position`, where attempt number `previous` left off.

    `replay` is what the engine rebuilds its state from.
    """

    position: int
    previous: int
    replay: tuple[tuple[TokenGroup, ...], ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The log has its end already, written by attempt number `previous`: acknowledge the request."""

    previous: int
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the log with this failure, after `position`, in the name of attempt number `previous`."""

    position: int
    previous: int
    error: TailraceError
    reason: str


Decision = Continue | Done | GiveUp


def decide(events: Iterable[Event], max_attempts: int, deliveries: int) -> Decision:
    """What the next attempt shall do with a log that holds `events` (in broker order).

    `max_attempts` bounds consecutive attempts that began and wrote nothing: a request that kills its workers must
    not kill all of them. An attempt that made progress starts the count anew, so that a long stream may be handed
    over any number of times. `deliveries` of the request that left no attempt in the log are counted too, more
    patiently: workers may have been lost before they could write, or only have been busy.
    """
    cursor = LogCursor()
    accepted = cursor.feed_all(events)
    if cursor.ended is not None:
        return Done(cursor.attempt, f"already ended: {cursor.ended.outcome}")
    if not accepted or not isinstance(accepted[0], Accepted):
        error = TailraceError(ErrorCode.REPLAY_EXPIRED, "the log of this request expired before it could be served")
        return GiveUp(cursor.position, cursor.attempt, error, "the log has no beginning")
    barren = _barren_attempts(cursor)
    silent = deliveries - 1 - len(cursor.takeovers)
    if barren >= max_attempts or silent >= _SILENT_DELIVERIES_PER_ATTEMPT * max_attempts:
        detail = f"{max(barren, silent)} attempts in a row wrote nothing: their workers were lost or stalled"
        error = TailraceError(ErrorCode.WORKER_LOST, detail)
        return GiveUp(cursor.position, cursor.attempt, error, f"{barren} attempts without progress")
    replay = tuple(tuple(e.groups) for e in accepted if isinstance(e, Delta | Ended) and e.groups)
    return Continue(
        cursor.position, cursor.attempt, replay, f"continues attempt {cursor.attempt} at position {cursor.position + 1}"
    )


def _barren_attempts(cursor: LogCursor) -> int:
    """How many of the latest attempts began at the present end of the log."""
    count = 0
    for _, base in reversed(cursor.takeovers):
        if base != cursor.position + 1:
            break
        count += 1
    return count
