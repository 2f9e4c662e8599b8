"""Those who wait are told how far the first worker is."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tailrace_operator.conditions import PodView
from tailrace_operator.conditions.phase import phase

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def pod(*, waits: bool = True, **conditions: str) -> PodView:
    state: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}} if waits else {"running": {}}
    told = [{"type": kind, "status": status} for kind, status in conditions.items()]
    status = {"conditions": told, "containerStatuses": [{"name": "worker", "state": state}]}
    return PodView.of({"metadata": {"name": "p"}, "status": status}, NOW)


PLACED = {"PodScheduled": "True"}
SET_UP = {**PLACED, "PodReadyToStartContainers": "True"}


@pytest.mark.parametrize(
    ("pods", "told"),
    [
        ([], "asked for"),
        ([pod()], "waits for a node"),
        ([pod(PodScheduled="False")], "waits for a node"),
        ([pod(**PLACED)], "volumes and network"),
        ([pod(**SET_UP)], "pulls its image"),
        ([pod(waits=False, **SET_UP)], "has started"),
        ([pod(), pod(**SET_UP), pod(**PLACED)], "pulls its image"),
        ([pod(waits=False, **SET_UP, Ready="True")], "asked for"),
    ],
)
def test_the_pod_that_has_come_furthest_has_the_word(pods: list[PodView], told: str) -> None:
    assert told in phase(pods)
