"""What a number was over time, told by its changes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Course:
    """Changes of a number, the oldest first."""

    changes: tuple[tuple[float, int], ...] = ()

    def with_value(self, now: float, value: int, kept_s: float) -> "Course":
        """This course with the value at `now`; what ended before the last `kept_s` seconds is forgotten."""
        changes = self._within(now, kept_s)
        if changes and changes[-1][1] == value:
            return Course(changes)
        return Course((*changes, (now, value)))

    def highest(self, now: float, window_s: float) -> int:
        """The largest value that held at some moment of the window; of an empty course, 0."""
        return max((value for _, value in self._within(now, window_s)), default=0)

    def lowest(self, now: float, window_s: float) -> int:
        """The smallest value that held at some moment of the window; of an empty course, 0."""
        return min((value for _, value in self._within(now, window_s)), default=0)

    def _within(self, now: float, window_s: float) -> tuple[tuple[float, int], ...]:
        """The changes in the window, and the last one before it, whose value held when the window began."""
        first = sum(at <= now - window_s for at, _ in self.changes)
        return self.changes[max(0, first - 1) :]
