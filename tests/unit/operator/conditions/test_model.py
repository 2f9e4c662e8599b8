"""What is said of a model in each situation that it can be in."""

from typing import Any

import pytest
from tailrace_operator.conditions import BrokerView, FetchView, Finding, GatewayLink, ModelView, model_verdicts, reasons

from .given import (
    FALLEN,
    LATER,
    LOADING,
    NOTHING_YET,
    QUOTA,
    SERVES,
    SERVING,
    STALL,
    crashing,
    failing_start,
    failing_update,
    pod,
    unscheduled,
    waiting,
    workload,
)

NO_IMAGE = pod(waiting("ImagePullBackOff", "not found"), created=LATER)
UNREACHABLE = BrokerView("unreachable", "no answer from nats:4222")
REFUSED = BrokerView("refused", "insufficient storage resources available")
DOWNLOADS = FetchView("running", "downloading: 40 %")
REFUSED_TOKEN = Finding(reasons.TOKEN_REFUSED, "correct Secret hf")
FETCH_TRIES = FetchView("running", "resolving", REFUSED_TOKEN)
FETCH_FAILED = FetchView("failed", "TokenRefused: correct Secret hf (delete Job x)", REFUSED_TOKEN)
GATEWAY_STARTS = GatewayLink("starting", "StreamingGateway default is being made")
NO_GATEWAY = GatewayLink("away", "there is no StreamingGateway edge: make it, or leave out spec.gateway")
GPU = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."

