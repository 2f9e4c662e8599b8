"""The workers' reports as lines for a person: one per transition, not one per report."""

from dataclasses import dataclass, field

from tailrace_protocol.reports import WorkerReport
from tailrace_protocol.subjects import ModelKey


@dataclass(slots=True)
class WorkerBoard:
    """What is known of the workers. Reports are leases: a worker that is silent too long no longer counts."""

    _last: dict[str, WorkerReport] = field(default_factory=dict)
    _until: dict[str, float] = field(default_factory=dict)

    def feed(self, report: WorkerReport, now_s: float) -> str | None:
        """Take a report; a line when the worker's state or progress is new."""
        before = self._last.get(report.worker)
        self._last[report.worker] = report
        self._until[report.worker] = now_s + report.lease_s
        if before is not None and (before.state, before.progress) == (report.state, report.progress):
            return None
        detail = f": {report.progress}" if report.progress else ""
        return f"{report.model} worker {report.worker} is {report.state}{detail}"

    def ready(self, model: ModelKey, now_s: float) -> int:
        """How many workers of `model` serve now."""
        return sum(
            report.state == "ready" and (report.namespace, report.model) == (model.namespace, model.name)
            for worker, report in self._last.items()
            if self._until[worker] >= now_s
        )
