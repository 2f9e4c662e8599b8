"""Output chunking: when gathered tokens become an event.

Fewer, larger events cost less; a person notices the first one and long gaps. So the first token goes at once, and
the following ones wait for each other, but never longer than the settings allow.
"""

from dataclasses import dataclass

from tailrace_protocol.settings import ChunkingSettings


@dataclass(slots=True)
class Gathering:
    """What one choice of a stream holds back. Times are seconds of any monotonic clock."""

    settings: ChunkingSettings
    count: int = 0
    since: float | None = None
    begun: bool = False

    def add(self, tokens: int, now: float) -> None:
        """`tokens` more are held back since `now`, at the latest."""
        self.count += tokens
        if self.since is None:
            self.since = now

    def room(self) -> int:
        """How many tokens more make what is held back complete."""
        return max(1, self.settings.tokens - self.count) if self.begun else 1

    def due(self, now: float) -> bool:
        """Whether what is held back has to go."""
        if self.since is None:
            return False
        return not self.begun or self.count >= self.settings.tokens or now >= self.since + self.settings.max_delay_s

    def deadline(self) -> float | None:
        """When what is held back has to go, whatever else comes; `None` when nothing is held back."""
        return None if self.since is None else self.since + self.settings.max_delay_s

    def flushed(self) -> None:
        """What was held back has gone."""
        self.count, self.since, self.begun = 0, None, True