SITUATIONS: dict[str, tuple[ModelView, str, str, str]] = {
    "all serve": (ModelView(SERVES), "True Serving", "False Complete", "False AsWanted"),
    "just applied": (ModelView(NOTHING_YET), "False WorkersStarting", "True RollingOut", "False AsWanted"),
    "the first worker loads": (
        ModelView(failing_start(LOADING)),
        "False WorkersStarting",
        "True RollingOut",
        "False AsWanted",
    ),
    "the first worker's image is not there": (
        ModelView(failing_start(NO_IMAGE)),
        "False ImagePullFailed",
        "True ImagePullFailed",
        "True ImagePullFailed",
    ),
    "the first pods are not let in": (
        ModelView(failing_start(refused=QUOTA, replicas=0, updated=0)),
        "False PodsRefused",
        "True PodsRefused",
        "True PodsRefused",
    ),
    "the passwords that pods wait for are missing": (
        ModelView(failing_start(refused=QUOTA), missing_secret="Secret x lacks the key worker"),
        "False SecretMissing",
        "True SecretMissing",
        "True SecretMissing",
    ),
    "the passwords are missing, and what runs has them": (
        ModelView(SERVES, missing_secret="Secret x lacks the key worker"),
        "True Serving",
        "False Complete",
        "True SecretMissing",
    ),
    "the pods of a new generation are not let in": (
        ModelView(failing_update(refused=QUOTA, replicas=1, updated=0)),
        "True Serving",
        "True PodsRefused",
        "True PodsRefused",
    ),
    "a rollout stands still for pods that are not let in": (
        ModelView(failing_update(refused=QUOTA, **STALL)),
        "True Serving",
        "False Stalled",
        "True PodsRefused",
    ),
    "a crashing worker's successor is not let in": (
        ModelView(failing_start(pod(crashing("engine_failed: x")), refused=QUOTA)),
        "False PodsRefused",
        "True PodsRefused",
        "True PodsRefused",
    ),
    "the refusal of a generation that was replaced": (
        ModelView(failing_update(LOADING, seen=2, refused=QUOTA)),
        "True Serving",
        "True RollingOut",
        "False AsWanted",
    ),
    "the first worker waits for its download, whatever is refused": (
        ModelView(failing_start(refused=QUOTA), fetch=DOWNLOADS),
        "False Downloading",
        "True Downloading",
        "True PodsRefused",
    ),
    "no GPU is free for the first worker": (
        ModelView(failing_start(unscheduled(GPU))),
        "False NoGPUFree",
        "True NoGPUFree",
        "True NoGPUFree",
    ),
    "a new generation fails beside the serving old one": (
        ModelView(failing_update(NO_IMAGE)),
        "True Serving",
        "True ImagePullFailed",
        "True ImagePullFailed",
    ),
    "a new generation loads beside the serving old one": (
        ModelView(failing_update(LOADING)),
        "True Serving",
        "True RollingOut",
        "False AsWanted",
    ),
    "the rollout of a failing generation is stalled": (
        ModelView(failing_update(NO_IMAGE, **STALL)),
        "True Serving",
        "False Stalled",
        "True ImagePullFailed",
    ),
    "a rollout is stalled, and nobody says why": (
        ModelView(failing_update(LOADING, **STALL)),
        "True Serving",
        "False Stalled",
        "True Stalled",
    ),
    "the first rollout is stalled": (
        ModelView(failing_start(LOADING, **STALL)),
        "False WorkersStarting",
        "False Stalled",
        "True Stalled",
    ),
    "a stall of a generation that was replaced": (
        ModelView(failing_update(LOADING, seen=2, **STALL)),
        "True Serving",
        "True RollingOut",
        "False AsWanted",
    ),
    "the Deployment's controller has not seen the change": (
        ModelView(workload(1, SERVING, seen=2)),
        "True Serving",
        "True RollingOut",
        "False AsWanted",
    ),
    "one of two serves, the other comes": (
        ModelView(workload(2, SERVING, LOADING, replicas=2, updated=2, ready=1)),
        "True Serving",
        "True RollingOut",
        "False AsWanted",
    ),
    "the only one served, and does not any more": (
        ModelView(workload(1, FALLEN, replicas=1, updated=1, ready=0)),
        "False WorkersStarting",
        "True RollingOut",
        "True FewerWorkersThanWanted",
    ),
    "one of two serves, the other did": (
        ModelView(workload(2, SERVING, FALLEN, replicas=2, updated=2, ready=1)),
        "True Serving",
        "True RollingOut",
        "True FewerWorkersThanWanted",
    ),
    "one of two crashes": (
        ModelView(workload(2, SERVING, pod(crashing("engine_failed: x")), replicas=2, updated=2, ready=1)),
        "True Serving",
        "True EngineFailed",
        "True EngineFailed",
    ),
    "at zero": (
        ModelView(workload(0, replicas=0, updated=0, ready=0)),
        "False NoWorkers",
        "False Complete",
        "False AsWanted",
    ),
    "scaled to zero": (
        ModelView(workload(0, replicas=0, updated=0, ready=0), wakes=True),
        "True ScaledToZero",
        "False Complete",
        "False AsWanted",
    ),
    "scaled to zero, and nobody lets requests in": (
        ModelView(workload(0, replicas=0, updated=0, ready=0), wakes=True, gateway=GatewayLink("away", "x")),
        "False GatewayNotReady",
        "False Complete",
        "True GatewayNotReady",
    ),
    "on its way to zero": (ModelView(workload(0, SERVING)), "False NoWorkers", "True RollingOut", "False AsWanted"),
    "paused while all serve": (ModelView(SERVES, paused=True), "True Serving", "False Paused", "False AsWanted"),
    "paused before it began": (
        ModelView(NOTHING_YET, paused=True),
        "False WorkersStarting",
        "False Paused",
        "False AsWanted",
    ),
    "an invalid spec from the beginning": (
        ModelView(workload(None, replicas=0, updated=0, ready=0), complaints=["spec.x is wrong"]),
        "False InvalidSpec",
        "False InvalidSpec",
        "True InvalidSpec",
    ),
    "an invalid spec without any Deployment": (
        ModelView(NOTHING_YET, complaints=["spec.x is wrong"]),
        "False InvalidSpec",
        "False InvalidSpec",
        "True InvalidSpec",
    ),
    "an edit made the spec invalid, and the workers serve": (
        ModelView(workload(None, SERVING), complaints=["spec.x is wrong"]),
        "True Serving",
        "False InvalidSpec",
        "True InvalidSpec",
    ),
    "something stands in the way": (
        ModelView(NOTHING_YET, conflicts=["Deployment echo-worker is not ours"]),
        "False Conflict",
        "False Conflict",
        "True Conflict",
    ),
    "something stands in the way of an edit": (
        ModelView(SERVES, conflicts=["quota exceeded"]),
        "True Serving",
        "False Conflict",
        "True Conflict",
    ),
    "NATS is unreachable, and no worker serves": (
        ModelView(failing_start(LOADING), broker=UNREACHABLE),
        "False NATSUnreachable",
        "False NATSUnreachable",
        "True NATSUnreachable",
    ),
    "NATS is unreachable, and workers serve": (
        ModelView(SERVES, broker=UNREACHABLE),
        "True Serving",
        "False NATSUnreachable",
        "True NATSUnreachable",
    ),
    "NATS refuses, and no worker serves": (
        ModelView(NOTHING_YET, broker=REFUSED),
        "False NATSRefused",
        "False NATSRefused",
        "True NATSRefused",
    ),
    "NATS refuses, and workers serve": (
        ModelView(SERVES, broker=REFUSED),
        "True Serving",
        "False NATSRefused",
        "True NATSRefused",
    ),
    "a worker cannot reach NATS": (
        ModelView(failing_start(pod(crashing("broker_unavailable: nats:4222 does not answer")))),
        "False NATSUnreachable",
        "True NATSUnreachable",
        "True NATSUnreachable",
    ),
    "the model is downloaded": (
        ModelView(NOTHING_YET, fetch=DOWNLOADS),
        "False Downloading",
        "True Downloading",
        "False AsWanted",
    ),
    "another model is downloaded while the old one serves": (
        ModelView(SERVES, fetch=DOWNLOADS),
        "True Serving",
        "True Downloading",
        "False AsWanted",
    ),
    "a download that is refused tries again": (
        ModelView(NOTHING_YET, fetch=FETCH_TRIES),
        "False TokenRefused",
        "True TokenRefused",
        "True TokenRefused",
    ),
    "the download was given up": (
        ModelView(NOTHING_YET, fetch=FETCH_FAILED),
        "False DownloadFailed",
        "False DownloadFailed",
        "True DownloadFailed",
    ),
    "another model cannot be downloaded while the old one serves": (
        ModelView(SERVES, fetch=FETCH_FAILED),
        "True Serving",
        "False DownloadFailed",
        "True DownloadFailed",
    ),
    "the download is done": (
        ModelView(SERVES, fetch=FetchView("done")),
        "True Serving",
        "False Complete",
        "False AsWanted",
    ),
    "workers serve before their gateway": (
        ModelView(SERVES, gateway=GATEWAY_STARTS),
        "False WaitingForGateway",
        "False Complete",
        "False AsWanted",
    ),
    "the gateway is missing": (
        ModelView(SERVES, gateway=NO_GATEWAY),
        "False GatewayNotReady",
        "False Complete",
        "True GatewayNotReady",
    ),
    "neither worker nor gateway": (
        ModelView(NOTHING_YET, gateway=NO_GATEWAY),
        "False WorkersStarting",
        "True RollingOut",
        "True GatewayNotReady",
    ),
    "a pod goes while its successor loads": (
        ModelView(failing_start(pod(crashing("engine_failed: x"), going=True), LOADING)),
        "False WorkersStarting",
        "True RollingOut",
        "False AsWanted",
    ),
}


