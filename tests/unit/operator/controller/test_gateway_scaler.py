"""The edge around the decision about gateways: who is heard, who is chosen to go, and what an admin's edit does."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from tailrace_operator.controller.deletion_cost import ANNOTATION, GOES_FIRST
from tailrace_operator.controller.gateway_scaler import GatewayScaler
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.world import Key, World
from tailrace_operator.plan import Ref
from tailrace_operator.resources import StreamingGateway
from tailrace_protocol.reports import GatewayReport
from tailrace_protocol.wire import encode

from .fake_api import FakeApi
from .objects import child, gateway

KEY = Key("StreamingGateway", "default", "default")
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def parsed(**scaling: Any) -> StreamingGateway:
    scaling = {"minReplicas": 1, "maxReplicas": 5, "targetConnections": 10, "scaleDownDelay": "0s"} | scaling
    return StreamingGateway.parse(
        {
            "apiVersion": "tailrace.dev/v1alpha1",
            "kind": "StreamingGateway",
            "metadata": {"name": "default", "namespace": "default"},
            "spec": {"scaling": scaling},
        }
    )


class Bench:
    """Three gateways that run, and are heard."""

    def __init__(self) -> None:
        pods = [
            child(f"g{number}", "Pod", "gateway=default", status={"phase": "Running"}, metadata={"uid": f"g{number}"})
            for number in range(3)
        ]
        self.api, self.world, self.woken = FakeApi(gateway(), *pods), World(), list[Key]()
        self.world.put(gateway())
        self.world.put(child("tailrace-gateway", "Deployment", "gateway=default", spec={"replicas": 3}))
        self.refresh()
        journal = Journal(self.api, "operator-0", lambda: NOW)
        link: Any = SimpleNamespace(client=self)
        self.scaler = GatewayScaler(self.api, link, self.world, journal, self.woken.append)
        self.scaler.sized(KEY, parsed())
        self.scaler._client = link.client
        self.now = 1_000.0 + self.scaler._sizings[KEY].state.began_at

    def refresh(self) -> None:
        for ref, known in self.api.objects.items():
            if ref.kind == "Pod":
                self.world.put(known)

    async def hear(self, **connections: int) -> None:
        for pod, count in connections.items():
            report = GatewayReport(pod, count, pod=pod, namespace="default", name="default", lease_s=1e9)
            await self.scaler._on_report(SimpleNamespace(data=encode(report), subject="tr.hb.gateway.x"))  # type: ignore[arg-type]

    async def round(self, later_s: float = 2.0) -> int:
        self.now += later_s
        self.refresh()
        await self.scaler._round(self.now)
        told = self.scaler.told(KEY)
        assert told is not None
        return int(told["replicas"])

    @property
    def first(self) -> set[str]:
        return self.api.annotated(ANNOTATION, GOES_FIRST)


async def test_the_size_follows_the_connections_and_is_told_with_its_reason() -> None:
    bench = Bench()
    await bench.hear(g0=15, g1=15, g2=12)
    assert await bench.round() == 5
    assert "42 connections" in str(bench.scaler.told(KEY))
    assert bench.woken == [KEY]
    assert [event["reason"] for event in bench.api.events] == ["ScaledUp"]
    assert bench.scaler.sized(KEY, parsed()).spec.replicas == 5


async def test_those_with_the_fewest_connections_go_and_not_for_ever() -> None:
    bench = Bench()
    await bench.hear(g0=9, g1=1, g2=4)
    assert await bench.round() == 2
    assert bench.first == {"g1"}
    await bench.hear(g0=9, g1=9, g2=1)
    assert await bench.round() == 2
    assert bench.first == {"g1"}, "its Deployment may be about to"
    await bench.round(later_s=20.0)
    assert bench.first == set(), "another went in its place"


async def test_one_that_is_silent_keeps_the_size_though_it_is_not_ready() -> None:
    bench = Bench()
    await bench.hear(g0=1, g1=1)
    assert await bench.round() == 3
    await bench.hear(g2=1)
    assert await bench.round() == 1


async def test_while_one_drains_no_other_is_taken_away() -> None:
    bench = Bench()
    leaving = bench.api.objects[Ref("v1", "Pod", "default", "g2")]
    leaving["metadata"]["deletionTimestamp"] = "2026-11-22T20:00:00Z"
    await bench.hear(g0=1, g1=1, g2=30)
    assert await bench.round() == 4, "what it carries will come to the others"
    await bench.hear(g2=0)
    assert await bench.round() == 4
    del bench.api.objects[Ref("v1", "Pod", "default", "g2")]
    bench.world.drop(Ref("v1", "Pod", "default", "g2"))
    assert await bench.round() == 1


@pytest.mark.parametrize(("limits", "size"), [({"minReplicas": 4}, 4), ({"maxReplicas": 2}, 2)])
async def test_an_edited_limit_holds_without_a_look_at_the_load(limits: dict[str, int], size: int) -> None:
    bench = Bench()
    assert bench.scaler.sized(KEY, parsed(**limits)).spec.replicas == size
    told = bench.scaler.told(KEY)
    assert told is not None
    assert told["replicas"] == size
    assert "are allowed" in told["reason"]


async def test_a_gateway_that_is_left_alone_keeps_what_it_has() -> None:
    bench = Bench()
    assert bench.scaler.left_alone(KEY, parsed(maxReplicas=1)).spec.replicas == 3
    assert bench.scaler.told(KEY) is None
    await bench.hear(g0=100)
    bench.refresh()
    await bench.scaler._round(bench.now)
    assert bench.woken == []
