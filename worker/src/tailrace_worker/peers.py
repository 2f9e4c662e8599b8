"""The other workers of the model: how many streams they could take over."""

from collections.abc import Iterable

from tailrace_protocol.reports import WorkerReport


def free_slots(own: str, reports: Iterable[WorkerReport]) -> int:
    """How many streams the workers that are ready could take, by their live `reports`; `own` is not a peer."""
    ready = (report for report in reports if report.state == "ready" and report.worker != own)
    return sum(max(0, report.capacity - report.active) for report in ready)
