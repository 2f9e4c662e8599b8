"""What a waiting client can expect: is anybody there, how far are they, and is there any hope.

Workers speak for themselves while they live; of a model that has none the operator knows more. Both are leased.
"""

import time
from collections.abc import Sequence

from nats.aio.msg import Msg
from tailrace_broker.inbound import read
from tailrace_broker.worker_reports import WorkerReports
from tailrace_protocol.reports import ModelReport, WorkerReport, decode_model_report
from tailrace_protocol.subjects import ModelKey


class Outlook:
    """The newest reports of workers, and of the operator about models."""

    def __init__(self) -> None:
        self.workers = WorkerReports()
        self._models: dict[ModelKey, tuple[float, ModelReport]] = {}
        self._described_at = 0.0
        self._described: dict[ModelKey, dict[str, object]] = {}

    async def on_message(self, message: Msg) -> None:
        """Take in what the operator says of a model."""
        report = read(decode_model_report, message)
        if report is not None:
            self.take(report, time.monotonic())

    def take(self, report: ModelReport, now: float) -> None:
        """Remember `report`, received at `now` (monotonic seconds), instead of the one before."""
        self._models = {key: held for key, held in self._models.items() if held[0] > now}
        self._models[ModelKey(report.namespace, report.model)] = (now + report.lease_s, report)

    def describe(self, model: ModelKey, now: float) -> dict[str, object]:
        """Why a request of `model` waits, in a word (`state`) and a sentence (`detail`)."""
        if now != self._described_at:  # At one moment a thousand clients may ask the same.
            self._described_at, self._described = now, {}
        if model not in self._described:
            self._described[model] = describe(self._workers(model, now), self._of(model, now))
        return self._described[model]

    def is_served(self, model: ModelKey, now: float) -> bool:
        """Whether a worker is ready to take the model's requests."""
        return any(report.state == "ready" for report in self._workers(model, now))

    def despair(self, model: ModelKey, now: float) -> str:
        """Why nobody should wait for the model; empty while there is hope."""
        report = self._of(model, now)
        if report is None or not report.hopeless:
            return ""
        alive = any(worker.state in ("ready", "starting", "loading") for worker in self._workers(model, now))
        return "" if alive else report.detail

    def _workers(self, model: ModelKey, now: float) -> list[WorkerReport]:
        live = self.workers.live(now)
        return [report for report in live if (report.namespace, report.model) == (model.namespace, model.name)]

    def _of(self, model: ModelKey, now: float) -> ModelReport | None:
        until, report = self._models.get(model, (now, None))
        return report if until > now else None


def describe(workers: Sequence[WorkerReport], model: ModelReport | None) -> dict[str, object]:
    """Of a model with these live reports."""
    ready = [report for report in workers if report.state == "ready"]
    if ready:
        active = sum(report.active for report in ready)
        return {"state": "queued", "detail": f"waiting for a free slot: {active} streams on {len(ready)} workers"}
    loading = [report for report in workers if report.state in ("starting", "loading")]
    if loading:
        return {"state": "loading", "detail": loading[0].progress or "a worker is loading the model"}
    if model is not None:
        return {"state": model.state, "detail": model.detail}
    return {"state": "no_worker", "detail": "no worker is running; waiting for one"}
