"""What the workers' reports tell a waiting client: is anybody there, and how far are they."""

from collections.abc import Iterable

from tailrace_protocol.reports import WorkerReport
from tailrace_protocol.subjects import ModelKey


def describe(model: ModelKey, reports: Iterable[WorkerReport]) -> dict[str, object]:
    """Why a request of `model` waits, in a word (`state`) and a sentence (`detail`), by the live `reports`."""
    ours = [report for report in reports if (report.namespace, report.model) == (model.namespace, model.name)]
    ready = [report for report in ours if report.state == "ready"]
    if ready:
        active = sum(report.active for report in ready)
        return {"state": "queued", "detail": f"waiting for a free slot: {active} streams on {len(ready)} workers"}
    loading = [report for report in ours if report.state in ("starting", "loading")]
    if loading:
        return {"state": "loading", "detail": loading[0].progress or "a worker is loading the model"}
    return {"state": "no_worker", "detail": "no worker is running; waiting for one"}
