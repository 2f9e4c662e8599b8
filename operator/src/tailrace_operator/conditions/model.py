"""The conditions of a StreamingModel.

`Ready` answers "can I use it?", `Progressing` "is something still going on?", `Degraded` "does it serve, but not as it
should?". A rollout that fails beside working workers is Ready and Degraded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tailrace_operator.conditions import checks, reasons
from tailrace_operator.conditions.condition import Chain, Verdict, judge
from tailrace_operator.conditions.parts import BrokerView, FetchView, GatewayLink, WorkloadView
from tailrace_operator.conditions.phase import phase
from tailrace_operator.conditions.reason import Finding


@dataclass(frozen=True, slots=True)
class ModelView:
    """All that the conditions of one model depend on."""

    workload: WorkloadView
    paused: bool = False
    #: What is wrong with the spec, in sentences.
    complaints: Sequence[str] = field(default=())
    #: What the API server refused, or what stands in the way under a child's name.
    conflicts: Sequence[str] = field(default=())
    broker: BrokerView = field(default=BrokerView())
    fetch: FetchView = field(default=FetchView())
    #: The newest word of a worker that loads.
    progress: str = ""
    gateway: GatewayLink = field(default=GatewayLink())
    #: What the Secret with the broker's passwords lacks, in a sentence; nothing when it holds all.
    missing_secret: str = ""
    #: Whether a request starts a worker where there is none.
    wakes: bool = False

    @property
    def pods_called(self) -> str:
        """What its pods are."""
        return "workers"


def model_verdicts(view: ModelView) -> dict[str, Verdict]:
    """The conditions of a model, by type."""
    serving = Verdict("True", reasons.SERVING, checks.count(view))
    return {
        "Ready": judge(view, _WITH_WORKERS if view.workload.ready else _WITHOUT_WORKERS, serving),
        "Progressing": judge(view, _PROGRESSING, checks.COMPLETE),
        "Degraded": judge(view, _DEGRADED, checks.AS_WANTED),
    }


def _broker_away(view: ModelView) -> Finding | None:
    return view.broker.trouble


def _gateway_at_zero(view: ModelView) -> Finding | None:
    """Without workers, and none needed, the gateway is what keeps the model from being used."""
    return _gateway_starting(view) or _gateway_away(view) if view.wakes and not view.workload.wanted else None


def _at_zero(view: ModelView) -> Finding | None:
    if view.workload.wanted or view.wakes:
        return None
    why = "no worker is started while the resource is paused" if view.paused else "replicas is 0"
    return Finding(reasons.NO_WORKERS, f"{why}: requests wait in the queue until that changes")


def _scaled_to_zero(view: ModelView) -> Finding | None:
    if not view.wakes or view.workload.wanted or view.gateway.state != "serving":
        return None
    return Finding(reasons.SCALED_TO_ZERO, "no worker is needed now: the next request starts one")


def _starting(view: ModelView) -> Finding:
    return Finding(reasons.WORKERS_STARTING, view.progress or phase(view.workload.pods))


def _fetching(view: ModelView) -> Finding | None:
    if view.fetch.state != "running":
        return None
    return view.fetch.trouble or Finding(reasons.DOWNLOADING, view.fetch.message)


def _fetch_failed(view: ModelView) -> Finding | None:
    return Finding(reasons.DOWNLOAD_FAILED, view.fetch.message) if view.fetch.state == "failed" else None


def _fetch_troubled(view: ModelView) -> Finding | None:
    return _fetch_failed(view) or view.fetch.trouble


def _gateway_starting(view: ModelView) -> Finding | None:
    return Finding(reasons.WAITING_FOR_GATEWAY, view.gateway.message) if view.gateway.state == "starting" else None


def _gateway_away(view: ModelView) -> Finding | None:
    return Finding(reasons.GATEWAY_NOT_READY, view.gateway.message) if view.gateway.state == "away" else None


def _rolling(view: ModelView) -> Finding | None:
    found = checks.rolling(view)
    if found is None or found.reason is not reasons.ROLLING_OUT or not view.progress:
        return found
    return Finding(found.reason, f"{found.message}; {view.progress}")


def _too_few(view: ModelView) -> Finding | None:
    return checks.too_few(view, reasons.FEWER_WORKERS)


_WITH_WORKERS: Chain[ModelView] = (("False", _at_zero), ("False", _gateway_starting), ("False", _gateway_away))
#: What keeps a model from serving matters while no worker does.
_WITHOUT_WORKERS: Chain[ModelView] = (
    ("False", checks.invalid),
    ("False", checks.conflicting),
    ("False", _broker_away),
    ("False", _fetch_failed),
    ("False", _fetching),
    ("True", _scaled_to_zero),
    ("False", _gateway_at_zero),
    ("False", _at_zero),
    ("False", checks.troubled),
    ("False", _starting),
)
_PROGRESSING: Chain[ModelView] = (
    ("False", checks.paused),
    ("False", checks.invalid),
    ("False", checks.conflicting),
    ("False", _broker_away),
    ("False", _fetch_failed),
    ("True", _fetching),
    ("False", checks.stalled),
    ("True", _rolling),
)
_DEGRADED: Chain[ModelView] = (
    ("True", checks.invalid),
    ("True", checks.conflicting),
    ("True", _broker_away),
    ("True", _fetch_troubled),
    ("True", checks.troubled),
    ("True", checks.stalled),
    ("True", _gateway_away),
    ("True", _too_few),
)