def said(view: ModelView) -> tuple[str, ...]:
    return tuple(f"{verdict.status} {verdict.reason}" for verdict in model_verdicts(view).values())


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_each_situation_is_said(situation: tuple[Any, ...]) -> None:
    view, *expected = situation
    assert said(view) == tuple(expected)


def test_the_conditions_are_these_three_in_this_order() -> None:
    assert list(model_verdicts(ModelView(SERVES))) == ["Ready", "Progressing", "Degraded"]


@pytest.mark.parametrize(
    ("view", "condition", "says"),
    [
        (ModelView(SERVES), "Ready", "1 of 1 workers serve"),
        (ModelView(NOTHING_YET, progress="worker w: reading weights 40 %"), "Ready", "worker w: reading weights 40 %"),
        (ModelView(NOTHING_YET, complaints=["a is wrong", "b too"]), "Ready", "a is wrong; b too"),
        (ModelView(NOTHING_YET, conflicts=["a", "b"]), "Degraded", "a; b"),
        (
            ModelView(failing_update(LOADING), progress="worker w: compiling"),
            "Progressing",
            "1 of 1 workers are of the new generation, 1 serve; worker w: compiling",
        ),
        (
            ModelView(failing_update(LOADING, **STALL)),
            "Progressing",
            'the rollout does not progress: ReplicaSet "echo-worker-6d4f" has timed out progressing.',
        ),
        (ModelView(SERVES, paused=True), "Progressing", "remove the annotation tailrace.dev/paused to go on"),
        (ModelView(workload(0, replicas=0)), "Ready", "replicas is 0: requests wait in the queue until that changes"),
        (ModelView(workload(0, replicas=0), paused=True), "Ready", "no worker is started while the resource is paused"),
        (ModelView(SERVES, broker=REFUSED), "Degraded", "insufficient storage resources available"),
        (ModelView(SERVES, gateway=NO_GATEWAY), "Ready", "there is no StreamingGateway edge"),
    ],
)
def test_the_message_tells_the_case_and_the_next_thing_to_do(view: ModelView, condition: str, says: str) -> None:
    assert says in model_verdicts(view)[condition].message


