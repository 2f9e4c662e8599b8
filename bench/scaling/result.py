"""What one simulated run came to."""

from math import ceil

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """Waits are seconds from a request's arrival to its slot; a refused one counts as having waited all it could."""

    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    refused: int
    gpu_hours: float
    replica_changes: int
    streams_cut: int


class Row(msgspec.Struct, frozen=True):
    """One point of the comparison."""

    trace: str
    cold_start_s: float
    policy: str
    setting: float
    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    refused: int
    gpu_hours: float
    replica_changes: int
    streams_cut: int


def percentile(ordered: list[float], share: float) -> float:
    """By the nearest rank."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
