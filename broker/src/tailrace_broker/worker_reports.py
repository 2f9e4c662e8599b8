"""The workers' leased reports, as whoever listens remembers them: the latest of each, until its lease runs out."""

import time

from nats.aio.msg import Msg
from tailrace_protocol.reports import WorkerReport, decode_worker_report

from tailrace_broker.inbound import read


class WorkerReports:
    """Who is alive and what it carries. A reporter that dies stops counting when its lease ends."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[float, WorkerReport]] = {}

    async def on_message(self, message: Msg) -> None:
        """Take in a report."""
        report = read(decode_worker_report, message)
        if report is not None:
            self.take(report, time.monotonic())

    def take(self, report: WorkerReport, now: float) -> None:
        """Remember `report`, received at `now` (monotonic seconds), instead of its sender's previous one."""
        self._reports[report.worker] = (now + report.lease_s, report)

    def live(self, now: float) -> list[WorkerReport]:
        """The reports whose lease runs at `now`."""
        self._reports = {name: entry for name, entry in self._reports.items() if entry[0] > now}
        return [report for _, report in self._reports.values()]
