"""How fast a size may change."""

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Pace:
    """So many workers, or such a share of those there were, whichever is more, within any period of that length."""

    workers: int | None = None
    percent: int | None = None
    period_s: float = 60.0

    def step(self, size: int) -> int:
        """Workers by which a model of this size may differ one period later. At least one: it must be able to move."""
        share = ceil(size * (self.percent or 0) / 100)
        return max(1, self.workers or 0, share)

    def __str__(self) -> str:
        limits = [f"{self.workers} workers"] if self.workers is not None else []
        limits += [f"{self.percent} %"] if self.percent is not None else []
        return f"{' or '.join(limits)} in {self.period_s:g} s"
