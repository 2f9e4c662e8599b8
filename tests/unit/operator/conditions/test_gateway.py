"""What is said of a gateway in each situation that it can be in."""

from typing import Any

import pytest
from tailrace_operator.conditions import GatewayView, gateway_verdicts

from .given import (
    FALLEN,
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
    workload,
)

NO_ADDRESS = "Service tailrace-gateway has no address from its load balancer yet"
CRASHING = pod(crashing("bad_settings: unknown field", name="gateway"))

SITUATIONS: dict[str, tuple[GatewayView, str, str, str]] = {
    "all serve": (GatewayView(SERVES), "True Serving", "False Complete", "False AsWanted"),
    "just made": (GatewayView(NOTHING_YET), "False GatewaysStarting", "True RollingOut", "False AsWanted"),
    "none serves": (GatewayView(failing_start(CRASHING)), "False BadSettings", "True BadSettings", "True BadSettings"),
    "a new generation fails beside the old one": (
        GatewayView(failing_update(CRASHING)),
        "True Serving",
        "True BadSettings",
        "True BadSettings",
    ),
    "the first pods are not let in": (
        GatewayView(failing_start(refused=QUOTA, replicas=0, updated=0)),
        "False PodsRefused",
        "True PodsRefused",
        "True PodsRefused",
    ),
    "the passwords that pods wait for are missing": (
        GatewayView(failing_start(refused=QUOTA), missing_secret="Secret x lacks the key worker"),
        "False SecretMissing",
        "True SecretMissing",
        "True SecretMissing",
    ),
    "the passwords are missing, and what runs has them": (
        GatewayView(SERVES, missing_secret="Secret x lacks the key worker"),
        "True Serving",
        "False Complete",
        "True SecretMissing",
    ),
    "the pods of a new generation are not let in": (
        GatewayView(failing_update(refused=QUOTA, replicas=1, updated=0)),
        "True Serving",
        "True PodsRefused",
        "True PodsRefused",
    ),
    "a rollout stands still for pods that are not let in": (
        GatewayView(failing_update(refused=QUOTA, **STALL)),
        "True Serving",
        "False Stalled",
        "True PodsRefused",
    ),
    "a rollout stands still": (
        GatewayView(failing_update(LOADING, **STALL)),
        "True Serving",
        "False Stalled",
        "True Stalled",
    ),
    "one of two serves, the other comes": (
        GatewayView(workload(2, SERVING, LOADING, replicas=2, updated=2, ready=1)),
        "True Serving",
        "True RollingOut",
        "False AsWanted",
    ),
    "the only one served, and does not any more": (
        GatewayView(workload(1, FALLEN, replicas=1, updated=1, ready=0)),
        "False GatewaysStarting",
        "True RollingOut",
        "True FewerGatewaysThanWanted",
    ),
    "one of two serves, the other did": (
        GatewayView(workload(2, SERVING, FALLEN, replicas=2, updated=2, ready=1)),
        "True Serving",
        "True RollingOut",
        "True FewerGatewaysThanWanted",
    ),
    "at zero": (
        GatewayView(workload(0, replicas=0, updated=0, ready=0)),
        "False NoGateways",
        "False Complete",
        "False AsWanted",
    ),
    "no address yet": (
        GatewayView(SERVES, address_trouble=NO_ADDRESS),
        "False AddressPending",
        "False Complete",
        "False AsWanted",
    ),
    "no pod and no address": (
        GatewayView(NOTHING_YET, address_trouble=NO_ADDRESS),
        "False GatewaysStarting",
        "True RollingOut",
        "False AsWanted",
    ),
    "paused": (GatewayView(SERVES, paused=True), "True Serving", "False Paused", "False AsWanted"),
    "an invalid spec": (
        GatewayView(workload(None, replicas=0, updated=0, ready=0), complaints=["spec.x is wrong"]),
        "False InvalidSpec",
        "False InvalidSpec",
        "True InvalidSpec",
    ),
    "an edit made the spec invalid": (
        GatewayView(workload(None, SERVING), complaints=["spec.x is wrong"]),
        "True Serving",
        "False InvalidSpec",
        "True InvalidSpec",
    ),
    "something stands in the way": (
        GatewayView(NOTHING_YET, conflicts=["Service tailrace-gateway is not ours"]),
        "False Conflict",
        "False Conflict",
        "True Conflict",
    ),
    "something stands in the way of an edit": (
        GatewayView(SERVES, conflicts=["refused"]),
        "True Serving",
        "False Conflict",
        "True Conflict",
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_each_situation_is_said(situation: tuple[Any, ...]) -> None:
    view, *expected = situation
    assert [f"{verdict.status} {verdict.reason}" for verdict in gateway_verdicts(view).values()] == expected


def test_the_message_counts_gateway_pods() -> None:
    verdicts = gateway_verdicts(GatewayView(workload(3, SERVING, replicas=3, updated=2, ready=1)))
    assert verdicts["Ready"].message == "1 of 3 gateway pods serve"
    assert verdicts["Progressing"].message == "2 of 3 gateway pods are of the new generation, 1 serve"
