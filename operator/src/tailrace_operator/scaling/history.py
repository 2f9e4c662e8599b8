"""The last minutes of a model's load, summed up so that any window of it is told by two points."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from tailrace_operator.scaling.sample import Sample

#: Long enough for a mean time of service, short enough to follow a change of it.
_KEPT_S = 600.0
#: Looks further apart than this are a time without any, of which nothing is known.
LONGEST_BLINK_S = 15.0
#: Looks closer together than this are one: a model that is called for is looked at more often.
_GRAIN_S = 0.5
#: Fewer answers than these say nothing of the next one's length.
_ENOUGH_FINISHED = 5


@dataclass(frozen=True, slots=True)
class Point:
    """The sums up to one moment."""

    at: float
    accepted: int
    finished: int
    active_s: float
    """Stream-seconds of generation."""
    in_flight_s: float
    """Stream-seconds of generation and waiting."""


@dataclass(frozen=True, slots=True)
class History:
    """Points of the last ten minutes, the oldest first; never without one once it was given a sample."""

    points: tuple[Point, ...] = ()
    last: Sample | None = None

    def with_sample(self, sample: Sample) -> "History":
        """This history with one more look. A look that is not later than the last is not taken in."""
        if self.last is None:
            return History((_point(sample, 0.0, 0.0),), sample)
        elapsed = sample.at - self.last.at
        if elapsed <= 0:
            return self
        if elapsed > LONGEST_BLINK_S:
            return self._resumed(sample)
        before = self.points[-1]
        active_s = before.active_s + elapsed * (sample.active + self.last.active) / 2
        in_flight_s = before.in_flight_s + elapsed * (sample.in_flight + self.last.in_flight) / 2
        kept = self.points[_index(self.points, sample.at - _KEPT_S) :]
        if len(kept) > 1 and sample.at - kept[-2].at < _GRAIN_S:
            kept = kept[:-1]
        return History((*kept, _point(sample, active_s, in_flight_s)), sample)

    def _resumed(self, sample: Sample) -> "History":
        """This history as if the time since its last look had not been, nor what came and ended in it."""
        before = self.points[-1]
        now = _point(sample, before.active_s, before.in_flight_s)
        moved = (
            replace(
                point,
                at=point.at + now.at - before.at,
                accepted=point.accepted + now.accepted - before.accepted,
                finished=point.finished + now.finished - before.finished,
            )
            for point in self.points[:-1]
        )
        return History((*moved, now), sample)

    def mean_in_flight(self, window_s: float) -> float:
        """Streams in flight, the mean over the window; over what there is of it."""
        start, end = self._window(window_s)
        if end.at <= start.at:
            return float(self.last.in_flight) if self.last else 0.0
        return (end.in_flight_s - start.in_flight_s) / (end.at - start.at)

    def arrivals_per_s(self, window_s: float) -> float:
        """Requests that the queue took, a second."""
        start, end = self._window(window_s)
        return (end.accepted - start.accepted) / (end.at - start.at) if end.at > start.at else 0.0

    def mean_service_s(self) -> float | None:
        """Seconds that a stream holds its slot: Little's law over the ten minutes. `None` while too few ended."""
        start, end = self.points[0], self.points[-1]
        finished = end.finished - start.finished
        return (end.active_s - start.active_s) / finished if finished >= _ENOUGH_FINISHED else None

    def _window(self, window_s: float) -> tuple[Point, Point]:
        end = self.points[-1]
        return self.points[min(_index(self.points, end.at - window_s), len(self.points) - 1)], end


def _index(points: Sequence[Point], at: float) -> int:
    return bisect_left(points, at, key=attrgetter("at"))


def _point(sample: Sample, active_s: float, in_flight_s: float) -> Point:
    return Point(sample.at, sample.accepted, sample.accepted - sample.in_flight, active_s, in_flight_s)
