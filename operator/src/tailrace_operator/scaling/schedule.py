"""Minimums by the clock: so many workers from one cron time to another."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Scheduled:
    """At least `min_workers` from each time of the cron line `start` to the next one of `end`, in `time_zone`.

    Cron lines have five fields and mean what they mean to Debian's cron, also where clocks are set forward or back.
    """

    start: str
    end: str
    time_zone: str
    min_workers: int

    def holds(self, now: float) -> bool:
        """Whether `now`, in seconds since the epoch, lies between a start and its end: whether the end comes first."""
        return _ends_first(self.start, self.end, self.time_zone, int(now // _MINUTE_S))

    def __str__(self) -> str:
        return f"the schedule from '{self.start}' to '{self.end}' ({self.time_zone})"


@lru_cache(maxsize=4096)
def _ends_first(start: str, end: str, time_zone: str, minute: int) -> bool:
    """Cron knows minutes: within one, the answer is the same. A window holds from the first second of its start."""
    at = datetime.fromtimestamp(minute * _MINUTE_S, UTC).astimezone(ZoneInfo(time_zone))
    return next(CronSim(end, at)) < next(CronSim(start, at))
