"""The few numbers that a distribution is told by."""

import statistics
from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """Percentiles, in the unit of what was measured."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


def spread(values: Sequence[float]) -> Spread:
    """The percentiles of `values`, by the nearest rank; zeros for none."""
    if not values:
        return Spread(0, 0.0, 0.0, 0.0, 0.0)
    ordered = sorted(values)

    def rank(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return Spread(len(ordered), rank(0.50), rank(0.95), rank(0.99), ordered[-1])


def median(values: Sequence[float]) -> float:
    """The median of what several rounds said."""
    return statistics.median(values) if values else 0.0
