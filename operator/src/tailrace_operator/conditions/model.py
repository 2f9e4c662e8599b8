"""The conditions of a StreamingModel.

`Ready` answers "can I use it?", `Progressing` "is something still going on?", `Degraded` "does it serve, but not as it
should?". A rollout that fails beside working workers is Ready and Degraded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tailrace_operator.conditions.condition import Verdict, first
from tailrace_operator.conditions.parts import BrokerView, FetchView, WorkloadView
from tailrace_operator.conditions.pods import pod_trouble

_FINE = Verdict("False", "AsWanted", "nothing is wrong")


@dataclass(frozen=True, slots=True)
class ModelView:
    """All that the conditions of one model depend on."""

    workers: WorkloadView
    paused: bool = False
    #: What is wrong with the spec, in sentences.
    complaints: Sequence[str] = field(default=())
    #: What the API server refused, or what stands in the way under a child's name.
    conflicts: Sequence[str] = field(default=())
    broker: BrokerView = field(default=BrokerView())
    fetch: FetchView = field(default=FetchView())
    #: The newest word of a worker that loads.
    progress: str = ""
    #: Why the gateway does not serve, empty when it does.
    gateway_trouble: str = ""


def model_verdicts(view: ModelView) -> dict[str, Verdict]:
    """The conditions of a model, by type."""
    serving = Verdict("True", "Serving", f"{_of(view.workers)} serve")
    return {
        "Ready": first(view, _READY, serving),
        "Progressing": first(view, _PROGRESSING, Verdict("False", "Complete", "all is as the resource asks")),
        "Degraded": first(view, _DEGRADED, _FINE),
    }


def _invalid(view: ModelView) -> Verdict | None:
    return Verdict("False", "InvalidSpec", "; ".join(view.complaints)) if view.complaints else None


def _conflict(view: ModelView) -> Verdict | None:
    if not view.conflicts or view.workers.ready:
        return None
    return Verdict("False", "Conflict", "; ".join(view.conflicts))


def _no_broker(view: ModelView) -> Verdict | None:
    if view.broker.state == "ready" or view.workers.ready:
        return None
    return Verdict("False", _broker_reason(view), view.broker.message)


def _no_model(view: ModelView) -> Verdict | None:
    if view.workers.ready or view.fetch.state not in ("running", "failed"):
        return None
    return Verdict("False", view.fetch.reason, view.fetch.message)


def _at_zero(view: ModelView) -> Verdict | None:
    if view.workers.wanted:
        return None
    return Verdict("False", "NoWorkers", "replicas is 0: requests wait in the queue until it is raised")


def _no_worker(view: ModelView) -> Verdict | None:
    if view.workers.ready:
        return None
    trouble = pod_trouble(view.workers.pods)
    return trouble or Verdict("False", "WorkersStarting", view.progress or "no worker is ready yet")


def _no_gateway(view: ModelView) -> Verdict | None:
    return Verdict("False", "GatewayNotReady", view.gateway_trouble) if view.gateway_trouble else None


def _paused(view: ModelView) -> Verdict | None:
    if not view.paused:
        return None
    remedy = "remove the annotation tailrace.dev/paused to go on"
    return Verdict("False", "Paused", f"the operator leaves this resource alone: {remedy}")


def _cannot_go_on(view: ModelView) -> Verdict | None:
    blocked = _invalid(view) or (Verdict("False", "Conflict", "; ".join(view.conflicts)) if view.conflicts else None)
    return blocked or (Verdict("False", _broker_reason(view), view.broker.message) if _broker_is_away(view) else None)


def _fetching(view: ModelView) -> Verdict | None:
    if view.fetch.state == "running":
        return Verdict("True", view.fetch.reason, view.fetch.message)
    return Verdict("False", view.fetch.reason, view.fetch.message) if view.fetch.state == "failed" else None


def _stalled(view: ModelView) -> Verdict | None:
    workers = view.workers
    if workers.rolled_out or not workers.stalled:
        return None
    trouble = pod_trouble(workers.pods)
    why = f"{trouble.reason}: {trouble.message}" if trouble else workers.stalled
    return Verdict("False", "Stalled", f"the rollout does not progress: {why}")


def _rolling(view: ModelView) -> Verdict | None:
    workers = view.workers
    if workers.rolled_out:
        return None
    trouble = pod_trouble(workers.pods)
    if trouble is not None:
        return Verdict("True", trouble.reason, trouble.message)
    said = f"; {view.progress}" if view.progress else ""
    done = f"{workers.updated} of {workers.wanted} workers are of the new generation, {workers.ready} serve"
    return Verdict("True", "RollingOut", done + said)


def _broken_spec(view: ModelView) -> Verdict | None:
    if not (view.complaints or view.conflicts):
        return None
    reason = "InvalidSpec" if view.complaints else "Conflict"
    return Verdict("True", reason, "; ".join((*view.complaints, *view.conflicts)))


def _broker_trouble(view: ModelView) -> Verdict | None:
    return Verdict("True", _broker_reason(view), view.broker.message) if _broker_is_away(view) else None


def _fetch_failed(view: ModelView) -> Verdict | None:
    return Verdict("True", view.fetch.reason, view.fetch.message) if view.fetch.state == "failed" else None


def _pods_troubled(view: ModelView) -> Verdict | None:
    trouble = pod_trouble(view.workers.pods)
    return Verdict("True", trouble.reason, trouble.message) if trouble else None


def _stuck(view: ModelView) -> Verdict | None:
    stalled = _stalled(view)
    return Verdict("True", stalled.reason, stalled.message) if stalled else None


def _gateway_troubled(view: ModelView) -> Verdict | None:
    return Verdict("True", "GatewayNotReady", view.gateway_trouble) if view.gateway_trouble else None


def _too_few(view: ModelView) -> Verdict | None:
    workers = view.workers
    if not 0 < workers.ready < workers.wanted:
        return None
    return Verdict("True", "FewerWorkersThanWanted", f"{_of(workers)} serve")


def _of(workers: WorkloadView) -> str:
    return f"{workers.ready} of {workers.wanted} workers"


def _broker_is_away(view: ModelView) -> bool:
    return view.broker.state != "ready"


def _broker_reason(view: ModelView) -> str:
    return "NATSUnreachable" if view.broker.state == "unreachable" else "NATSRefused"


_READY = (_conflict, _no_broker, _no_model, _at_zero, _no_worker, _no_gateway)
_PROGRESSING = (_paused, _cannot_go_on, _fetching, _stalled, _rolling)
_DEGRADED = (
    _broken_spec,
    _broker_trouble,
    _fetch_failed,
    _pods_troubled,
    _stuck,
    _gateway_troubled,
    _too_few,
)
