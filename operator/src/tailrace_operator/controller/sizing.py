"""One model under the operator's scaling: its policy, what was decided, and what its workers have shown."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median
from typing import Any

from tailrace_protocol.reports import WorkerReport

from tailrace_operator.controller import worker_pods
from tailrace_operator.controller.counts import Count
from tailrace_operator.resources.model import Spec
from tailrace_operator.resources.scaling import ScalePace, Scaling
from tailrace_operator.scaling import Batch, Pace, Policy, Sample, Scheduled, State, capacity

#: What a worker is thought to take to start before one has been seen to.
_START_S = 60.0
_REMEMBERED_BATCHES = 600
#: What a status takes.
_MAX_REASON = 1000
#: What engines show is noisy: streams that a worker can carry are taken anew when they differ by this share, or by two.
_NOISE = 0.15


@dataclass
class Sizing:
    """What is known of one model. `replicas` is what its Deployment is to have: those that still retire are in it."""

    state: State
    policy: Policy
    replicas: int
    reason: str
    since: datetime
    needed: int = 0
    by: str = ""
    count: Count | None = None
    start_s: float = _START_S
    starts_s: dict[str, float] = field(default_factory=dict)
    latency_s: float | None = None
    streams: int | None = None
    batches: deque[Batch] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_BATCHES))
    #: Pods that were asked to retire, and of those the ones whose removal was asked for, with the time of that.
    retiring: set[str] = field(default_factory=set)
    going: dict[str, float] = field(default_factory=dict)
    #: Workers that Kubernetes calls ready and that are not heard, with the time since when.
    silent: dict[str, float] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The workers that were decided on."""
        return self.state.size

    @property
    def is_busy(self) -> bool:
        """Whether to look every second."""
        return self.size > 0 or self.replicas > 0 or bool(self.count and self.count.in_flight)

    def sample(self, now: float, count: Count, ready: int) -> Sample:
        """What `decide` is told: workers that retire serve nobody new."""
        ready = max(0, min(self.size, ready - len(self.retiring)))
        return Sample(now, count.accepted, count.active, count.queued, ready, self.size - ready, self.start_s)

    def policy_within(self, ceiling: int | None, reason: str) -> Policy:
        """The policy while no more than `ceiling` workers can be had, with what engines have shown so far."""
        return replace(self.policy, ceiling=ceiling, ceiling_reason=reason, target_streams=self._target_streams())

    def _target_streams(self) -> int | None:
        if self.latency_s is None:
            self.streams = None
            return None
        shown = capacity(self.batches, self.latency_s, self.policy.slots)
        if self.streams is None or abs(shown - self.streams) >= max(2.0, _NOISE * self.streams):
            self.streams = shown
        return min(self.streams, self.policy.slots)

    def learn_starts(self, pods: Iterable[Mapping[str, Any]]) -> None:
        """Take in how long workers took to start. Each counts once: readiness that comes back is no start."""
        present = {str(pod["metadata"]["uid"]): pod for pod in pods}
        known = {uid: seconds for uid, seconds in self.starts_s.items() if uid in present}
        for uid in present.keys() - known.keys():
            if (seconds := worker_pods.start_s(present[uid])) is not None:
                known[uid] = seconds
        self.starts_s = known
        if known:
            self.start_s = median(known.values())

    def learn(self, reports: Iterable[WorkerReport]) -> None:
        """Take in how long tokens took with how many streams."""
        for report in reports:
            generating = report.active - report.waiting
            if report.state == "ready" and generating > 0 and report.inter_token_s > 0:
                self.batches.append(Batch(generating, report.inter_token_s))


def told(size: int, reason: str, since: datetime) -> dict[str, Any]:
    """A decision as a status tells it; `last_decision` reads it again."""
    return {"replicas": size, "reason": reason[:_MAX_REASON], "since": since.strftime("%Y-%m-%dT%H:%M:%SZ")}


def last_decision(resource: Mapping[str, Any] | None, size: int) -> tuple[str, datetime]:
    """Why a size that was found is so, and since when: what an operator before this one wrote into the status."""
    told = ((resource or {}).get("status") or {}).get("scaling") or {}
    if told.get("replicas") == size:
        return str(told["reason"]), datetime.fromisoformat(told["since"])
    return "as it was found", datetime.now(UTC)


def policy_of(spec: Spec, scaling: Scaling) -> Policy:
    """The policy that a model's spec asks for."""
    return Policy(
        slots=spec.engine.max_streams,
        min_workers=scaling.min_replicas,
        max_workers=scaling.max_replicas,
        utilization=scaling.target_utilization / 100,
        zero_grace_s=scaling.zero_grace_period.seconds if scaling.zero_grace_period is not None else None,
        tolerance=scaling.tolerance / 100,
        scale_down_delay_s=scaling.scale_down_delay.seconds,
        up=_pace(scaling.scale_up),
        down=_pace(scaling.scale_down),
        schedule=tuple(Scheduled(s.start, s.end, s.time_zone, s.min_replicas) for s in scaling.schedule),
    )


def _pace(pace: ScalePace | None) -> Pace | None:
    return Pace(pace.workers, pace.percent, pace.period.seconds) if pace is not None else None
