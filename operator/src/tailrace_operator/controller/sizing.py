"""One model under the operator's scaling: its policy, what was decided, and what its workers have shown."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median
from typing import Any

from tailrace_protocol.reports import WorkerReport

from tailrace_operator.controller.counts import Count
from tailrace_operator.resources.model import Spec
from tailrace_operator.resources.scaling import ScalePace, Scaling
from tailrace_operator.scaling import Batch, Pace, Policy, Sample, Scheduled, State, capacity

#: What a worker is thought to take to start before one has been seen to.
_START_S = 60.0
_REMEMBERED_BATCHES = 600


@dataclass
class Sizing:
    """What is known of one model. `replicas` is what its Deployment is to have: those that still retire are in it."""

    state: State
    policy: Policy
    replicas: int
    reason: str
    since: datetime
    needed: int = 0
    count: Count | None = None
    start_s: float = _START_S
    latency_s: float | None = None
    batches: deque[Batch] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_BATCHES))
    #: Pods that were asked to retire, and of those the ones whose removal was asked for, with the time of that.
    retiring: set[str] = field(default_factory=set)
    going: dict[str, float] = field(default_factory=dict)

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
        policy = self.policy
        streams = capacity(self.batches, self.latency_s, policy.slots) if self.latency_s is not None else None
        return replace(policy, ceiling=ceiling, ceiling_reason=reason, target_streams=streams)

    def learn(self, reports: Iterable[WorkerReport]) -> None:
        """Take in how long tokens took with how many streams."""
        for report in reports:
            generating = report.active - report.waiting
            if report.state == "ready" and generating > 0 and report.inter_token_s > 0:
                self.batches.append(Batch(generating, report.inter_token_s))


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


def start_s(pods: Iterable[Mapping[str, Any]], known: float) -> float:
    """How long these pods took from being made to being ready, the middle one; `known` while none is."""
    took = [seconds for pod in pods if (seconds := _took(pod)) is not None]
    return median(took) if took else known


def _took(pod: Mapping[str, Any]) -> float | None:
    ready = condition(pod, "Ready")
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    if ready.get("status") != "True" or any(container.get("restartCount") for container in containers):
        return None
    made, became = pod["metadata"].get("creationTimestamp"), ready.get("lastTransitionTime")
    if not made or not became:
        return None
    seconds = (datetime.fromisoformat(became) - datetime.fromisoformat(made)).total_seconds()
    return max(1.0, seconds)


def condition(pod: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition of a pod; empty if it has none of that type."""
    return next((c for c in (pod.get("status") or {}).get("conditions") or () if c["type"] == kind), {})
