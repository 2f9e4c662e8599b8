"""What the workers' leased reports tell a waiting client: is anybody there, and how far are they."""

import time

from nats.aio.msg import Msg
from tailrace_protocol.reports import WorkerReport, decode_worker_report
from tailrace_protocol.subjects import ModelKey
from tailrace_protocol.wire import MalformedMessageError


class Workers:
    """The latest report of each worker, until its lease runs out."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[float, WorkerReport]] = {}

    async def on_message(self, message: Msg) -> None:
        """Take in a report; one that cannot be read is of another version, and is ignored."""
        try:
            report = decode_worker_report(message.data)
        except MalformedMessageError:
            return
        self.take(report, time.monotonic())

    def take(self, report: WorkerReport, now: float) -> None:
        """Remember `report`, received at `now` (monotonic seconds)."""
        self._reports[report.worker] = (now + report.lease_s, report)

    def of(self, model: ModelKey, now: float) -> list[WorkerReport]:
        """The live reports of a model's workers."""
        self._reports = {name: entry for name, entry in self._reports.items() if entry[0] > now}
        return [r for _, r in self._reports.values() if (r.namespace, r.model) == (model.namespace, model.name)]

    def describe(self, model: ModelKey, now: float) -> dict[str, object]:
        """Why a request of `model` waits, in a word (`state`) and a sentence (`detail`)."""
        reports = self.of(model, now)
        ready = [report for report in reports if report.state == "ready"]
        if ready:
            active = sum(report.active for report in ready)
            return {"state": "queued", "detail": f"waiting for a free slot: {active} streams on {len(ready)} workers"}
        loading = [report for report in reports if report.state in ("starting", "loading")]
        if loading:
            return {"state": "loading", "detail": loading[0].progress or "a worker is loading the model"}
        return {"state": "no_worker", "detail": "no worker is running; waiting for one"}
