"""What is known of one model's load and workers at one moment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a model. Only what needs an engine's slot counts: a stream that reads the log alone does not."""

    at: float
    """Seconds on the clock that `decide` is given."""
    accepted: int
    """Requests that the queue has ever taken. It only grows, so a look that is missed loses nothing."""
    active: int
    """Streams that a worker generates."""
    queued: int
    """Requests that wait for a worker."""
    ready: int
    """Workers that serve."""
    starting: int
    """Workers that were asked for and do not serve yet."""
    start_s: float
    """How long a worker takes from being asked for to serving, in seconds, as last measured."""

    @property
    def in_flight(self) -> int:
        """Streams that run or wait."""
        return self.active + self.queued

    @property
    def workers(self) -> int:
        """Workers that serve or will."""
        return self.ready + self.starting