def test_a_stalled_rollout_tells_what_its_pod_says() -> None:
    message = model_verdicts(ModelView(failing_update(NO_IMAGE, **STALL)))["Progressing"].message
    assert message.startswith("the rollout does not progress: ImagePullFailed: pod echo-worker-6d4f-x2x9p cannot pull")


def test_pods_that_are_refused_are_told_in_the_api_servers_words() -> None:
    verdicts = model_verdicts(ModelView(failing_start(refused=QUOTA, replicas=0, updated=0)))
    assert QUOTA in verdicts["Ready"].message
    assert "tries again by itself" in verdicts["Ready"].message
    stalled = model_verdicts(ModelView(failing_update(refused=QUOTA, **STALL)))["Progressing"].message
    assert stalled.startswith(f"the rollout does not progress: PodsRefused: the API server refuses pods: {QUOTA}")


def test_a_failing_pod_is_told_of_and_not_what_another_one_loads() -> None:
    view = ModelView(failing_update(NO_IMAGE), progress="worker w: compiling")
    assert "compiling" not in model_verdicts(view)["Progressing"].message


def gateway(reason: str, status: str = "False") -> Any:
    return {"status": {"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": "words"}]}}


@pytest.mark.parametrize(
    ("resource", "is_made", "state", "says"),
    [
        (gateway("Serving", "True"), False, "serving", ""),
        (None, True, "starting", "StreamingGateway edge is being made"),
        (None, False, "away", "there is no StreamingGateway edge: make it"),
        ({}, False, "starting", "is being made"),
        ({"status": {"conditions": []}}, False, "starting", "is being made"),
        (gateway("GatewaysStarting"), True, "starting", "StreamingGateway edge: words"),
        (gateway("AddressPending"), True, "starting", "words"),
        (gateway("NoGateways"), True, "away", "words"),
        (gateway("ImagePullFailed"), True, "away", "words"),
        (gateway("AReasonOfANewerVersion"), True, "away", "words"),
    ],
)
def test_a_gateway_that_starts_is_waited_for_and_any_other_is_complained_of(
    resource: Any, is_made: bool, state: str, says: str
) -> None:
    link = GatewayLink.of("edge", resource, is_made=is_made)
    assert link.state == state
    assert says in link.message
