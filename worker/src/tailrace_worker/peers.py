"""The other workers of the model, as their leased reports tell: how many streams they could take over."""

import time

from nats.aio.msg import Msg
from tailrace_protocol.reports import WorkerReport, decode_worker_report
from tailrace_protocol.wire import MalformedMessageError


class Peers:
    """Remembers each peer's latest report until its lease runs out."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._reports: dict[str, tuple[float, WorkerReport]] = {}

    async def on_message(self, message: Msg) -> None:
        """Take in a report; one that cannot be read is some other version's, and is ignored."""
        try:
            report = decode_worker_report(message.data)
        except MalformedMessageError:
            return
        self.take(report, time.monotonic())

    def take(self, report: WorkerReport, now: float) -> None:
        """Remember `report`, received at `now` (monotonic seconds)."""
        if report.worker != self._own:
            self._reports[report.worker] = (now + report.lease_s, report)

    def free_slots(self, now: float) -> int:
        """How many streams the peers that are ready could take."""
        self._reports = {name: entry for name, entry in self._reports.items() if entry[0] > now}
        ready = (report for _, report in self._reports.values() if report.state == "ready")
        return sum(max(0, report.capacity - report.active) for report in ready)
