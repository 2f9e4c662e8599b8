"""Who beats whom: for each rival's point, whether one of ours spends no more and makes requests wait less."""

from collections.abc import Iterable, Sequence

import msgspec

from bench.scaling.result import Row

OURS, LIMIT = "tailrace", "oracle"


class Verdict(msgspec.Struct, frozen=True):
    """One rival's point, and ours against it."""

    rival: Row
    beaten_by: Row | None
    """Ours with no more GPU-hours and a lower p95 wait, at the least GPU-hours."""
    tied_with: Row | None
    """Ours with no more GPU-hours and the same p95 wait: where that is 0, nobody can do better."""


def verdicts(rows: Iterable[Row]) -> list[Verdict]:
    """One for each rival's point."""
    groups: dict[tuple[str, float], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.trace, row.cold_start_s), []).append(row)
    return [
        _verdict(row, [ours for ours in group if ours.policy == OURS])
        for group in groups.values()
        for row in group
        if row.policy not in (OURS, LIMIT)
    ]


def _verdict(rival: Row, ours: Sequence[Row]) -> Verdict:
    affordable = sorted((row for row in ours if row.gpu_hours <= rival.gpu_hours), key=lambda row: row.gpu_hours)
    lower = (row for row in affordable if row.wait_p95_s < rival.wait_p95_s)
    same = (row for row in affordable if row.wait_p95_s == rival.wait_p95_s)
    return Verdict(rival, next(lower, None), next(same, None))
