"""How many streams one worker can carry so that each still gets its tokens in time, from what its engine showed."""

from collections.abc import Iterable
from dataclasses import dataclass

#: Fewer looks than these, or looks at batches of one size alone, draw no line.
_ENOUGH_LOOKS = 20


@dataclass(frozen=True, slots=True)
class Batch:
    """One look at an engine: streams that it generated at once, and the inter-token latency that they had."""

    streams: int
    inter_token_s: float


@dataclass(frozen=True, slots=True)
class Line:
    """Inter-token latency as it grows with the batch."""

    base_s: float
    per_stream_s: float

    def streams_within(self, inter_token_s: float) -> int:
        """The largest batch that keeps the latency; at least one stream, or the model would serve nobody."""
        return max(1, int((inter_token_s - self.base_s) / self.per_stream_s + 1e-9))


def capacity(looks: Iterable[Batch], inter_token_s: float, slots: int) -> int:
    """The largest batch, of `slots` at most, that keeps `inter_token_s`; `slots` while too little has been seen.

    A decoding step reads all weights once, whatever the batch, and each stream's cache: its time is a constant and a
    part that grows with the batch, so a straight line by least squares is drawn through what was seen.
    """
    line = fit(tuple(looks))
    return slots if line is None else min(slots, line.streams_within(inter_token_s))


def fit(looks: tuple[Batch, ...]) -> Line | None:
    """The line through these looks; `None` if they draw none, or one that does not rise."""
    if len(looks) < _ENOUGH_LOOKS:
        return None
    mean_x = sum(look.streams for look in looks) / len(looks)
    mean_y = sum(look.inter_token_s for look in looks) / len(looks)
    spread = sum((look.streams - mean_x) ** 2 for look in looks)
    rise = sum((look.streams - mean_x) * (look.inter_token_s - mean_y) for look in looks)
    if spread <= 0 or rise <= 0:
        return None
    return Line(mean_y - rise / spread * mean_x, rise / spread)
